//! The part of a segment that does not change: sorted, without gaps, 12.45 bytes a key.

use std::hint::select_unpredictable;

use super::{
    building::Building,
    entry::{BLOCKS, Entry, Prefix},
    memory::{Memory, prefetch},
};
use crate::domain::NOBODY;

/// Keys in a page, on average.
pub(super) const LOAD: usize = 160;

/// Buckets in a page.
pub(super) const BUCKETS: usize = 64;

/// Bytes that a page begins with: how many of its keys are before each bucket, and after the last
/// one (u8; 255 where there are more).
pub(super) const HEADER: usize = BUCKETS + 1;

/// Bytes of a key: its fingerprint (u64) and its ordinal (u32).
pub(super) const KEY: usize = 12;

/// Keys that are read of a bucket, however many it has: 2.5 on average, more than this once in a
/// thousand buckets.
const READ: usize = 8;

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Sorted keys and their ordinals.
///
/// A block is divided into pages and a page into buckets, each for an equal share of the
/// fingerprints, so that buckets of uniform keys are alike however many keys there are. A page is
/// short (2 KB): once it is known where it starts, a key costs a miss of the TLB or two, and not
/// one for each array that it would be looked up in. The directory, where pages start, has 4 bytes
/// for 160 keys, much of which a cache holds.
pub(super) struct Base {
    /// The directory: how many keys are before each page, and after the last one (u32). The pages,
    /// each a header and its keys. Room for a key that is read but not used.
    pub(super) memory: Memory,
    pub(super) keys: usize,
    /// In a block.
    pub(super) pages: usize,
}

impl Default for Base {
    fn default() -> Self {
        Building::new(0).finish()
    }
}

impl Base {
    /// How many keys there are.
    pub(super) const fn keys(&self) -> usize {
        self.keys
    }

    /// How many bytes they take.
    pub(super) const fn bytes(&self) -> usize {
        bytes_of(self.pages, self.keys)
    }

    /// Its memory, to be written over.
    pub(super) fn into_memory(self) -> Memory {
        self.memory
    }

    /// All entries in ascending order, as of this segment.
    pub(super) fn entries(&self, segment: usize) -> impl Iterator<Item = Entry> {
        (0..BLOCKS * self.pages).flat_map(move |page| self.entries_of(segment, page))
    }

    /// The entries of a page.
    pub(super) fn entries_of(&self, segment: usize, page: usize) -> impl Iterator<Item = Entry> {
        let block = page / self.pages;
        self.page(page)[HEADER..].as_chunks().0.iter().map(move |key| {
            let (fingerprint, ordinal) = read(key);
            Entry::new(Prefix::new(segment, block, fingerprint), ordinal)
        })
    }

    /// The bytes of a page.
    pub(super) fn page(&self, page: usize) -> &[u8] {
        let (directory, pages) = self.parts();
        let [from, to] = [page, page + 1].map(|it| HEADER * it + KEY * keys_before(directory, it));
        &pages[from..to]
    }

    /// The page in this segment and the bucket in this page that a key belongs to.
    #[inline]
    pub(super) const fn bucket(&self, prefix: Prefix) -> (usize, usize) {
        let share = share(prefix.fingerprint(), self.pages * BUCKETS);
        (prefix.block() * self.pages + share / BUCKETS, share % BUCKETS)
    }

    /// Where a key is if it is anywhere.
    #[inline]
    pub(super) fn place(&self, prefix: Prefix) -> Place<'_> {
        let (directory, pages) = self.parts();
        let (page, bucket) = self.bucket(prefix);
        let (at, keys_at) = (HEADER * page + bucket, HEADER - bucket);
        let fingerprint = prefix.fingerprint();
        Place { fingerprint, directory, pages, page, at, keys_at, keys: 0 }
    }

    /// The directory and the pages.
    #[inline]
    fn parts(&self) -> (&[[u8; 4]], &[u8]) {
        let (directory, pages) = self.memory.bytes().split_at(directory_bytes(self.pages));
        (directory.as_chunks().0, pages)
    }
}

/// Where a key is if it is anywhere, as far as is known. The steps must be taken in their order;
/// each asks memory for what the next one reads.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    fingerprint: u64,
    directory: &'a [[u8; 4]],
    pages: &'a [u8],
    page: usize,
    /// Where in the pages the header has its bucket, but for the keys before; then where keys are.
    at: usize,
    /// How far after that the page's keys begin.
    keys_at: usize,
    /// How many keys are in its bucket.
    keys: usize,
}

impl Place<'_> {
    /// Asks for the directory.
    #[inline]
    pub(super) fn ask(&self) {
        prefetch(self.directory, self.page);
    }

    /// Reads the directory and asks for the header.
    #[inline]
    pub(super) fn find_page(&mut self) {
        self.at += KEY * keys_before(self.directory, self.page);
        prefetch(self.pages, self.at);
    }

    /// Reads the header and asks for the keys: for two lines, which nearly always is all.
    #[inline]
    pub(super) fn find_keys(&mut self) {
        let [start, mut end] = [0, 1].map(|next| usize::from(self.pages[self.at + next]));
        if end == usize::from(u8::MAX) {
            // More keys than the header can say. What is between is this bucket's and later ones'.
            end =
                keys_before(self.directory, self.page + 1) - keys_before(self.directory, self.page);
        }
        self.at += self.keys_at + KEY * start;
        self.keys = end - start;
        prefetch(self.pages, self.at);
        prefetch(self.pages, self.at + LINE);
    }

    /// The key's ordinal, or [`NOBODY`]. Nothing is decided on what is read, and as much is read of
    /// a bucket without the key, which is smaller by one on average, as of the key's own.
    #[inline]
    pub(super) fn find(&self) -> u32 {
        let mut found = NOBODY;
        let mut compare = |key: &[u8; KEY]| {
            let (fingerprint, ordinal) = read(key);
            found = select_unpredictable(fingerprint == self.fingerprint, ordinal, found);
        };
        let last = self.keys.max(1) - 1;
        let keys = self.pages[self.at..self.at + KEY * (last + 1)].as_chunks().0;
        for at in 0..READ {
            compare(&keys[at.min(last)]);
        }
        keys.iter().skip(READ).for_each(compare);
        // What was read of an empty bucket is not its own.
        select_unpredictable(self.keys == 0, NOBODY, found)
    }
}

/// Bytes of a base with so many pages in a block and keys in all.
pub(super) const fn bytes_of(pages: usize, keys: usize) -> usize {
    directory_bytes(pages) + BLOCKS * pages * HEADER + keys * KEY
}

/// Those of its directory.
pub(super) const fn directory_bytes(pages: usize) -> usize {
    4 * (BLOCKS * pages + 1)
}

/// Which of so many equal shares of their range a fingerprint is in.
///
/// The multiplication of D. Lemire, "Fast random integer generation in an interval" (2019), with a
/// fingerprint's upper half. It keeps the order.
#[inline]
pub(super) const fn share(fingerprint: u64, shares: usize) -> usize {
    (((fingerprint >> 32) * shares as u64) >> 32) as usize
}

/// A key's fingerprint and ordinal.
#[inline]
pub(super) fn read(key: &[u8; KEY]) -> (u64, u32) {
    // The array is long enough for both: neither is ever missing.
    let fingerprint = key.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let ordinal = key.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    (fingerprint, ordinal)
}

/// How many keys the directory has before a page.
#[inline]
const fn keys_before(directory: &[[u8; 4]], page: usize) -> usize {
    u32::from_le_bytes(directory[page]) as usize
}
