//! The budget of each range of 10,000 phone numbers: how many contacts all accounts together may
//! newly find in it.
//!
//! What is counted is an account and a number that it finds and that was not counted for it before
//! (`domain::uploaded`), raw or hashed: the range comes with the number, from the time when the app
//! registered it in clear. A miss has no range, so a hit would take work that a miss does not.
//! Therefore nothing of this is done within the call: whatever a sync finds is handed over after it
//! took effect, and counted by a task of its own, once a second. What a call does is to look each
//! key up, hit or miss, among those in ranges over their budget. In such a range a contact that was
//! not counted before finds nobody, and pays and is remembered like any other.
//!
//! The counts are in the store, for all replicas together. What is on its way to be counted is in
//! memory: of what was handed over, a crash loses a second, and overload what is beyond the queue.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use identifiers::MatchKey;
use service_kit::{clock::Clock, store::StoreError};
use tokio::sync::{Mutex, mpsc};

use crate::{
    domain::{Subject, identifiers::Range, quota::Bucket},
    live::Live,
    store::Store,
};

/// How often what was found is counted, and what other replicas counted is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Syncs that wait to be counted: with the most contacts that are new in each by default, 80 kB,
/// this is 80 MB. More are not counted.
const WAITING: usize = 1_000;

/// Ranges that are closed at once: at 20,000 keys, two for each number, and some 40 bytes in memory
/// for each, this is 200 MB.
const CLOSED: u64 = 256;

/// How often the keys of ranges that are closed are read again: those of people who came since.
const REREAD: Duration = Duration::from_mins(5);

/// The budgets, as this replica knows them.
pub(crate) struct Ranges {
    store: Store,
    clock: Clock,
    bucket: Bucket,
    found: mpsc::Sender<Vec<MatchKey>>,
    counting: Mutex<Counting>,
    closed: RwLock<HashSet<MatchKey>>,
    figures: Arc<Figures>,
}

/// What operators see.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// How many ranges are over their budget.
    pub(crate) closed: AtomicU64,
    /// How many syncs were not counted, because too many waited.
    pub(crate) uncounted: AtomicU64,
}

struct Counting {
    waiting: mpsc::Receiver<Vec<MatchKey>>,
    closed: HashMap<Range, Arc<[MatchKey]>>,
    reread: std::time::Instant,
}

impl Ranges {
    /// Nothing is closed yet: the first count reads what is.
    pub(crate) fn new(store: Store, clock: Clock, bucket: Bucket) -> Self {
        let (found, waiting) = mpsc::channel(WAITING);
        let counting = Counting { waiting, closed: HashMap::new(), reread: clock.instant() };
        Self {
            store,
            clock,
            bucket,
            found,
            counting: Mutex::new(counting),
            closed: RwLock::default(),
            figures: Arc::default(),
        }
    }

    pub(crate) fn figures(&self) -> Arc<Figures> {
        self.figures.clone()
    }

    /// The keys in ranges over their budget.
    pub(crate) fn closed(&self) -> RwLockReadGuard<'_, HashSet<MatchKey>> {
        // The set is replaced whole: a panic leaves none half changed.
        self.closed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over what a sync found, to be counted.
    pub(crate) fn found(&self, keys: Vec<MatchKey>) {
        if self.found.try_send(keys).is_err() {
            self.figures.uncounted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts, again and again. Does not end.
    pub(crate) async fn keep_counting(&self, live: &Live) {
        loop {
            if let Err(error) = self.count(live).await {
                tracing::warn!(%error, "cannot count what was found in ranges of numbers");
            }
            self.clock.sleep(INTERVAL).await;
        }
    }

    /// Counts what was handed over, and learns which ranges are over their budget.
    pub(crate) async fn count(&self, live: &Live) -> Result<(), StoreError> {
        let mut counting = self.counting.lock().await;
        let mut keys = Vec::new();
        while let Ok(mut found) = counting.waiting.try_recv() {
            keys.append(&mut found);
        }
        let now = self.clock.now();
        if !keys.is_empty() {
            let owners = live.read(|graph| {
                let owner = |key: &MatchKey| Some((*key, Subject::from(graph.owners(key).next()?)));
                keys.iter().filter_map(owner).collect::<Vec<(MatchKey, Subject)>>()
            });
            let counts = self.store.ranges_of(&owners.await?).await?;
            self.store.count_additions(&counts, self.bucket, now).await?;
        }
        let over = self.store.ranges_over_budget(self.bucket, now, CLOSED).await?;
        self.close(&mut counting, over).await
    }

    /// Makes these, and no others, the closed ranges.
    async fn close(&self, counting: &mut Counting, over: Vec<Range>) -> Result<(), StoreError> {
        let reread = self.clock.instant() >= counting.reread;
        let mut closed = HashMap::with_capacity(over.len());
        let mut changed = reread || over.len() != counting.closed.len();
        for range in over {
            let known = counting.closed.get(&range).filter(|_| !reread).cloned();
            let keys = if let Some(keys) = known {
                keys
            } else {
                changed = true;
                self.store.keys_of_range(range).await?.into()
            };
            closed.insert(range, keys);
        }
        if reread {
            counting.reread = self.clock.instant() + REREAD;
        }
        if !changed {
            return Ok(());
        }
        let count = closed.len() as u64;
        if self.figures.closed.swap(count, Ordering::Relaxed) != count {
            tracing::warn!(
                ranges = count,
                "ranges of phone numbers over their budget: nobody is newly found in them"
            );
        }
        let keys = closed.values().flat_map(|keys| keys.iter().copied()).collect();
        counting.closed = closed;
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }
}
