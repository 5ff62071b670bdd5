//! From match key to ordinal, in memory. Uploads ask nothing else who is in the directory: a key
//! that is not here is nobody's, and no store is asked about it, so that a miss takes no longer
//! than a hit.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{PoisonError, RwLock},
};

use identifiers::MatchKey;

use crate::domain::{KeyHasher, NOBODY};

type Map = HashMap<MatchKey, u32, BuildHasherDefault<KeyHasher>>;

/// A key's new holder; nothing: nobody any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: MatchKey,
    /// Who is found by it now.
    pub ordinal: Option<u32>,
}

/// The index.
#[derive(Debug, Default)]
pub struct Index {
    map: RwLock<Map>,
}

impl Index {
    /// Appends to `found`, for each key in order, the ordinal of whom it finds, or [`NOBODY`].
    pub fn probe_many(&self, keys: &[MatchKey], found: &mut Vec<u32>) {
        // A panic elsewhere cannot leave the map half changed: entries are whole.
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        found.extend(keys.iter().map(|key| map.get(key).copied().unwrap_or(NOBODY)));
    }

    /// Applies changes in their order.
    pub fn apply(&self, changes: &[Change]) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change.ordinal {
                Some(ordinal) => map.insert(change.key, ordinal),
                None => map.remove(&change.key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_every_key_in_order_and_follows_changes() {
        let key = |byte| MatchKey::from_bytes([byte; 16]);
        let index = Index::default();
        let set = |byte, ordinal| Change { key: key(byte), ordinal };
        index.apply(&[set(1, Some(10)), set(2, Some(20)), set(1, Some(11)), set(2, None)]);
        let mut found = vec![7];
        index.probe_many(&[key(2), key(1), key(3)], &mut found);
        assert_eq!(found, [7, NOBODY, 11, NOBODY]);
    }
}
