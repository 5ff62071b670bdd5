//! What is known in memory of principals: their calls in progress, and how much they have called.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use service_kit::{auth::Principal, clock::Clock};

use super::{CLASSES, gcra::Limit, refusal::Refusal};

/// Each has its own lock.
const SHARDS: usize = 64;
/// A shard is not tidied below this.
const SMALL: usize = 16;

/// Principals in memory. Bounded: whoever owes nothing and has nothing in progress is dropped when
/// room is needed, and at `most` those who owe least are forgotten, which gives them their burst
/// anew and refuses nobody.
pub(super) struct Table {
    shards: [Mutex<Shard>; SHARDS],
    /// The most principals in a shard.
    most: usize,
    clock: Clock,
    /// TATs are counted in microseconds from here.
    started: Instant,
    forgotten: AtomicU64,
}

#[derive(Default)]
struct Shard {
    principals: HashMap<Principal, Entry>,
    /// How many principals there are when it is tidied next.
    tidy_at: usize,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// The theoretical arrival time of the next call, by class.
    tats: [u64; CLASSES],
    in_progress: u32,
}

impl Entry {
    /// From when on it owes nothing in any class.
    fn free_at(&self) -> u64 {
        self.tats.into_iter().max().unwrap_or(0)
    }
}

impl Table {
    pub(super) fn new(max_principals: usize, clock: Clock) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            most: (max_principals / SHARDS).max(1),
            started: clock.instant(),
            clock,
            forgotten: AtomicU64::new(0),
        }
    }

    /// Begins a call, if no more than `max_in_progress` are in progress with it and, where there is
    /// a rate to keep to, one is due.
    pub(super) fn begin(
        self: &Arc<Self>,
        principal: Principal,
        max_in_progress: u32,
        rate: Option<(usize, Limit)>,
    ) -> Result<Place, Refusal> {
        let now = self.now();
        self.with(principal, now, |entry| {
            if entry.in_progress >= max_in_progress {
                return Err(Refusal::InProgress);
            }
            if let Some((class, limit)) = rate {
                limit.take(&mut entry.tats[class], now).map_err(Refusal::Rate)?;
            }
            entry.in_progress += 1;
            Ok(())
        })?;
        Ok(Place { table: self.clone(), principal })
    }

    /// Counts a call that has a place, if one is due; else says how long until then.
    pub(super) fn take(
        &self,
        principal: Principal,
        class: usize,
        limit: Limit,
    ) -> Result<(), Duration> {
        let now = self.now();
        self.with(principal, now, |entry| limit.take(&mut entry.tats[class], now))
    }

    /// How many principals are kept.
    pub(super) fn len(&self) -> usize {
        (0..SHARDS).map(|at| self.lock(at).principals.len()).sum()
    }

    /// How many were forgotten before they owed nothing.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    fn with<R>(&self, principal: Principal, now: u64, act: impl FnOnce(&mut Entry) -> R) -> R {
        let mut shard = self.lock(place(principal));
        if let Some(entry) = shard.principals.get_mut(&principal) {
            return act(entry);
        }
        let forgotten = shard.make_room(now, self.most);
        self.forgotten.fetch_add(forgotten as u64, Ordering::Relaxed);
        act(shard.principals.entry(principal).or_default())
    }

    fn lock(&self, at: usize) -> MutexGuard<'_, Shard> {
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        let elapsed = self.clock.instant().duration_since(self.started);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Shard {
    /// Drops whoever owes nothing, when enough have come for that to pay; if that leaves no room,
    /// forgets the half that owes least. Gives how many were forgotten.
    fn make_room(&mut self, now: u64, most: usize) -> usize {
        if self.principals.len() < self.tidy_at {
            return 0;
        }
        self.principals.retain(|_, entry| entry.in_progress > 0 || entry.free_at() > now);
        let before = self.principals.len();
        if before >= most {
            let idle = self.principals.values().filter(|entry| entry.in_progress == 0);
            let mut owing: Vec<u64> = idle.map(Entry::free_at).collect();
            let middle = owing.len() / 2;
            if middle < owing.len() {
                let (_, median, _) = owing.select_nth_unstable(middle);
                let least = *median;
                self.principals.retain(|_, entry| entry.in_progress > 0 || entry.free_at() > least);
            }
        }
        let left = self.principals.len();
        // Calls in progress cannot be forgotten; the server bounds them.
        self.tidy_at = (left * 2).clamp(SMALL.min(most), most).max(left + SMALL.min(most));
        self.principals.shrink_to(self.tidy_at);
        before - left
    }
}

