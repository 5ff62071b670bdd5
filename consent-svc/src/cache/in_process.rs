//! The cache of a process that is alone with its store.
//!
//! The same rule as with Redis (no answer that was read before a write is kept after it), by
//! simpler means, because writers and readers share memory: a writer *holds* the subjects whose
//! answers it may change from before its commit until after it; what was looked up before or
//! while they were held is not kept.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quick_cache::sync::Cache;

/// How many parts the bookkeeping has, each with a lock of its own.
const SHARDS: usize = 64;

/// Answers by subject, at most so many; the least useful make room.
pub(crate) struct InProcess {
    values: Cache<Box<str>, Arc<[u8]>>,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    /// Counts how often a subject of this shard was held or released.
    changes: u64,
    /// Subjects that are held, and by how many.
    held: HashMap<Box<str>, u32>,
}

/// What had happened to a subject's shard when its answer was looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(u64);

impl InProcess {
    /// A cache for this many subjects.
    pub(crate) fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { values: Cache::new(capacity.max(1)), shards, hasher: RandomState::new() }
    }

    /// The answers for a subject.
    pub(crate) fn get(&self, subject_id: &str) -> Option<Arc<[u8]>> {
        self.values.get(subject_id)
    }

    /// To be asked before the store is read for an answer that is to be kept.
    pub(crate) fn seen(&self, subject_id: &str) -> Seen {
        Seen(self.shard(subject_id).changes)
    }

    /// Keeps an answer that was read after `seen`, unless a write came between. Says whether it did.
    pub(crate) fn fill(&self, subject_id: &str, seen: Seen, value: Vec<u8>) -> bool {
        let shard = self.shard(subject_id);
        let keep = shard.changes == seen.0 && !shard.held.contains_key(subject_id);
        if keep {
            self.values.insert(subject_id.into(), value.into());
        }
        keep
    }

    /// Forgets subjects and keeps nothing of them until what is returned is dropped.
    pub(crate) fn hold<'a>(&'a self, subject_ids: impl IntoIterator<Item = &'a str>) -> Held<'a> {
        let subjects: Vec<&str> = subject_ids.into_iter().collect();
        for subject_id in &subjects {
            let mut shard = self.shard(subject_id);
            shard.changes += 1;
            *shard.held.entry((*subject_id).into()).or_default() += 1;
            self.values.remove(*subject_id);
        }
        Held { cache: self, subjects }
    }

    fn shard(&self, subject_id: &str) -> MutexGuard<'_, Shard> {
        // Truncation safety: less than the number of shards.
        #[allow(clippy::cast_possible_truncation)]
        let at = (self.hasher.hash_one(subject_id) % SHARDS as u64) as usize;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Subjects of which nothing is kept as long as this lives.
pub(crate) struct Held<'a> {
    cache: &'a InProcess,
    subjects: Vec<&'a str>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for subject_id in &self.subjects {
            let mut shard = self.cache.shard(subject_id);
            shard.changes += 1;
            if let Some(holders) = shard.held.get_mut(*subject_id) {
                *holders -= 1;
                if *holders == 0 {
                    shard.held.remove(*subject_id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value() -> Vec<u8> {
        vec![1]
    }

    #[test]
    fn what_was_looked_up_before_or_during_a_write_is_not_kept() {
        let cache = InProcess::new(10);
        let before = cache.seen("a");
        let held = cache.hold(["a"]);
        let during = cache.seen("a");
        assert!(!cache.fill("a", before, value()));
        assert!(!cache.fill("a", during, value()));
        drop(held);
        assert!(!cache.fill("a", before, value()));
        assert!(!cache.fill("a", during, value()));
        assert!(cache.get("a").is_none());
        assert!(cache.fill("a", cache.seen("a"), value()));
        assert!(cache.get("a").is_some());
    }

    #[test]
    fn a_write_forgets_and_two_writes_hold_until_both_are_done() {
        let cache = InProcess::new(10);
        assert!(cache.fill("a", cache.seen("a"), value()));
        let (one, other) = (cache.hold(["a", "b"]), cache.hold(["a"]));
        assert!(cache.get("a").is_none());
        drop(one);
        assert!(!cache.fill("a", cache.seen("a"), value()));
        drop(other);
        assert!(cache.fill("a", cache.seen("a"), value()));
        assert!(
            cache.shards.iter().all(|shard| {
                shard.lock().unwrap_or_else(PoisonError::into_inner).held.is_empty()
            })
        );
    }

    #[test]
    fn it_does_not_grow_beyond_its_capacity() {
        let cache = InProcess::new(1_000);
        for n in 0..20_000 {
            let id = format!("subject-{n}");
            cache.fill(&id, cache.seen(&id), value());
        }
        assert!(cache.values.len() <= 1_000, "{}", cache.values.len());
    }
}
