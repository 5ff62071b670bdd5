//! The connections in a file: what a replica maps at its start in place of reading them all from the
//! store, and what makes them need no memory of their own.
//!
//! ```text
//! header   magic (8), format (u32), 0 (u32), position (i64), its mark (16), people (u64),
//!          entries (u64), bytes of names (u64), XXH3-64 of all after the header,
//!          XXH3-64 of the header before
//! entries  u32 each, filled up with zeros to 8 bytes
//! ends     u64 for each person: after how many entries the row ends
//! names    u64 for each person: after how many bytes the subject id ends; then the bytes
//! ```
//!
//! Numbers are little-endian. The checksums find accidents; who can write the file can write any.
//! It has subject ids and who is connected to whom, no identifiers; of people who are gone not even
//! the id.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    ops::Range,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use memmap2::Mmap;
use thiserror::Error;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    Graph, Ordinal, Sequence,
    adjacency::Merge,
    csr::{Csr, Part},
    entry::{EDGE, MOST_PEOPLE, flags, person},
};

const _: () = assert!(cfg!(target_endian = "little"), "files are mapped as they are");

const MAGIC: [u8; 8] = *b"assentgr";
const FORMAT: u32 = 1;
const HEADER: usize = 80;

/// Tells histories of a store apart which have a change of this number.
pub type Mark = [u8; 16];

/// A change of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Its number.
    pub sequence: Sequence,
    /// Drawn for it.
    pub mark: Mark,
}

/// Connections as of a position.
#[derive(Debug)]
pub struct Snapshot {
    /// Of which change they are.
    pub position: Position,
    pub(super) connections: Csr,
    name_ends: Part<u64>,
    map: Arc<Mmap>,
    names: Range<usize>,
}

/// Why there is no snapshot. Whatever it is, the store has all that would be in one.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file system refused; where there is no file, with [`io::ErrorKind::NotFound`].
    #[error("a snapshot of the graph cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("not a snapshot of the graph")]
    NotASnapshot,
    /// It has a format that this version does not read.
    #[error("a snapshot of the graph in format {0}")]
    OtherFormat(u32),
    /// It is not as it was written.
    #[error("a damaged snapshot of the graph")]
    Damaged,
}

