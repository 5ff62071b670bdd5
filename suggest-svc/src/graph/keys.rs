//! By which match keys people are found.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use identifiers::MatchKey;

use super::{Ordinal, OwnedKey, Sequence};

/// Whose a match key is, and since when. A key may be several people's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner {
    key: MatchKey,
    pub(super) person: Ordinal,
    pub(super) since: Sequence,
}

/// All keys, and each person's.
#[derive(Debug, Default)]
pub(super) struct Keys {
    owners: HashTable<Owner>,
    of: HashMap<Ordinal, Box<[OwnedKey]>>,
    hasher: DefaultHashBuilder,
}

impl Keys {
    /// Whose a key is.
    #[inline]
    pub(super) fn owners(&self, key: &MatchKey) -> impl Iterator<Item = &Owner> {
        let hash = self.hasher.hash_one(key);
        self.owners.iter_hash(hash).filter(move |owner| owner.key == *key)
    }

    /// By which keys a person is found.
    pub(super) fn of(&self, person: Ordinal) -> &[OwnedKey] {
        self.of.get(&person).map_or(&[], AsRef::as_ref)
    }

    /// Replaces a person's keys; gives those that are theirs no longer, or anew.
    pub(super) fn set(&mut self, person: Ordinal, keys: Vec<OwnedKey>) -> Vec<MatchKey> {
        let mut gone = Vec::new();
        let before = self.of.remove(&person).unwrap_or_default();
        for known in before.iter().filter(|known| !keys.contains(known)) {
            let hash = self.hasher.hash_one(known.key);
            let is = |owner: &Owner| owner.key == known.key && owner.person == person;
            if let Ok(entry) = self.owners.find_entry(hash, is) {
                entry.remove();
            }
            gone.push(known.key);
        }
        for new in keys.iter().filter(|new| !before.contains(new)) {
            let Self { owners, hasher, .. } = self;
            let hash = |owner: &Owner| hasher.hash_one(owner.key);
            let owner = Owner { key: new.key, person, since: new.since };
            owners.insert_unique(hash(&owner), owner, hash);
        }
        if !keys.is_empty() {
            self.of.insert(person, keys.into());
        }
        gone
    }

    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        (size_of::<Owner>() + 1) * self.owners.capacity()
            + self.of.values().map(|keys| 40 + size_of_val(&**keys)).sum::<usize>()
    }
}
