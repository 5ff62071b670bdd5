//! From person to audiences, in memory: what an ad server's look-up asks in place of the database.
//!
//! The database has rows: for a chunk of 65,536 ordinals and a *cohort* (those members of an
//! audience who leave on the same day), a bitmap. Here each chunk is turned round. Its rows have
//! slots, numbered within the chunk, and for each 64 people a *block* has one sorted array of
//! entries (person, slot), four bytes a membership. A look-up is a binary search in one block.
//! Beside that, a row takes 12 bytes and a block 16; the allocator rounds blocks up.
//!
//! # What a reader may see
//! The database decides; this follows it. A change to one chunk ([`load_chunk`], [`set_chunk`],
//! [`set_audience_chunk`], [`forget`]) is seen whole or not at all by each look-up, and
//! [`end_audience`] by every look-up that starts after it. A list that spans chunks is changed
//! chunk by chunk: meanwhile people of some chunks are found by the new list and people of others
//! by the old one. Nobody is ever found in an audience by neither, and who is in both is found
//! throughout, if all rows of a chunk that change are handed over together.
//!
//! A slot is given to another row only when no entry names it any more. Until then a look-up
//! passes entries of rows that ended or were replaced over; they go when their block is rewritten
//! for another reason, or by [`sweep`].
//!
//! [`load_chunk`]: Memberships::load_chunk
//! [`set_chunk`]: Memberships::set_chunk
//! [`set_audience_chunk`]: Memberships::set_audience_chunk
//! [`forget`]: Memberships::forget
//! [`end_audience`]: Memberships::end_audience
//! [`sweep`]: Memberships::sweep

mod block;
mod chunk;
mod ledger;
#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use roaring::RoaringBitmap;
use thiserror::Error;

use self::{
    block::BLOCKS,
    chunk::{Chunk, Content, Listed},
    ledger::Ledger,
};
use crate::domain::MemberDay;

/// The members of one audience who leave on the same day; also, where a person is looked up, one
/// audience that she is in. Audiences and businesses go by numbers that the caller gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cohort {
    /// The audience. One number means one audience until [`Memberships::end_audience`].
    pub audience: u32,
    /// The day at whose beginning they leave.
    pub expires_on: MemberDay,
    /// The business that the audience belongs to, always the same one.
    pub business: u32,
}

/// Why a change was refused; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// A row has members of another chunk than was said.
    #[error("a row has members outside its chunk")]
    OutsideChunk,
    /// A chunk would have more than 2²⁶ rows, those included that await sweeping.
    #[error("a chunk has too many rows")]
    Full,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Memberships, those included that count for nothing and await sweeping.
    pub entries: usize,
    /// Entries of rows that were replaced, or had ended when sweeping last came by.
    pub dead: usize,
    /// Places for rows, over all chunks.
    pub slots: usize,
    /// Cohorts that have not ended.
    pub cohorts: usize,
}

/// The index. Any number of readers; writers wait for each other.
pub struct Memberships {
    /// By chunk; those that nobody is in are not there.
    chunks: Box<[OnceLock<Box<Chunk>>]>,
    writer: Mutex<Writer>,
}

/// What only changes need.
#[derive(Debug, Default)]
struct Writer {
    cohorts: BTreeMap<Cohort, Arc<Listed>>,
    ledgers: BTreeMap<u16, Ledger>,
    /// How often cohorts have ended.
    endings: u64,
    /// The chunk at which sweeping goes on.
    swept_to: u16,
}

impl Default for Memberships {
    fn default() -> Self {
        let chunks = (0..1 << 16).map(|_| OnceLock::new()).collect();
        Self { chunks, writer: Mutex::default() }
    }
}

impl fmt::Debug for Memberships {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memberships").field("census", &self.census()).finish_non_exhaustive()
    }
}

impl Memberships {
    /// Puts into `found` the audiences that a person is in today, ascending by number, each once
    /// and as the cohort of it that leaves last. What was in `found` is dropped.
    pub fn audiences_of(&self, ordinal: u32, today: MemberDay, found: &mut Vec<Cohort>) {
        found.clear();
        self.each_cohort(ordinal, |cohort| {
            if cohort.expires_on > today {
                found.push(cohort);
            }
        });
        found.sort_unstable_by_key(|cohort| (cohort.audience, Reverse(cohort.expires_on)));
        found.dedup_by_key(|cohort| cohort.audience);
    }

