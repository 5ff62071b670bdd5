//! The memberships of the 65,536 people whose ordinals have the same upper half.

use std::{
    mem,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use roaring::RoaringBitmap;

use super::{
    Cohort, Refused,
    block::{self, BLOCKS, Block, MAX_ROWS, People, block_of, entry, slot_of},
    ledger::Ledger,
};

/// A cohort, as the rows of all chunks share it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) cohort: Cohort,
    ended: AtomicBool,
}

impl Listed {
    pub(super) const fn new(cohort: Cohort) -> Self {
        Self { cohort, ended: AtomicBool::new(false) }
    }

    /// From now on it counts for nothing, in every chunk.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// What the members of a cohort are in one chunk: a row of the database.
pub(super) type Row<'a> = (Arc<Listed>, &'a RoaringBitmap);

/// What readers see.
#[derive(Debug)]
struct Shown {
    /// By slot; nothing where entries count for nothing, or none are.
    rows: Vec<Option<Arc<Listed>>>,
    /// Of `BLOCKS`.
    blocks: Box<[Block]>,
}

impl Shown {
    /// The rows with more room, if so many slots do not fit: an eighth, where `Vec` would double.
    fn with_room_for(&self, slots: usize) -> Option<Vec<Option<Arc<Listed>>>> {
        (slots > self.rows.capacity()).then(|| {
            let mut rows = Vec::with_capacity(slots + slots / 8);
            rows.extend_from_slice(&self.rows);
            rows
        })
    }
}

/// One chunk. There may be one writer at a time, who holds its ledger.
///
/// The writer makes new blocks beside the old ones and exchanges them in one short moment, so that
/// readers never wait for work, and see all of a change or nothing.
#[derive(Debug)]
pub(super) struct Chunk(RwLock<Shown>);

impl Default for Chunk {
    fn default() -> Self {
        Self(RwLock::new(Shown { rows: Vec::new(), blocks: vec![Block::default(); BLOCKS].into() }))
    }
}

impl Chunk {
    /// The cohorts that a person is in and that have not ended.
    pub(super) fn each_cohort(&self, ordinal: u32, mut found: impl FnMut(Cohort)) {
        let shown = self.read();
        for slot in block::slots(&shown.blocks[block_of(ordinal)], ordinal) {
            if let Some(row) = &shown.rows[slot as usize]
                && !row.ended()
            {
                found(row.cohort);
            }
        }
    }

    /// Puts other content in the place of all there is.
    pub(super) fn replace(&self, content: Content) {
        let mut shown = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *shown, content.0);
        drop(shown);
        drop(old);
    }

    /// Puts `rows` in the place of the rows for which `replaced` holds.
    pub(super) fn set(
        &self,
        ledger: &mut Ledger,
        replaced: impl Fn(&Arc<Listed>) -> bool,
        rows: &[Row<'_>],
    ) -> Result<(), Refused> {
        ledger.check_room(rows.len())?;
        let mut change = Change::default();
        let shown = self.read();
        change.retire(&shown, ledger, replaced);
        let mut more = Vec::new();
        for (row, members) in rows.iter().filter(|(_, members)| !members.is_empty()) {
            let slot = ledger.claim();
            change.rows.push((slot, Some(row.clone())));
            change.added.push((slot, count(members)));
            more.extend(members.iter().map(|ordinal| (block_of(ordinal), entry(ordinal, slot))));
        }
        more.sort_unstable();
        for more in more.chunk_by(|one, next| one.0 == next.0) {
            let at = more[0].0;
            let kept = ledger.dead() > 0;
            let kept = kept.then_some(|entry| !ledger.is_dead(slot_of(entry)));
            change.rewrite(&shown, at, more.iter().map(|(_, entry)| *entry), kept);
        }
        drop(shown);
        self.publish(ledger, change);
        Ok(())
    }

    /// Removes people from all rows.
    pub(super) fn forget(&self, ledger: &mut Ledger, people: &[u32]) {
        let mut change = Change::default();
        let shown = self.read();
        for people in people.chunk_by(|one, next| block_of(*one) == block_of(*next)) {
            let mut gone = People::default();
            for ordinal in people {
                gone.insert(*ordinal);
            }
            let kept = |entry| !gone.has(entry) && !ledger.is_dead(slot_of(entry));
            change.rewrite(&shown, block_of(people[0]), [].into_iter(), Some(kept));
        }
        drop(shown);
        self.publish(ledger, change);
    }

    /// Gives up the rows whose cohorts have ended.
    pub(super) fn retire_ended(&self, ledger: &mut Ledger) {
        let mut change = Change::default();
        change.retire(&self.read(), ledger, |row| row.ended());
        self.publish(ledger, change);
    }

    /// Looks through at most so many blocks for what counts for nothing any more, and drops it.
    /// Says how many blocks those were.
    pub(super) fn sweep(&self, ledger: &mut Ledger, budget: usize) -> usize {
        let from = ledger.swept_to;
        let to = BLOCKS.min(from.saturating_add(budget));
        let mut change = Change::default();
        let shown = self.read();
        for at in from..to {
            let kept = |entry| !ledger.is_dead(slot_of(entry));
            change.rewrite(&shown, at, [].into_iter(), Some(kept));
        }
        drop(shown);
        self.publish(ledger, change);
        ledger.swept_to = to % BLOCKS;
        to - from
    }

    fn read(&self) -> RwLockReadGuard<'_, Shown> {
        // Nothing panics while it writes.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, ledger: &mut Ledger, mut change: Change) {
        // More room for rows is made beside, too.
        let mut larger = self.read().with_room_for(ledger.slots());
        let mut shown = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(larger) = &mut larger {
            mem::swap(&mut shown.rows, larger);
        }
        shown.rows.resize(ledger.slots(), None);
        for (at, block) in &mut change.blocks {
            mem::swap(&mut shown.blocks[*at], block);
        }
        for (slot, row) in &mut change.rows {
            mem::swap(&mut shown.rows[*slot as usize], row);
        }
        // What was exchanged is given back to the allocator when nobody waits for it.
        drop(shown);
        ledger.book(&change.retired, &change.dropped, &change.added);
    }
}