impl Snapshot {
    /// Maps a file and checks it, all of it.
    ///
    /// The file must not be changed while it is mapped: this service writes a new one and puts it
    /// in the old one's place.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        Self::of(&Self::map(path)?, true)
    }

    fn map(path: &Path) -> Result<Arc<Mmap>, SnapshotError> {
        let file = File::open(path)?;
        // SAFETY: a mapped file is read as bytes and numbers, for which every content is valid, and
        // every access is checked against the length at this moment. Nobody but this service
        // writes it, and it never changes a file in place; should somebody cut it, the process is
        // ended by the system (SIGBUS), which is no worse than a disk that fails.
        #[allow(unsafe_code)]
        Ok(Arc::new(unsafe { Mmap::map(&file)? }))
    }

    /// What a mapped file has; `is_foreign`: all of it is read and checked first.
    pub(super) fn of(map: &Arc<Mmap>, is_foreign: bool) -> Result<Self, SnapshotError> {
        let (header, body) = map.split_at_checked(HEADER).ok_or(SnapshotError::NotASnapshot)?;
        let number = |at: usize| header.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let number = |at: usize| number(at).ok_or(SnapshotError::Damaged);
        if header[..8] != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        // The fuzz target looks at what is behind the checksums.
        if number(72)? != xxh3_64(&header[..72]) && !cfg!(fuzzing) {
            return Err(SnapshotError::Damaged);
        }
        // The upper half is zero.
        match u32::try_from(number(8)?) {
            Ok(FORMAT) => {}
            other => return Err(SnapshotError::OtherFormat(other.unwrap_or(u32::MAX))),
        }
        if is_foreign && number(64)? != xxh3_64(body) && !cfg!(fuzzing) {
            return Err(SnapshotError::Damaged);
        }
        let snapshot = Self::parts(map, header).ok_or(SnapshotError::Damaged)?;
        if is_foreign && !snapshot.is_sound() {
            return Err(SnapshotError::Damaged);
        }
        Ok(snapshot)
    }

    /// Whether rows are as rows are, and ids end where characters do. Checksums do not say so of a
    /// file that something else wrote; what is derived from rows counts on it.
    fn is_sound(&self) -> bool {
        let Ok(text) = std::str::from_utf8(&self.map[self.names.clone()]) else { return false };
        let ends = self.name_ends.get();
        self.are_rows_sound()
            && ends.is_sorted()
            && ends.last().copied().unwrap_or(0) == text.len() as u64
            && ends
                .iter()
                .all(|end| usize::try_from(*end).is_ok_and(|end| text.is_char_boundary(end)))
    }

    /// Whether each row is ascending, leads to edges with others there are, and each edge is in both
    /// rows. That is seen by a sum, to which the two add what cancels out: looking each up in the
    /// other's row would wait for memory every time.
    fn are_rows_sound(&self) -> bool {
        let people = Ordinal::try_from(self.connections.rows()).unwrap_or(MOST_PEOPLE);
        let mut sum = 0_u64;
        for of in 0..people {
            let row = self.connections.row(of);
            for entry in row {
                let other = person(*entry);
                if other >= people || other == of || flags(*entry) != EDGE {
                    return false;
                }
                let edge = mixed(u64::from(of.min(other)) << 32 | u64::from(of.max(other)));
                sum = if of < other { sum.wrapping_add(edge) } else { sum.wrapping_sub(edge) };
            }
            if !row.is_sorted_by(|one, other| one < other) {
                return false;
            }
        }
        sum == 0
    }

    /// What a checked file has; nothing when its parts do not fit together.
    fn parts(map: &Arc<Mmap>, header: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = header.get(at..at + 8)?.try_into().ok()?;
            usize::try_from(u64::from_le_bytes(bytes)).ok()
        };
        let (people, entries, names) = (number(40)?, number(48)?, number(56)?);
        let position = Position {
            sequence: i64::from_le_bytes(header.get(16..24)?.try_into().ok()?),
            mark: header.get(24..40)?.try_into().ok()?,
        };
        let mut start = HEADER;
        let mut part = |length: usize| {
            let range = start..start.checked_add(length)?;
            start = range.end.checked_next_multiple_of(8)?;
            Some(range)
        };
        let entries = part(entries.checked_mul(4)?)?;
        let (ends, name_ends) = (part(people.checked_mul(8)?)?, part(people.checked_mul(8)?)?);
        let names = part(names)?;
        if names.end != map.len() || people > MOST_PEOPLE as usize {
            return None;
        }
        let entries = Part::mapped(map, entries)?;
        let name_ends: Part<u64> = Part::mapped(map, name_ends)?;
        let connections = Csr::of(Part::mapped(map, ends)?, entries)?;
        Some(Self { position, connections, name_ends, map: map.clone(), names })
    }

    /// Whether so many ordinals stand for nobody any more that people had better be numbered anew.
    pub fn is_worn(&self) -> bool {
        let (mut start, mut nobody) = (0, 0);
        for end in self.name_ends.get() {
            nobody += usize::from(*end == start);
            start = *end;
        }
        nobody > NOBODY && nobody > self.connections.rows() / 2
    }

    /// The subject ids, in the order of ordinals.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let ends = self.name_ends.get();
        // Checked when it was opened.
        let text = std::str::from_utf8(&self.map[self.names.clone()]).unwrap_or_default();
        let starts = std::iter::once(&0).chain(ends);
        #[allow(clippy::cast_possible_truncation)] // what fits into memory has such places
        starts.zip(ends).map(move |(start, end)| &text[*start as usize..*end as usize])
    }
}

/// New bases in the making: of connections and of contacts, as of one moment.
#[derive(Debug)]
pub struct Merging {
    connections: Merge,
    contacts: Merge,
    people: Ordinal,
}

/// New bases.
#[derive(Debug)]
pub struct Merged {
    connections: Csr,
    contacts: Csr,
}

impl Graph {
    /// Whether there is as much in front of the bases as would be worth new ones.
    pub fn is_worth_merging(&self) -> bool {
        self.connections.is_worth_merging() || self.contacts.is_worth_merging()
    }

    /// Begins new bases, to be made beside the calls. Nothing while others are in the making.
    pub fn begin_merge(&mut self) -> Option<Merging> {
        let people = Ordinal::try_from(self.len()).ok()?;
        let connections = self.connections.begin_merge()?;
        let contacts = self.contacts.begin_merge()?;
        Some(Merging { connections, contacts, people })
    }

    /// Puts the new bases in place of the old ones and of what was in front of them.
    pub fn finish_merge(&mut self, merged: Merged) {
        self.connections.finish_merge(merged.connections);
        self.contacts.finish_merge(merged.contacts);
    }

