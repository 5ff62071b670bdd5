//! Who blocks whom.

use hashbrown::HashMap;

use super::{Ordinal, bits::Bits};

/// Whom each person blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Sorted.
    by: HashMap<Ordinal, Vec<Ordinal>>,
    /// By how many each is blocked.
    of: HashMap<Ordinal, u32>,
    /// Who blocks or is blocked: most people are not in it, and nothing is looked up for them.
    involved: Bits,
}

impl Blocks {
    /// Whether a person blocks anybody or is blocked by anybody.
    #[inline]
    pub(super) fn involve(&self, person: Ordinal) -> bool {
        self.involved.has(person)
    }

    /// Whether either blocks the other.
    #[inline]
    pub(super) fn between(&self, one: Ordinal, other: Ordinal) -> bool {
        self.involve(one) && self.involve(other) && (self.has(one, other) || self.has(other, one))
    }

    fn has(&self, by: Ordinal, of: Ordinal) -> bool {
        self.by.get(&by).is_some_and(|list| list.binary_search(&of).is_ok())
    }

    /// Whom a person blocks.
    pub(super) fn by(&self, person: Ordinal) -> &[Ordinal] {
        self.by.get(&person).map_or(&[], Vec::as_slice)
    }

    /// By how many people a person is blocked.
    pub(super) fn of(&self, person: Ordinal) -> u32 {
        self.of.get(&person).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, by: Ordinal, of: Ordinal, blocks: bool) {
        let list = self.by.entry(by).or_default();
        match (list.binary_search(&of), blocks) {
            (Err(place), true) => {
                list.insert(place, of);
                *self.of.entry(of).or_default() += 1;
            }
            (Ok(place), false) => {
                list.remove(place);
                let count = self.of.entry(of).or_default();
                *count = count.saturating_sub(1);
            }
            _ => {}
        }
        if self.by(by).is_empty() {
            self.by.remove(&by);
        }
        if self.of(of) == 0 {
            self.of.remove(&of);
        }
        for person in [by, of] {
            let is_in = self.by.contains_key(&person) || self.of.contains_key(&person);
            self.involved.set(person, is_in);
        }
    }
}
