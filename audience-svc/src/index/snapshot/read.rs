use std::{fmt, fs::File, io::Read, path::Path, sync::Arc};

use xxhash_rust::xxh3::Xxh3;

use super::{FORMAT, MAGIC, Mark, Section, Snapshot, SnapshotError};
use crate::{
    domain::NOBODY,
    index::{
        Index,
        base::Base,
        building::Building,
        entry::{Entry, Prefix, SEGMENTS},
    },
};

/// How many entries are read and hashed at once.
const ENTRIES: u64 = 1 << 14;

/// A snapshot of which no more was read than what it is one of.
pub struct SnapshotFile<F = File> {
    file: Hashing<F>,
    position: i64,
    mark: Mark,
    sections: u32,
}

impl SnapshotFile {
    /// Opens what [`Index::write_snapshot`] wrote. It waits for the disk.
    pub fn open(path: &Path) -> Result<Self, SnapshotError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Self::begin(file, length)
    }
}

impl<F: Read> SnapshotFile<F> {
    /// Reads the header of so many bytes.
    pub(in crate::index) fn begin(file: F, length: u64) -> Result<Self, SnapshotError> {
        let mut file = Hashing { file, left: length, hash: Xxh3::new() };
        if file.array()? != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let format = u32::from_le_bytes(file.array()?);
        if format != FORMAT {
            return Err(SnapshotError::OtherFormat(format));
        }
        let position = i64::from_le_bytes(file.array()?);
        let mark = file.array()?;
        let sections = u32::from_le_bytes(file.array()?);
        file.check_hash()?;
        Ok(Self { file, position, mark, sections })
    }

    /// The last change of the directory that is in it for certain; later ones may be, and must be
    /// applied.
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// The mark of that change.
    pub const fn mark(&self) -> Mark {
        self.mark
    }

    /// Reads the rest. It waits for the disk, and takes memory for as many bytes at most as the
    /// file has, whatever they are, and some megabytes.
    pub fn read(mut self) -> Result<Snapshot, SnapshotError> {
        let mut sections = Vec::new();
        for _ in 0..self.sections {
            sections.push(self.file.section()?);
        }
        let mut bases = Vec::new();
        for segment in 0..SEGMENTS {
            bases.push(Arc::new(self.file.segment(segment)?));
        }
        if self.file.left > 0 {
            return Err(SnapshotError::Damaged);
        }
        Ok(Snapshot { index: Index::of(bases), sections })
    }
}

impl<F> fmt::Debug for SnapshotFile<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotFile").field("position", &self.position).finish_non_exhaustive()
    }
}

/// A file, how much of it is left, and the hash of what was read.
struct Hashing<R> {
    file: R,
    left: u64,
    hash: Xxh3,
}

impl<R: Read> Hashing<R> {
    fn section(&mut self) -> Result<Section, SnapshotError> {
        let length = u32::from_le_bytes(self.array()?);
        let name = self.bytes(length.into())?;
        let length = u64::from_le_bytes(self.array()?);
        let bytes = self.bytes(length)?;
        self.check_hash()?;
        Ok(Section { name: String::from_utf8(name).map_err(|_| SnapshotError::Damaged)?, bytes })
    }

    fn segment(&mut self, segment: usize) -> Result<Base, SnapshotError> {
        let mut left = u64::from_le_bytes(self.array()?);
        if left > self.left / Entry::BYTES as u64 || left > u32::MAX.into() {
            return Err(SnapshotError::Damaged);
        }
        let keys = usize::try_from(left).map_err(|_| SnapshotError::Damaged)?;
        let mut building = Building::new(keys);
        let mut last: Option<Prefix> = None;
        while left > 0 {
            let some = left.min(ENTRIES);
            left -= some;
            for entry in self.bytes(some * Entry::BYTES as u64)?.as_chunks().0 {
                let entry = Entry::from_bytes(*entry);
                let prefix = entry.prefix();
                let in_order = last.is_none_or(|last| last < prefix);
                if !in_order || prefix.segment() != segment || entry.ordinal() == NOBODY {
                    return Err(SnapshotError::Damaged);
                }
                last = Some(prefix);
                building.push(entry);
            }
        }
        self.check_hash()?;
        Ok(building.finish())
    }

    fn check_hash(&mut self) -> Result<(), SnapshotError> {
        let hash = self.hash.digest();
        let written = u64::from_le_bytes(self.array()?);
        // The fuzz target looks at what is behind.
        if hash == written || cfg!(fuzzing) { Ok(()) } else { Err(SnapshotError::Damaged) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, SnapshotError> {
        if length > self.left {
            return Err(SnapshotError::Damaged);
        }
        let length = usize::try_from(length).map_err(|_| SnapshotError::Damaged)?;
        let mut bytes = vec![0; length];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result<(), SnapshotError> {
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or(SnapshotError::Damaged)?;
        self.file.read_exact(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }
}
