//! Tokens that were verified: looking one up is all that most calls cost.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use super::Caller;
use crate::clock::UnixMillis;

/// What a token was found to be.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    pub(super) caller: Caller,
    /// The first moment at which the token is no longer accepted.
    pub(super) until: UnixMillis,
    /// The key set that verified it: another one may have dropped the key.
    pub(super) generation: u64,
}

/// Keyed by the whole token, its signature included: nothing but the very same bytes matches, and
/// nothing needs to be hashed cryptographically. Only tokens that were verified get in, so that
/// strangers cannot fill it.
#[derive(Debug)]
pub(super) struct Cache {
    tokens: RwLock<HashMap<Box<str>, Verified>>,
    limit: usize,
}

impl Cache {
    pub(super) fn new(limit: usize) -> Self {
        Self { tokens: RwLock::default(), limit }
    }

    /// What the key set of this generation found the token to be.
    pub(super) fn get(&self, token: &str, generation: u64) -> Option<Verified> {
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).filter(|known| known.generation == generation).cloned()
    }

    pub(super) fn insert(&self, token: &str, verified: Verified, now: UnixMillis) {
        if self.limit == 0 {
            return;
        }
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= self.limit {
            tokens.retain(|_, known| known.generation == verified.generation && now < known.until);
            // Still full: starting over costs each live token one verification, and looking for
            // the oldest would cost every new one a scan.
            if tokens.len() >= self.limit {
                tokens.clear();
            }
        }
        tokens.insert(token.into(), verified);
    }

    /// Forgets everything: the entries of an old generation are never used again.
    pub(super) fn clear(&self) {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use proto::options::v1::Role;

    use super::*;

    fn verified(until: i64, generation: u64) -> Verified {
        let caller = Caller::named(Role::App, "messenger");
        Verified { caller, until: UnixMillis::new(until), generation }
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let cache = Cache::new(10);
        for number in 0..1_000 {
            cache.insert(&number.to_string(), verified(10_000, 1), UnixMillis::new(number));
            assert!(cache.tokens.read().is_ok_and(|tokens| tokens.len() <= 10));
            assert!(cache.get(&number.to_string(), 1).is_some(), "the newest is always there");
        }
    }

    #[test]
    fn what_has_expired_or_is_of_old_keys_makes_room_first() {
        let cache = Cache::new(3);
        let now = UnixMillis::new(100);
        cache.insert("expired", verified(100, 2), now);
        cache.insert("old keys", verified(900, 1), now);
        cache.insert("live", verified(900, 2), now);
        cache.insert("new", verified(900, 2), now);
        assert!(cache.get("live", 2).is_some());
        assert!(cache.tokens.read().is_ok_and(|tokens| tokens.len() == 2));
    }

    #[test]
    fn other_keys_find_nothing() {
        let cache = Cache::new(3);
        cache.insert("token", verified(900, 1), UnixMillis::new(0));
        assert!(cache.get("token", 1).is_some());
        assert!(cache.get("token", 2).is_none());
    }
}
