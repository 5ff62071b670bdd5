//! What changed in a segment since its base was made.

use std::hint::select_unpredictable;

use super::{
    entry::{Entry, Prefix},
    memory::prefetch,
};

/// Entries in a line of the cache.
const WAYS: usize = 4;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([Entry; WAYS]);

/// Few keys and their ordinals, or [`NOBODY`](crate::domain::NOBODY) for a key that was removed.
///
/// A hash table of lines; a key's own bits are its hash. What finds its line full is in the next
/// one. Nothing is ever taken out, so that where a search ends depends on the lines and not on the
/// key. Yet a key that is there is more often in a full line than one that is not would be. So two
/// lines are always read, and few are full: hardly any search needs a third, for either.
#[derive(Default)]
pub(super) struct Delta {
    /// None, or a power of two.
    lines: Vec<Line>,
    keys: usize,
}

impl Delta {
    /// How many keys there are.
    pub(super) const fn keys(&self) -> usize {
        self.keys
    }

    /// How many bytes they take.
    pub(super) const fn bytes(&self) -> usize {
        self.lines.len() * size_of::<Line>()
    }

    /// Sets a key's ordinal.
    pub(super) fn set(&mut self, entry: Entry) {
        // At most a quarter of the places is taken, so that few lines are full.
        if self.keys * 4 >= self.lines.len() * WAYS {
            let lines = vec![Line([Entry::NONE; WAYS]); (self.lines.len() * 2).max(1)];
            let old = Self { lines: std::mem::replace(&mut self.lines, lines), keys: 0 };
            self.keys = 0;
            old.entries().for_each(|entry| self.place(entry));
        }
        self.place(entry);
    }

    fn place(&mut self, entry: Entry) {
        let mut line = self.home(entry.prefix());
        loop {
            for place in &mut self.lines[line].0 {
                if *place == Entry::NONE {
                    self.keys += 1;
                    *place = entry;
                    return;
                }
                if place.prefix() == entry.prefix() {
                    *place = entry;
                    return;
                }
            }
            line = self.after(line);
        }
    }

    /// Asks for the lines that every search reads.
    #[inline]
    pub(super) fn ask(&self, prefix: Prefix) {
        if !self.lines.is_empty() {
            let home = self.home(prefix);
            prefetch(&self.lines, home);
            prefetch(&self.lines, self.after(home));
        }
    }

    /// The ordinal that a key was set to, or what it has otherwise.
    #[inline]
    pub(super) fn get_or(&self, prefix: Prefix, otherwise: u32) -> u32 {
        let mut found = otherwise;
        if self.lines.is_empty() {
            return found;
        }
        let mut line = self.home(prefix);
        let mut full = true;
        for read in 1.. {
            let entries = &self.lines[line].0;
            for entry in entries {
                found = select_unpredictable(entry.prefix() == prefix, entry.ordinal(), found);
            }
            full &= entries[WAYS - 1] != Entry::NONE;
            if read > 1 && !full {
                break;
            }
            line = self.after(line);
        }
        found
    }

    /// All entries, in ascending order.
    pub(super) fn sorted(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.entries().collect();
        entries.sort_unstable_by_key(|entry| entry.prefix());
        entries
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.lines.iter().flat_map(|line| line.0).filter(|entry| *entry != Entry::NONE)
    }

    /// Chosen by the lowest bits, by which neither segments nor pages are.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower bits are wanted")]
    const fn home(&self, prefix: Prefix) -> usize {
        prefix.fingerprint() as usize & (self.lines.len() - 1)
    }

    #[inline]
    const fn after(&self, line: usize) -> usize {
        (line + 1) & (self.lines.len() - 1)
    }
}