    /// Whether a person is in an audience today.
    pub fn is_in(&self, ordinal: u32, audience: u32, today: MemberDay) -> bool {
        let mut is_in = false;
        self.each_cohort(ordinal, |cohort| {
            is_in |= cohort.audience == audience && cohort.expires_on > today;
        });
        is_in
    }

    fn each_cohort(&self, ordinal: u32, found: impl FnMut(Cohort)) {
        if let Some(chunk) = self.chunks[usize::from(chunk_of(ordinal))].get() {
            chunk.each_cohort(ordinal, found);
        }
    }

    /// Puts the rows that the database has of one chunk in the place of all that is known of it.
    /// Several threads may each load a chunk; it takes another 4 bytes a membership while it
    /// works. What is set in this chunk meanwhile may be lost: follow the changes that were
    /// committed after the rows were read.
    pub fn load_chunk(&self, chunk: u16, rows: &[(Cohort, RoaringBitmap)]) -> Result<(), Refused> {
        rows.iter().try_for_each(|(_, members)| check(chunk, members))?;
        // Slots in the order of audiences, so that look-ups have nothing to sort.
        let mut ordered: Vec<_> = rows.iter().filter(|(_, members)| !members.is_empty()).collect();
        ordered.sort_unstable_by_key(|(cohort, _)| cohort);
        let (rows, endings): (Vec<_>, u64) = {
            let mut writer = self.writer();
            let rows = ordered.iter().map(|(cohort, members)| (writer.listed(*cohort), members));
            (rows.collect(), writer.endings)
        };
        let content = Content::of(&rows)?;
        let entries = rows.iter().map(|(_, members)| chunk::count(members)).collect();
        let mut writer = self.writer();
        writer.ledgers.insert(chunk, Ledger::new(entries, endings));
        self.chunk(chunk).replace(content);
        Ok(())
    }

    /// Says which members a cohort has in one chunk now, as the database does in one row: after an
    /// upload was committed, whatever it did. Takes time in proportion to the members, and about a
    /// nanosecond for each row of the chunk.
    pub fn set_chunk(
        &self,
        cohort: Cohort,
        chunk: u16,
        members: &RoaringBitmap,
    ) -> Result<(), Refused> {
        check(chunk, members)?;
        let mut writer = self.writer();
        let listed = writer.listed(cohort);
        let ledger = writer.ledger(chunk);
        let is_it = |other: &Arc<Listed>| Arc::ptr_eq(other, &listed);
        self.chunk(chunk).set(ledger, is_it, &[(listed.clone(), members)])
    }

    /// Says which members an audience has in one chunk now, whenever they leave: its cohorts that
    /// are not in `rows` have none. This is for REMOVE, and for REPLACE, where it is to be said of
    /// every chunk of the new list and every chunk before [`chunks`](Self::chunks).
    pub fn set_audience_chunk(
        &self,
        audience: u32,
        chunk: u16,
        rows: &[(Cohort, RoaringBitmap)],
    ) -> Result<(), Refused> {
        rows.iter().try_for_each(|(_, members)| check(chunk, members))?;
        let mut writer = self.writer();
        let rows: Vec<_> =
            rows.iter().map(|(cohort, members)| (writer.listed(*cohort), members)).collect();
        let is_its = |other: &Arc<Listed>| other.cohort.audience == audience;
        self.chunk(chunk).set(writer.ledger(chunk), is_its, &rows)
    }

    /// One more than the number of the last chunk that anything was said of.
    pub fn chunks(&self) -> u32 {
        self.writer().ledgers.last_key_value().map_or(0, |(chunk, _)| u32::from(*chunk) + 1)
    }

    /// Nobody is in this audience any more; its number may be given to another one.
    pub fn end_audience(&self, audience: u32) {
        let of = |business, expires_on| Cohort { audience, expires_on, business };
        let all = of(0, MemberDay::MIN)..=of(u32::MAX, MemberDay::MAX);
        let mut writer = self.writer();
        let ended: Vec<Cohort> = writer.cohorts.range(all).map(|(cohort, _)| *cohort).collect();
        for cohort in ended {
            writer.end(cohort);
        }
    }

