//! From match key to ordinal, in memory. Uploads ask nothing else who is in the directory: a key
//! that is not here is nobody's, and no store is asked about it, so that a miss takes no longer
//! than a hit.
//!
//! ```text
//! key ─6 bits─▶ Segment ─┬▶ Delta: what changed since the base was made, a hash table
//!                        └▶ Base: the rest, sorted ─10 bits─▶ block ─64 bits─▶ page ▶ bucket
//! ```
//!
//! A probe is answered by the delta, or else by the base; it reads both, whichever answers. A
//! segment whose delta has grown is merged by itself, so that the index needs the room of one
//! segment more than it has, and not of two indices.

mod base;
mod building;
mod delta;
mod entry;
mod loading;
mod memory;
mod probe;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use identifiers::MatchKey;

#[cfg(any(test, fuzzing))]
pub(crate) use self::snapshot::fuzzing;
use self::{
    base::Base,
    delta::Delta,
    entry::{Entry, Prefix, SEGMENTS},
    memory::Memory,
    probe::probe,
};
pub use self::{
    loading::Loading,
    snapshot::{Mark, Section, Snapshot, SnapshotError, SnapshotFile},
};
use crate::domain::NOBODY;

/// How many keys are probed before a change gets its turn: some 70 microseconds.
const PROBES: usize = 1024;

/// How many keys are changed before a probe gets its turn: some 30 microseconds.
const CHANGES: usize = 256;

/// A segment is merged when as many keys changed as this share of its base. A change then costs the
/// copying of a thousand keys (3 microseconds), and a cache holds most of what changed, which every
/// probe reads.
const SHARE: usize = 1024;

/// Fewer changes than this are not merged.
const FEWEST: usize = 256;

/// A key's new holder; nothing: nobody any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: MatchKey,
    /// Who is found by it now.
    pub ordinal: Option<u32>,
}

/// What there is and the room it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Keys, but for what changed since the last merges.
    pub keys: usize,
    /// Keys that changed since.
    pub changed: usize,
    /// Bytes of memory that both take.
    pub bytes: usize,
}

/// The index.
pub struct Index {
    /// One lock for all segments: it is held for microseconds, and taking one for each key would
    /// cost more than it spares. Read by probes; written by changes, and when a base is replaced.
    segments: RwLock<Box<[Segment]>>,
    /// Held by who changes segments, for as long as it takes: nothing is changed while a base is
    /// made beside the probes, and so nothing is lost when it is put in the place of the old one.
    /// It has the memory of a base that was replaced, to be written over by the next one.
    writing: Mutex<Option<Memory>>,
}

struct Segment {
    base: Arc<Base>,
    delta: Delta,
}

/// Nobody else changes segments while there is one.
type Writing<'a> = MutexGuard<'a, Option<Memory>>;

impl Index {
    /// Appends to `found`, for each key in order, the ordinal of whom it finds, or [`NOBODY`]. Each
    /// key is as it was before a change that is made meanwhile, or as it is after it.
    pub fn probe_many(&self, keys: &[MatchKey], found: &mut Vec<u32>) {
        found.reserve(keys.len());
        for some in keys.chunks(PROBES) {
            probe(&self.read(), some, found);
        }
    }

    /// Applies changes in their order. One to [`NOBODY`] is one to nothing.
    pub fn apply(&self, changes: &[Change]) {
        let mut writing = self.writing();
        for some in changes.chunks(CHANGES) {
            let full: Vec<usize> = {
                let mut segments = self.write();
                for change in some {
                    let prefix = Prefix::of(&change.key);
                    let entry = Entry::new(prefix, change.ordinal.unwrap_or(NOBODY));
                    segments[prefix.segment()].delta.set(entry);
                }
                (0..SEGMENTS).filter(|segment| segments[*segment].is_full()).collect()
            };
            for segment in full {
                self.merge(segment, &mut writing);
            }
        }
    }

    /// Of the bases of all segments.
    fn of(bases: impl IntoIterator<Item = Arc<Base>>) -> Self {
        let segment = |base| Segment { base, delta: Delta::default() };
        let segments = bases.into_iter().map(segment).collect();
        Self { segments: RwLock::new(segments), writing: Mutex::default() }
    }

    /// What there is and the room it takes.
    pub fn size(&self) -> Size {
        self.read().iter().fold(Size::default(), |size, Segment { base, delta }| Size {
            keys: size.keys + base.keys(),
            changed: size.changed + delta.keys(),
            bytes: size.bytes + base.bytes() + delta.bytes(),
        })
    }

    /// Makes a base of all that is in a segment, and gives it.
    fn merge(&self, segment: usize, writing: &mut Writing<'_>) -> Arc<Base> {
        let (base, changes) = {
            let segments = self.read();
            (segments[segment].base.clone(), segments[segment].delta.sorted())
        };
        if changes.is_empty() {
            return base;
        }
        let merged = Arc::new(base.merged(segment, &changes, writing.take()));
        drop(base);
        let new = Segment { base: merged.clone(), delta: Delta::default() };
        // Given back after the lock: to give memory back takes milliseconds, for which no probe
        // should wait.
        let old = std::mem::replace(&mut self.write()[segment], new);
        **writing = Arc::into_inner(old.base).map(Base::into_memory);
        merged
    }

    // A panic elsewhere leaves nothing half changed: an entry is written at once, and so is a base.

    fn read(&self) -> RwLockReadGuard<'_, Box<[Segment]>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Box<[Segment]>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> Writing<'_> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Index {
    fn default() -> Self {
        Self::of(std::iter::repeat_n(Arc::new(Base::default()), SEGMENTS))
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Segment {
    fn is_full(&self) -> bool {
        self.delta.keys() >= (self.base.keys() / SHARE).max(FEWEST)
    }
}
