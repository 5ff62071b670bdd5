//! What the writer keeps account of.

use super::{
    Refused,
    block::{MAX_ROWS, slot_of},
};

/// What the writer knows of a chunk beyond what readers see.
///
/// A slot is given to another row only when no entry names it and no reader sees its row. The
/// counts change after what readers see, so that a panic in between can leak a slot, but never
/// show a person in a row that she is not in.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// How many entries name a slot; with `DEAD`, they count for nothing.
    entries: Vec<u32>,
    free: Vec<u32>,
    /// How many entries count for nothing.
    dead: usize,
    /// The block at which sweeping goes on.
    pub(super) swept_to: usize,
    /// How many endings there had been when ended rows were given up here.
    pub(super) endings: u64,
}

const DEAD: u32 = 1 << 31;

impl Ledger {
    /// The ledger of a chunk whose rows have so many entries each.
    pub(super) fn new(entries: Vec<u32>, endings: u64) -> Self {
        Self { entries, endings, ..Self::default() }
    }

    /// How many entries there are, those included that count for nothing.
    pub(super) fn entries(&self) -> usize {
        self.entries.iter().map(|entries| (entries & !DEAD) as usize).sum()
    }

    /// How many entries count for nothing.
    pub(super) const fn dead(&self) -> usize {
        self.dead
    }

    /// How many slots there are.
    pub(super) const fn slots(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_dead(&self, slot: u32) -> bool {
        self.entries[slot as usize] & DEAD != 0
    }

    pub(super) fn check_room(&self, rows: usize) -> Result<(), Refused> {
        let room = self.free.len() + (MAX_ROWS - self.entries.len());
        if rows > room { Err(Refused::Full) } else { Ok(()) }
    }

    pub(super) fn claim(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            if self.entries.len() == self.entries.capacity() {
                // By an eighth, where `Vec` alone would double.
                self.entries.reserve_exact(1 + self.entries.len() / 8);
            }
            self.entries.push(0);
            // There was room: it fits.
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// A row's entries count for nothing as soon as readers do not see the row.
    pub(super) fn retire(&mut self, slot: u32) {
        let entries = &mut self.entries[slot as usize];
        if *entries & DEAD == 0 {
            self.dead += *entries as usize;
            *entries |= DEAD;
        }
    }

    /// Keeps account of a change that readers see now: slots that were retired, entries that were
    /// dropped, and slots with how many entries they got.
    pub(super) fn book(&mut self, retired: &[u32], dropped: &[u32], added: &[(u32, u32)]) {
        for dropped in dropped {
            let entries = &mut self.entries[slot_of(*dropped) as usize];
            *entries -= 1;
            self.dead -= usize::from(*entries & DEAD != 0);
            self.free_if_unused(slot_of(*dropped));
        }
        for slot in retired {
            self.free_if_unused(*slot);
        }
        for (slot, entries) in added {
            self.entries[*slot as usize] += entries;
        }
    }

    fn free_if_unused(&mut self, slot: u32) {
        let entries = &mut self.entries[slot as usize];
        if *entries == DEAD {
            *entries = 0;
            self.free.push(slot);
        }
    }
}
