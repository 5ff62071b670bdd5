//! The index in a file, so that a start does not read the whole directory from the store.
//!
//! ```text
//! header      magic (8), format (u32), position (i64), mark (16), sections (u32)
//! sections    each: name's length (u32), name, length (u64), bytes
//! segments    each: entries (u64), the entries: prefix (10), ordinal (u32, big-endian)
//! ```
//!
//! The header, each section and each segment are followed by the XXH3-64 of all bytes of the file
//! before. Numbers are little-endian but for entries, which sort as their keys do. The checksums
//! find accidents; who can write the file can write any. It has 80 bits of each match key, which
//! without the service's secret lead to nobody.
//!
//! It is read into memory and not mapped: a mapped page can be dropped at any time, and a probe
//! would wait for a disk.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod read;
#[cfg(test)]
pub(super) mod tests;
mod write;

use std::io;

use thiserror::Error;

use super::Index;
pub use read::SnapshotFile;

const MAGIC: [u8; 8] = *b"assentix";

/// What is written, and all that is read. Other numbers of segments or bits are another format.
const FORMAT: u32 = 1;

/// Tells histories of a directory apart which have a change of this number: those of another
/// database, or of this one before it was set back to a copy.
pub type Mark = [u8; 16];

/// What a snapshot has.
#[derive(Debug)]
pub struct Snapshot {
    /// The index.
    pub index: Index,
    /// What else was written.
    pub sections: Vec<Section>,
}

/// Something else that is kept with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why there is no snapshot. Whatever it is, the store has all that would be in one.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The file system refused; where there is no file, with [`io::ErrorKind::NotFound`].
    #[error("a snapshot of the index cannot be read or written")]
    Io(#[from] io::Error),
    /// The file is something else.
    #[error("not a snapshot of the index")]
    NotASnapshot,
    /// It has a format that this version does not read.
    #[error("a snapshot of the index in format {0}")]
    OtherFormat(u32),
    /// It is not as it was written.
    #[error("a damaged snapshot of the index")]
    Damaged,
}