    /// Gives the cohorts up that have left by today. No look-up finds them anyway; this lets
    /// [`sweep`](Self::sweep) take their memory.
    pub fn drop_ended(&self, today: MemberDay) {
        let mut writer = self.writer();
        let left = |(cohort, listed): (&Cohort, &Arc<Listed>)| {
            // Without any row, it is only remembered here.
            let unused = Arc::strong_count(listed) == 1;
            (unused || cohort.expires_on <= today).then_some(*cohort)
        };
        let left: Vec<Cohort> = writer.cohorts.iter().filter_map(left).collect();
        for cohort in left {
            writer.end(cohort);
        }
    }

    /// Removes people who left the directory; their ordinals are never given to others.
    pub fn forget(&self, people: &RoaringBitmap) {
        let people: Vec<u32> = people.iter().collect();
        let mut writer = self.writer();
        for people in people.chunk_by(|one, next| chunk_of(*one) == chunk_of(*next)) {
            let chunk = chunk_of(people[0]);
            if let Some(ledger) = writer.ledgers.get_mut(&chunk) {
                self.chunk(chunk).forget(ledger, people);
            }
        }
    }

    /// Looks for entries that count for nothing, and drops them, in as many blocks of 64 people as
    /// the budget says; where it left off the next call goes on. When cohorts have ended it looks
    /// at all rows of a chunk once, too. Says whether anything is left.
    pub fn sweep(&self, mut budget: usize) -> bool {
        let mut writer = self.writer();
        let Writer { ledgers, endings, swept_to, .. } = &mut *writer;
        let untidy = |ledger: &Ledger| ledger.dead() > 0 || ledger.endings < *endings;
        loop {
            let (before, after) = (..*swept_to, *swept_to..);
            let next = ledgers.range(after).find(|(_, ledger)| untidy(ledger));
            let next = next.or_else(|| ledgers.range(before).find(|(_, ledger)| untidy(ledger)));
            let Some(number) = next.map(|(number, _)| *number) else { return false };
            let Some(ledger) = ledgers.get_mut(&number) else { return false };
            if budget == 0 {
                return true;
            }
            *swept_to = number;
            let chunk = self.chunk(number);
            if ledger.endings < *endings {
                chunk.retire_ended(ledger);
                ledger.endings = *endings;
            }
            if ledger.dead() > 0 {
                budget -= chunk.sweep(ledger, budget.min(BLOCKS));
            }
        }
    }

    /// Counts.
    pub fn census(&self) -> Census {
        let writer = self.writer();
        let mut census = Census { cohorts: writer.cohorts.len(), ..Census::default() };
        for ledger in writer.ledgers.values() {
            census.entries += ledger.entries();
            census.dead += ledger.dead();
            census.slots += ledger.slots();
        }
        census
    }

    fn chunk(&self, chunk: u16) -> &Chunk {
        self.chunks[usize::from(chunk)].get_or_init(Box::default)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic elsewhere cannot make a wrong answer of what is here: see `Ledger`.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    fn listed(&mut self, cohort: Cohort) -> Arc<Listed> {
        self.cohorts.entry(cohort).or_insert_with(|| Arc::new(Listed::new(cohort))).clone()
    }

    fn ledger(&mut self, chunk: u16) -> &mut Ledger {
        let endings = self.endings;
        self.ledgers.entry(chunk).or_insert_with(|| Ledger::new(Vec::new(), endings))
    }

    fn end(&mut self, cohort: Cohort) {
        if let Some(listed) = self.cohorts.remove(&cohort) {
            listed.end();
            self.endings += 1;
        }
    }
}

/// The chunk of an ordinal: its upper 16 bits.
const fn chunk_of(ordinal: u32) -> u16 {
    let [high, low, ..] = ordinal.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// Whether all members are of this chunk.
fn check(chunk: u16, members: &RoaringBitmap) -> Result<(), Refused> {
    let here = |ordinal| chunk_of(ordinal) == chunk;
    let all = members.min().is_none_or(here) && members.max().is_none_or(here);
    all.then_some(()).ok_or(Refused::OutsideChunk)
}
