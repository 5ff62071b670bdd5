//! Writing a base.

use super::{
    base::{BUCKETS, Base, HEADER, KEY, LOAD, bytes_of, directory_bytes, read, share},
    entry::{BLOCKS, Entry},
    memory::Memory,
};
use crate::domain::NOBODY;

/// A base that is being written, page by page.
pub(super) struct Building {
    /// Its keys are those of complete pages.
    base: Base,
    /// The page that is being written.
    page: usize,
    /// Where in memory it starts.
    start: usize,
    /// Where in memory its next key goes.
    at: usize,
}

impl Building {
    /// With room for so many keys. Room that is not used takes no memory.
    pub(super) fn new(keys: usize) -> Self {
        Self::with_pages(keys, pages_of(keys), None)
    }

    fn with_pages(keys: usize, pages: usize, spare: Option<Memory>) -> Self {
        let length = bytes_of(pages, keys) + KEY;
        let spare = spare.and_then(|spare| spare.reused(length));
        let mut memory = spare.unwrap_or_else(|| Memory::new(length));
        memory.bytes_mut()[..4].fill(0);
        let base = Base { memory, keys: 0, pages };
        let start = directory_bytes(pages);
        Self { base, page: 0, start, at: start + HEADER }
    }

    /// Adds an entry, after all that are less; none for [`NOBODY`].
    #[inline]
    pub(super) fn push(&mut self, entry: Entry) {
        if entry.ordinal() == NOBODY {
            return;
        }
        self.complete_to(self.base.bucket(entry.prefix()).0);
        let end = self.at + KEY;
        let (fingerprint, ordinal) = self.base.memory.bytes_mut()[self.at..end].split_at_mut(8);
        fingerprint.copy_from_slice(&entry.prefix().fingerprint().to_le_bytes());
        ordinal.copy_from_slice(&entry.ordinal().to_le_bytes());
        self.at = end;
    }

    /// Completes it.
    pub(super) fn finish(mut self) -> Base {
        self.complete_to(BLOCKS * self.base.pages);
        self.base
    }

    /// Adds a page of another base with as many pages.
    fn copy_page(&mut self, page: usize, bytes: &[u8]) {
        self.complete_to(page);
        self.at = self.start + bytes.len();
        self.base.memory.bytes_mut()[self.start..self.at].copy_from_slice(bytes);
        self.next_page();
    }

    /// Completes the pages before this one.
    #[inline]
    fn complete_to(&mut self, page: usize) {
        while self.page < page {
            self.write_header();
            self.next_page();
        }
    }

    fn write_header(&mut self) {
        let bytes = &mut self.base.memory.bytes_mut()[self.start..self.at];
        let (header, keys) = bytes.split_at_mut(HEADER);
        if keys.is_empty() {
            header.fill(0);
            return;
        }
        let mut counts = [0_usize; HEADER];
        for key in keys.as_chunks().0 {
            let (fingerprint, _) = read(key);
            counts[share(fingerprint, self.base.pages * BUCKETS) % BUCKETS] += 1;
        }
        let mut before = 0;
        for (header, count) in header.iter_mut().zip(counts) {
            *header = u8::try_from(before).unwrap_or(u8::MAX);
            before += count;
        }
    }

    /// Writes how many keys are before the next page.
    #[expect(clippy::cast_possible_truncation, reason = "2^32 keys of a segment fit no memory")]
    fn next_page(&mut self) {
        self.base.keys += (self.at - self.start - HEADER) / KEY;
        self.page += 1;
        let before = (self.base.keys as u32).to_le_bytes();
        self.base.memory.bytes_mut()[4 * self.page..][..4].copy_from_slice(&before);
        self.start = self.at;
        self.at += HEADER;
    }
}

/// How many pages a block has when it is made for so many keys in all.
fn pages_of(keys: usize) -> usize {
    keys.div_ceil(BLOCKS * LOAD).max(1)
}

impl Base {
    /// This with changes, which must be in strictly ascending order and of this segment. It is
    /// written over `spare`, if there is room: to get new memory costs more than all the rest.
    pub(super) fn merged(&self, segment: usize, changes: &[Entry], spare: Option<Memory>) -> Self {
        let most = self.keys + changes.iter().filter(|it| it.ordinal() != NOBODY).count();
        let full = BLOCKS * self.pages * LOAD;
        // Pages keep their bounds while they are neither too full nor too empty, so that those
        // without a change can be copied.
        let alike = most >= full / 4 * 3 && most <= full / 8 * 9;
        let pages = if alike { self.pages } else { pages_of(most) };
        let mut building = Building::with_pages(most, pages, spare);
        let mut changes = changes;
        for page in 0..BLOCKS * self.pages {
            let here = changes.iter().take_while(|it| self.bucket(it.prefix()).0 == page);
            let (here, later) = changes.split_at(here.count());
            changes = later;
            if alike && here.is_empty() {
                building.copy_page(page, self.page(page));
                continue;
            }
            let mut here = here.iter().peekable();
            for entry in self.entries_of(segment, page) {
                while let Some(change) = here.next_if(|it| it.prefix() < entry.prefix()) {
                    building.push(*change);
                }
                if here.peek().is_none_or(|it| it.prefix() != entry.prefix()) {
                    building.push(entry);
                }
            }
            here.for_each(|change| building.push(*change));
        }
        building.finish()
    }
}
