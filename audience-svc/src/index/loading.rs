//! Making an index of keys that come in any order.

use std::fmt;

use identifiers::MatchKey;

use super::{
    Index,
    base::Base,
    entry::{Entry, Prefix, SEGMENTS},
};

/// How many keys of a segment are collected before they are merged: with all segments at once it is
/// the room that making an index takes beside it, 14 bytes for each.
const COLLECTED: usize = if cfg!(test) { 300 } else { 1 << 21 };

/// An index that is being made.
pub struct Loading {
    segments: Vec<(Base, Vec<Entry>)>,
}

impl Loading {
    /// Adds an entry. Of those with one key, the last counts.
    pub fn insert(&mut self, key: MatchKey, ordinal: u32) {
        let prefix = Prefix::of(&key);
        let segment = prefix.segment();
        let collected = &mut self.segments[segment].1;
        collected.push(Entry::new(prefix, ordinal));
        if collected.len() >= COLLECTED {
            self.merge(segment);
        }
    }

    /// The index of all that was added.
    pub fn finish(mut self) -> Index {
        (0..SEGMENTS).for_each(|segment| self.merge(segment));
        Index::of(self.segments.into_iter().map(|(base, _)| base.into()))
    }

    fn merge(&mut self, segment: usize) {
        let (base, collected) = &mut self.segments[segment];
        let mut entries = std::mem::take(collected);
        // Stable: of those with one prefix, the last one stays the last.
        entries.sort_by_key(|entry| entry.prefix());
        entries.dedup_by(|next, one| {
            let same = next.prefix() == one.prefix();
            *one = if same { *next } else { *one };
            same
        });
        if !entries.is_empty() {
            *base = base.merged(segment, &entries, None);
        }
    }
}

impl Default for Loading {
    fn default() -> Self {
        Self { segments: (0..SEGMENTS).map(|_| (Base::default(), Vec::new())).collect() }
    }
}

impl fmt::Debug for Loading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loading").finish_non_exhaustive()
    }
}