/// A chunk's content, made from all its rows.
pub(super) struct Content(Shown);

impl Content {
    pub(super) fn of(rows: &[Row<'_>]) -> Result<Self, Refused> {
        if rows.len() > MAX_ROWS {
            return Err(Refused::Full);
        }
        // A radix sort, by block and then by person; rows come in the order of their slots. The
        // first pass writes to a thousand places, which stay in the cache.
        let mut ends = vec![0; BLOCKS];
        each_member(rows, |_, ordinal| ends[block_of(ordinal)] += 1);
        let mut total = 0;
        for end in &mut ends {
            total += mem::replace(end, total);
        }
        let mut entries = vec![0; total];
        each_member(rows, |slot, ordinal| {
            let end = &mut ends[block_of(ordinal)];
            entries[*end] = entry(ordinal, slot);
            *end += 1;
        });
        let mut from = 0;
        let sorted = |end| block::sorted(&entries[mem::replace(&mut from, end)..end]);
        let blocks = ends.into_iter().map(sorted).collect();
        let rows = rows.iter().map(|(row, _)| Some(row.clone())).collect();
        Ok(Self(Shown { rows, blocks }))
    }
}

/// Each member of each row, with the slot of the row.
fn each_member(rows: &[Row<'_>], mut found: impl FnMut(u32, u32)) {
    // Many at a time: much faster than one by one.
    let mut some = [0; 256];
    for ((_, members), slot) in rows.iter().zip(0..) {
        let mut rest = members.iter();
        loop {
            let some = rest.next_many(&mut some);
            if some.is_empty() {
                break;
            }
            for ordinal in some {
                found(slot, *ordinal);
            }
        }
    }
}

/// How many members a row has: a chunk's worth at most.
pub(super) fn count(members: &RoaringBitmap) -> u32 {
    u32::try_from(members.len()).unwrap_or(u32::MAX)
}

/// What is exchanged at once, and what comes of it.
#[derive(Debug, Default)]
struct Change {
    blocks: Vec<(usize, Block)>,
    rows: Vec<(u32, Option<Arc<Listed>>)>,
    /// Slots whose rows are given up.
    retired: Vec<u32>,
    /// Slots and how many entries they get.
    added: Vec<(u32, u32)>,
    /// The entries that are dropped.
    dropped: Vec<u32>,
    /// Room to work in.
    kept: Vec<u32>,
}

impl Change {
    fn retire(&mut self, shown: &Shown, ledger: &mut Ledger, gone: impl Fn(&Arc<Listed>) -> bool) {
        for (row, slot) in shown.rows.iter().zip(0..) {
            if row.as_ref().is_some_and(&gone) {
                ledger.retire(slot);
                self.rows.push((slot, None));
                self.retired.push(slot);
            }
        }
    }

    /// A block with more entries and without those that are not kept.
    fn rewrite(
        &mut self,
        shown: &Shown,
        at: usize,
        more: impl ExactSizeIterator<Item = u32>,
        kept: Option<impl Fn(u32) -> bool>,
    ) {
        let mut old = &*shown.blocks[at];
        if let Some(kept) = kept {
            self.kept.clear();
            for entry in old {
                if kept(*entry) {
                    self.kept.push(*entry);
                } else {
                    self.dropped.push(*entry);
                }
            }
            if self.kept.len() == old.len() && more.len() == 0 {
                return;
            }
            old = &self.kept;
        }
        self.blocks.push((at, block::with(old, more)));
    }
}
