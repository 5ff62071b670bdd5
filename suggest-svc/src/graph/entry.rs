//! An entry of a row: somebody the row's person is related to, and how. Thirty bits are the other
//! one's ordinal, so that a row sorts by it; two say who holds whose number, or that both are
//! connected in the app.

use super::Ordinal;

/// An entry.
pub(super) type Entry = u32;

/// The row's person holds the other one's number.
pub(super) const HOLDS: u32 = 1;
/// The other one holds the number of the row's person.
pub(super) const HELD: u32 = 2;
/// An edge of the graph: each holds the other's number, or they are connected.
pub(super) const EDGE: u32 = HOLDS | HELD;

/// Ordinals are below this.
pub(super) const MOST_PEOPLE: Ordinal = 1 << 30;

#[inline]
pub(super) const fn entry(person: Ordinal, flags: u32) -> Entry {
    person << 2 | flags
}

#[inline]
pub(super) const fn person(entry: Entry) -> Ordinal {
    entry >> 2
}

#[inline]
pub(super) const fn flags(entry: Entry) -> u32 {
    entry & EDGE
}

/// Where a person stands in a row, or would.
#[inline]
pub(super) fn place(row: &[Entry], of: Ordinal) -> Result<usize, usize> {
    row.binary_search_by_key(&of, |entry| person(*entry))
}