fn place(principal: Principal) -> usize {
    usize::from(principal.as_bytes()[0]) % SHARDS
}

/// A call in progress, until it is dropped.
pub(crate) struct Place {
    table: Arc<Table>,
    principal: Principal,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shard = self.table.lock(place(self.principal));
        // It is there: what is in progress is never dropped.
        if let Some(entry) = shard.principals.get_mut(&self.principal) {
            entry.in_progress = entry.in_progress.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use service_kit::{auth::Caller, clock::UnixMillis};

    use super::*;

    fn table(max_principals: usize) -> (Arc<Table>, Clock) {
        let clock = Clock::manual(UnixMillis::new(0));
        (Arc::new(Table::new(max_principals, clock.clone())), clock)
    }

    fn user(number: usize) -> Principal {
        Caller::user(&format!("user-{number}")).principal
    }

    #[test]
    fn calls_count_until_their_place_is_given_back() {
        let (table, _) = table(1_000);
        let one = table.begin(user(1), 2, None).ok();
        let two = table.begin(user(1), 2, None).ok();
        assert!(one.is_some() && two.is_some());
        assert!(matches!(table.begin(user(1), 2, None), Err(Refusal::InProgress)));
        assert!(table.begin(user(2), 2, None).is_ok(), "somebody else's");
        drop(one);
        assert!(table.begin(user(1), 2, None).is_ok());
    }

    #[test]
    fn a_call_for_which_there_is_no_place_costs_nothing() {
        let (table, _) = table(1_000);
        let rate = Some((0, Limit::new(1.0, 2, 1)));
        let held = table.begin(user(1), 1, rate);
        for _ in 0..10 {
            assert!(matches!(table.begin(user(1), 1, rate), Err(Refusal::InProgress)));
        }
        drop(held);
        assert!(table.begin(user(1), 1, rate).is_ok());
        assert!(matches!(table.begin(user(1), 1, rate), Err(Refusal::Rate(_))));
    }

    #[test]
    fn classes_are_counted_apart() {
        let (table, _) = table(1_000);
        let limit = Limit::new(1.0, 1, 1);
        for class in 0..CLASSES {
            assert!(table.take(user(1), class, limit).is_ok());
            assert!(table.take(user(1), class, limit).is_err());
        }
    }

    #[test]
    fn who_owes_nothing_is_dropped() {
        let (table, clock) = table(1_000_000);
        let limit = Limit::new(1.0, 1, 1);
        let held = table.begin(user(0), 1, None);
        for number in 1..100_000 {
            assert!(table.take(user(number), 0, limit).is_ok());
            // A thousand calls a second: never more than a thousand people owe anything.
            clock.advance(Duration::from_millis(1));
        }
        assert!(table.len() < 5_000, "{}", table.len());
        assert_eq!(table.forgotten(), 0);
        assert!(matches!(table.begin(user(0), 1, None), Err(Refusal::InProgress)));
        drop(held);
    }

    #[test]
    fn a_flood_of_principals_is_bounded_and_those_who_owe_most_are_remembered() {
        let (table, clock) = table(10_000);
        let slow = Limit::new(0.001, 10, 1);
        let held = table.begin(user(0), 1, None);
        for _ in 0..10 {
            assert!(table.take(user(1), 0, slow).is_ok());
        }
        for number in 2..200_000 {
            assert!(table.take(user(number), 0, slow).is_ok(), "a newcomer is not refused");
            clock.advance(Duration::from_micros(10));
        }
        assert!(table.len() <= 10_000 + SHARDS * SMALL, "{}", table.len());
        assert!(table.forgotten() > 180_000);
        assert!(table.take(user(1), 0, slow).is_err(), "who had used all of it");
        assert!(matches!(table.begin(user(0), 1, None), Err(Refusal::InProgress)));
        drop(held);
    }
}
