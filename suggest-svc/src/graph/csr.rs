//! Rows one after the other (compressed sparse rows): in memory, or mapped from a snapshot.

use std::{ops::Range, sync::Arc};

use memmap2::Mmap;

use super::{Ordinal, entry::Entry};

/// Rows that do not change any more.
#[derive(Debug, Default)]
pub(super) struct Csr {
    /// By ordinal: where the row ends. It begins where the one before ends.
    ends: Part<u64>,
    entries: Part<Entry>,
}

/// Numbers in memory or in a mapped file.
#[derive(Debug)]
pub(super) enum Part<T> {
    Owned(Vec<T>),
    /// Bytes of it, aligned and of a whole number of numbers.
    Mapped(Arc<Mmap>, Range<usize>),
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

impl<T: bytemuck::Pod> Part<T> {
    /// Bytes of a mapped file; nothing when they are not such numbers.
    pub(super) fn mapped(map: &Arc<Mmap>, range: Range<usize>) -> Option<Self> {
        let bytes = map.get(range.clone())?;
        bytemuck::try_cast_slice::<u8, T>(bytes).ok()?;
        Some(Self::Mapped(map.clone(), range))
    }

    #[inline]
    pub(super) fn get(&self) -> &[T] {
        match self {
            Self::Owned(numbers) => numbers,
            Self::Mapped(map, range) => bytemuck::cast_slice(&map[range.clone()]),
        }
    }
}

impl Csr {
    /// Nothing, when they do not fit together.
    pub(super) fn of(ends: Part<u64>, entries: Part<Entry>) -> Option<Self> {
        let ascending = ends.get().is_sorted();
        let last = ends.get().last().copied().unwrap_or(0);
        (ascending && usize::try_from(last) == Ok(entries.get().len()))
            .then_some(Self { ends, entries })
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.ends.get().len()
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> usize {
        self.all().len()
    }

    /// All rows, one after the other.
    pub(super) fn all(&self) -> &[Entry] {
        self.entries.get()
    }

    /// Bytes in memory or mapped.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.ends.get()) + size_of_val(self.entries.get())
    }

    /// A person's row; empty for those who came later.
    #[inline]
    pub(super) fn row(&self, person: Ordinal) -> &[Entry] {
        let (ends, person) = (self.ends.get(), person as usize);
        let Some(end) = ends.get(person) else { return &[] };
        let start = if person == 0 { 0 } else { ends[person - 1] };
        // What fits into memory has such places.
        #[allow(clippy::cast_possible_truncation)]
        &self.entries.get()[start as usize..*end as usize]
    }
}

/// Writes rows in memory, in the order of ordinals.
#[derive(Debug, Default)]
pub(super) struct Rows {
    ends: Vec<u64>,
    entries: Vec<Entry>,
}

impl Rows {
    pub(super) fn with_capacity(rows: usize, entries: usize) -> Self {
        Self { ends: Vec::with_capacity(rows), entries: Vec::with_capacity(entries) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The next row.
    pub(super) fn push(&mut self, row: impl IntoIterator<Item = Entry>) {
        self.entries.extend(row);
        self.ends.push(self.entries.len() as u64);
    }

    pub(super) fn finish(self) -> Csr {
        Csr { ends: Part::Owned(self.ends), entries: Part::Owned(self.entries) }
    }
}
