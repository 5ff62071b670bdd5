//! Rows that change: an immutable base, and in front of it whole rows that were changed since.
//!
//! A base is replaced by merging: what has changed so far is frozen, a new base is written beside
//! the calls, and takes the place of both; what changes meanwhile stands in front of it. A removed
//! entry is one that the changed row has not: so a row is always one slice.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{
    Ordinal,
    bits::Bits,
    csr::{Csr, Rows},
    entry::{Entry, entry, flags, place},
};

type Changed = HashMap<Ordinal, Vec<Entry>>;

/// Who is related to whom.
#[derive(Debug, Default)]
pub(super) struct Adjacency {
    base: Arc<Csr>,
    frozen: Option<Arc<Changed>>,
    recent: Changed,
    /// Whose rows are in `recent` or `frozen`.
    changed: Bits,
    /// Whose rows have entries, or had since the base was made: nothing is looked up for the others.
    used: Bits,
    /// Entries of `recent` when they were put there, and those that came since.
    changed_entries: usize,
}

/// A base in the making.
#[derive(Debug, Clone)]
pub(super) struct Merge {
    base: Arc<Csr>,
    changed: Arc<Changed>,
}

impl Adjacency {
    pub(super) fn new(base: Csr) -> Self {
        let used = used(&base, &Changed::default());
        Self { base: Arc::new(base), used, ..Self::default() }
    }

    /// A person's row, in ascending order.
    #[inline]
    pub(super) fn row(&self, person: Ordinal) -> &[Entry] {
        if !self.used.has(person) {
            &[]
        } else if self.changed.has(person) {
            self.changed_row(person)
        } else {
            self.base.row(person)
        }
    }

    /// Reads a number of every 64 bytes of a row, and gives what means nothing: the row is at hand
    /// afterwards.
    #[inline]
    pub(super) fn touch(&self, person: Ordinal) -> Entry {
        self.row(person).iter().step_by(64 / size_of::<Entry>()).fold(0, |all, entry| all ^ entry)
    }

    fn changed_row(&self, person: Ordinal) -> &[Entry] {
        let frozen = || self.frozen.as_ref()?.get(&person);
        let changed = self.recent.get(&person).or_else(frozen);
        changed.map_or_else(|| self.base.row(person), Vec::as_slice)
    }

    /// How two people are related; 0: not.
    #[inline]
    pub(super) fn flags(&self, of: Ordinal, other: Ordinal) -> u32 {
        let row = self.row(of);
        place(row, other).map_or(0, |place| flags(row[place]))
    }

    /// Says how they are related from the side of `of`; 0: not at all. Gives how they were.
    pub(super) fn set(&mut self, of: Ordinal, other: Ordinal, new: u32) -> u32 {
        // Most of what is said of changed rows is new: looked for once, there.
        let is_recent =
            self.changed.has(of) && (self.frozen.is_none() || self.recent.contains_key(&of));
        if !is_recent {
            let before = self.flags(of, other);
            if before == new {
                return before;
            }
            let row = self.row(of).to_vec();
            self.changed_entries += row.len();
            self.recent.insert(of, row);
            self.changed.set(of, true);
            self.used.set(of, true);
        }
        let Some(row) = self.recent.get_mut(&of) else { return 0 };
        match place(row, other) {
            Ok(place) => {
                let before = flags(row[place]);
                if new == 0 {
                    row.remove(place);
                } else {
                    row[place] = entry(other, new);
                }
                before
            }
            Err(place) => {
                if new != 0 {
                    row.insert(place, entry(other, new));
                    self.changed_entries += 1;
                }
                0
            }
        }
    }

    /// Whether there is as much in front of the base as would be worth a new one.
    pub(super) fn is_worth_merging(&self) -> bool {
        self.frozen.is_none() && self.changed_entries > MERGE_FROM + self.base.entries() / 4
    }

    /// Freezes what has changed so far. Nothing while another base is in the making.
    pub(super) fn begin_merge(&mut self) -> Option<Merge> {
        if self.frozen.is_some() {
            return None;
        }
        let changed = Arc::new(std::mem::take(&mut self.recent));
        self.changed_entries = 0;
        self.frozen = Some(changed.clone());
        Some(Merge { base: self.base.clone(), changed })
    }

    /// Takes the new base.
    pub(super) fn finish_merge(&mut self, base: Csr) {
        self.used = used(&base, &self.recent);
        self.base = Arc::new(base);
        let mut changed = Bits::default();
        self.recent.keys().for_each(|person| changed.set(*person, true));
        (self.frozen, self.changed) = (None, changed);
    }

    /// No new base was made: what was frozen is in front of the old one as before.
    pub(super) fn give_up_merge(&mut self) {
        let Some(frozen) = self.frozen.take() else { return };
        for (person, row) in frozen.iter() {
            if !self.recent.contains_key(person) {
                self.changed_entries += row.len();
                self.recent.insert(*person, row.clone());
            }
        }
    }

    /// Bytes in memory or mapped, about.
    pub(super) fn bytes(&self) -> usize {
        let changed = self.frozen.iter().flat_map(|frozen| frozen.values());
        let changed: usize =
            changed.chain(self.recent.values()).map(|row| 48 + 4 * row.capacity()).sum();
        self.base.bytes() + changed
    }
}

fn used(base: &Csr, changed: &Changed) -> Bits {
    let mut used = Bits::default();
    // As many rows as ordinals.
    let rows = Ordinal::try_from(base.rows()).unwrap_or(Ordinal::MAX);
    (0..rows).for_each(|person| used.set(person, !base.row(person).is_empty()));
    changed.keys().for_each(|person| used.set(*person, true));
    used
}

/// Entries in front of a base of any size before a new one is made.
const MERGE_FROM: usize = 1 << 20;

impl Merge {
    /// A row of the new base.
    pub(super) fn row(&self, person: Ordinal) -> &[Entry] {
        self.changed.get(&person).map_or_else(|| self.base.row(person), Vec::as_slice)
    }

    /// The new base in memory, with so many people.
    pub(super) fn in_memory(&self, people: Ordinal) -> Csr {
        let mut rows = Rows::with_capacity(people as usize, self.base.entries());
        for person in 0..people {
            rows.push(self.row(person).iter().copied());
        }
        rows.finish()
    }
}
