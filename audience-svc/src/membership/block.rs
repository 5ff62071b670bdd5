//! A block: the memberships of people whose ordinals follow one another.

use std::mem;

/// How many of an entry's bits say which person of the block.
const PERSON_BITS: u32 = 6;

/// How many say which row of the chunk.
const SLOT_BITS: u32 = 32 - PERSON_BITS;

/// How many rows a chunk can hold, those included that await sweeping.
pub(super) const MAX_ROWS: usize = 1 << SLOT_BITS;

/// How many blocks a chunk has.
pub(super) const BLOCKS: usize = 1 << (16 - PERSON_BITS);

/// One entry a membership, ascending: the person's place in the block, then the slot of the row.
/// It is exactly as long as its content, so that a membership costs four bytes.
pub(super) type Block = Box<[u32]>;

/// In which block of its chunk a person is.
pub(super) const fn block_of(ordinal: u32) -> usize {
    ((ordinal & 0xffff) >> PERSON_BITS) as usize
}

/// The entry that says: this person is in the row of this slot.
pub(super) const fn entry(ordinal: u32, slot: u32) -> u32 {
    // What is above the person's place in the block is shifted out.
    (ordinal << SLOT_BITS) | slot
}

/// The slot that an entry names.
pub(super) const fn slot_of(entry: u32) -> u32 {
    entry & (u32::MAX >> PERSON_BITS)
}

/// A set of people of one block.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct People(u64);

impl People {
    pub(super) const fn insert(&mut self, ordinal: u32) {
        self.0 |= 1 << (entry(ordinal, 0) >> SLOT_BITS);
    }

    pub(super) const fn has(self, entry: u32) -> bool {
        self.0 >> (entry >> SLOT_BITS) & 1 == 1
    }
}

/// The slots of the rows that a person is in.
pub(super) fn slots(block: &[u32], ordinal: u32) -> impl Iterator<Item = u32> {
    let first = entry(ordinal, 0);
    let from = block.partition_point(|entry| *entry < first);
    let of_person = move |entry: &&u32| (**entry ^ first) >> SLOT_BITS == 0;
    block[from..].iter().take_while(of_person).map(|entry| slot_of(*entry))
}

/// The block of entries that are ascending but for the people in them.
pub(super) fn sorted(entries: &[u32]) -> Block {
    let mut ends = [0; 1 << PERSON_BITS];
    for entry in entries {
        ends[(entry >> SLOT_BITS) as usize] += 1;
    }
    let mut total = 0;
    for end in &mut ends {
        total += mem::replace(end, total);
    }
    let mut block = vec![0; entries.len()].into_boxed_slice();
    for entry in entries {
        let end = &mut ends[(entry >> SLOT_BITS) as usize];
        block[*end] = *entry;
        *end += 1;
    }
    block
}

/// A block with more entries, which are ascending and not in it.
pub(super) fn with(block: &[u32], more: impl ExactSizeIterator<Item = u32>) -> Block {
    let mut all = Vec::with_capacity(block.len() + more.len());
    let mut rest = block;
    for entry in more {
        let (before, after) = rest.split_at(rest.partition_point(|other| *other < entry));
        all.extend_from_slice(before);
        all.push(entry);
        rest = after;
    }
    all.extend_from_slice(rest);
    all.into_boxed_slice()
}