    /// Goes on with the old ones.
    pub fn give_up_merge(&mut self) {
        self.connections.give_up_merge();
        self.contacts.give_up_merge();
    }
}

impl Merging {
    /// Makes both in memory.
    pub fn in_memory(&self) -> Merged {
        let connections = self.connections.in_memory(self.people);
        Merged { connections, contacts: self.contacts.in_memory(self.people) }
    }

    /// Makes that of connections in a file, in the place of the one at `path`, which stays as it is
    /// until the new one is on disk; maps it. Only the owner may read it. `names` is
    /// [`Graph::names`], or there is no such graph any more, which ends it. One writer at a time; it waits for the disk.
    pub fn in_file(
        &self,
        path: &Path,
        position: Position,
        names: impl FnMut(Naming<'_>) -> Option<()>,
    ) -> Result<Merged, SnapshotError> {
        let new = beside(path);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            // What a process left that was killed.
            _ => {}
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(&new)?;
        self.write(&file, position, names)?;
        file.sync_all()?;
        let contacts = self.contacts.in_memory(self.people);
        fs::rename(&new, path)?;
        // The name is on disk when its directory is.
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        // It was written this moment: not read again.
        let connections = Snapshot::of(&Snapshot::map(path)?, false)?.connections;
        Ok(Merged { connections, contacts })
    }

    fn write(
        &self,
        mut file: &File,
        position: Position,
        mut names: impl FnMut(Naming<'_>) -> Option<()>,
    ) -> io::Result<()> {
        file.write_all(&[0; HEADER])?;
        let mut body = BufWriter::with_capacity(BUFFER, Hashing { file, hash: Xxh3::new() });
        let mut ends: Vec<u64> = Vec::with_capacity(self.people as usize);
        let mut entries = 0;
        for person in 0..self.people {
            let row = self.connections.row(person);
            body.write_all(bytemuck::cast_slice(row))?;
            entries += row.len() as u64;
            ends.push(entries);
        }
        if entries % 2 == 1 {
            body.write_all(&[0; 4])?;
        }
        body.write_all(bytemuck::cast_slice(&ends))?;
        drop(ends);
        let (mut text, mut name_ends) = (String::new(), Vec::new());
        for start in (0..self.people).step_by(NAMES) {
            // `NAMES` fits.
            #[allow(clippy::cast_possible_truncation)]
            let of = start..self.people.min(start + NAMES as Ordinal);
            let rows = &self.connections;
            names(Naming { of, rows, text: &mut text, ends: &mut name_ends })
                .ok_or_else(|| io::Error::other("the graph was read again meanwhile"))?;
        }
        body.write_all(bytemuck::cast_slice(&name_ends))?;
        body.write_all(text.as_bytes())?;
        body.flush()?;
        let hash = body.get_ref().hash.digest();
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        header.extend(u64::from(FORMAT).to_le_bytes());
        header.extend(position.sequence.to_le_bytes());
        header.extend(position.mark);
        for number in [u64::from(self.people), entries, text.len() as u64, hash] {
            header.extend(number.to_le_bytes());
        }
        header.extend(xxh3_64(&header).to_le_bytes());
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)
    }
}

/// Some people whose subject ids go into a snapshot.
#[derive(Debug)]
pub struct Naming<'n> {
    of: Range<Ordinal>,
    rows: &'n Merge,
    text: &'n mut String,
    ends: &'n mut Vec<u64>,
}

impl Graph {
    /// Appends the subject ids of some people, and where each ends in the text. Of whom nothing is
    /// left but an ordinal, the id is not written either; whose row is written, the id is: by it the
    /// changes since then take the row away.
    pub fn names(&self, naming: Naming<'_>) {
        let Naming { of, rows, text, ends } = naming;
        for person in of {
            if !self.is_gone(person) || !rows.row(person).is_empty() {
                text.push_str(self.subject(person));
            }
            ends.push(text.len() as u64);
        }
    }
}

/// A number that looks drawn: the finalizer of `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014).
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// How much is hashed and written at once.
const BUFFER: usize = 1 << 18;
/// Of how many people the ids are asked for at once: readers do not wait long for that.
const NAMES: usize = 10_000;

/// Ordinals that may stand for nobody however few people there are.
const NOBODY: usize = 100_000;

/// Where the file is written before it has its name.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

/// A file and the hash of all that was written to it.
struct Hashing<'f> {
    file: &'f File,
    hash: Xxh3,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
