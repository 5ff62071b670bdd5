//! Which ordinal stands for whom. Ordinals are given in the order in which people are named and
//! never again to somebody else.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{Ordinal, entry::MOST_PEOPLE};

/// Everybody's subject id, one after the other, and the way back.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    /// By ordinal: where the id ends.
    ends: Vec<u64>,
    ordinals: HashTable<Ordinal>,
    hasher: DefaultHashBuilder,
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whose ordinal it is.
    #[inline]
    pub(super) fn name(&self, person: Ordinal) -> &str {
        name(&self.text, &self.ends, person)
    }

    pub(super) fn ordinal(&self, name: &str) -> Option<Ordinal> {
        let hash = self.hasher.hash_one(name);
        self.ordinals.find(hash, |known| self.name(*known) == name).copied()
    }

    /// Leaves out an ordinal: nobody has it any more.
    pub(super) fn skip(&mut self) {
        self.ends.push(self.text.len() as u64);
    }

    /// The ordinal of a subject, given now if it has none.
    pub(super) fn intern(&mut self, subject: &str) -> Ordinal {
        if let Some(known) = self.ordinal(subject) {
            return known;
        }
        // Memory ends before ordinals do; beyond them the last one would stand for many.
        let ordinal = Ordinal::try_from(self.len()).unwrap_or(MOST_PEOPLE).min(MOST_PEOPLE - 1);
        self.text.push_str(subject);
        self.ends.push(self.text.len() as u64);
        let Self { text, ends, ordinals, hasher } = self;
        let hash = |of: &Ordinal| hasher.hash_one(name(text, ends, *of));
        ordinals.insert_unique(hash(&ordinal), ordinal, hash);
        ordinal
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + 8 * self.ends.capacity() + 5 * self.ordinals.capacity()
    }
}

#[inline]
fn name<'n>(text: &'n str, ends: &[u64], person: Ordinal) -> &'n str {
    let person = person as usize;
    let start = if person == 0 { 0 } else { ends[person - 1] };
    // What fits into memory has such places.
    #[allow(clippy::cast_possible_truncation)]
    &text[start as usize..ends[person] as usize]
}
