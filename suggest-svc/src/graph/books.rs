//! Whose numbers people hold: their address books, as far as they lead to people who are here.

use hashbrown::HashMap;
use identifiers::MatchKey;

use super::Ordinal;

/// Somebody in an address book, and by which key: the first four bytes of it. They tell one person's
/// few keys apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) person: Ordinal,
    key: u32,
}

impl Held {
    pub(super) fn new(person: Ordinal, key: &MatchKey) -> Self {
        let [a, b, c, d, ..] = *key.as_bytes();
        Self { person, key: u32::from_le_bytes([a, b, c, d]) }
    }
}

/// Everybody's address book.
#[derive(Debug, Default)]
pub(super) struct Books(HashMap<Ordinal, Box<[Held]>>);

impl Books {
    /// A person's, sorted.
    pub(super) fn of(&self, person: Ordinal) -> &[Held] {
        self.0.get(&person).map_or(&[], AsRef::as_ref)
    }

    /// The people in a person's book; sorted, each once.
    pub(super) fn people(&self, person: Ordinal) -> Vec<Ordinal> {
        let mut people: Vec<Ordinal> = self.of(person).iter().map(|held| held.person).collect();
        people.dedup();
        people
    }

    /// Whether a person is in a book by this key.
    pub(super) fn has(&self, of: Ordinal, held: Held) -> bool {
        self.of(of).binary_search(&held).is_ok()
    }

    /// Whether somebody is in a book by any key.
    pub(super) fn holds(&self, of: Ordinal, other: Ordinal) -> bool {
        let book = self.of(of);
        let place = book.partition_point(|held| held.person < other);
        book.get(place).is_some_and(|held| held.person == other)
    }

    pub(super) fn set(&mut self, of: Ordinal, mut book: Vec<Held>) {
        book.sort_unstable();
        book.dedup();
        if book.is_empty() {
            self.0.remove(&of);
        } else {
            self.0.insert(of, book.into());
        }
    }

    /// Takes a person out of a book, as far as these keys put them there.
    pub(super) fn take_out(&mut self, of: Ordinal, gone: &[Held]) {
        let left: Vec<Held> =
            self.of(of).iter().filter(|held| !gone.contains(held)).copied().collect();
        if left.len() != self.of(of).len() {
            self.set(of, left);
        }
    }

    /// All books, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ordinal, &[Held])> {
        self.0.iter().map(|(person, book)| (*person, &**book))
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(|book| 32 + size_of_val(&**book)).sum()
    }
}
