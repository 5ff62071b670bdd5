//! What has been counted.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tonic::Code;

use super::history::{Verdict, Wrong};

/// How many wrong answers are told in full.
const TOLD: u64 = 20;

/// Counts, from all who check and write.
#[derive(Debug)]
pub struct Tally {
    begun: Instant,
    audited: AtomicU64,
    hits: AtomicU64,
    telling: AtomicU64,
    inversions: AtomicU64,
    written: AtomicU64,
    governed: AtomicU64,
    resent: AtomicU64,
    wrong: Mutex<BTreeMap<Wrong, u64>>,
    refused: Mutex<BTreeMap<(&'static str, i32), u64>>,
    faults: Mutex<BTreeMap<String, u64>>,
    present: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
    broken: Mutex<Option<String>>,
    /// Told when an answer was wrong.
    caught: Notify,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            audited: AtomicU64::default(),
            hits: AtomicU64::default(),
            telling: AtomicU64::default(),
            inversions: AtomicU64::default(),
            written: AtomicU64::default(),
            governed: AtomicU64::default(),
            resent: AtomicU64::default(),
            wrong: Mutex::default(),
            refused: Mutex::default(),
            faults: Mutex::default(),
            present: Mutex::default(),
            slowest: Mutex::default(),
            broken: Mutex::default(),
            caught: Notify::new(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Answers were judged, of which so many would have shown a stale yes.
    pub fn judged(&self, audited: u64, telling: u64) {
        self.audited.fetch_add(audited, Relaxed);
        self.telling.fetch_add(telling, Relaxed);
    }

    /// An answer was wrong; `describe` says it in full.
    pub fn wrong(&self, verdict: &Verdict, describe: impl FnOnce() -> String) {
        if verdict.inverted {
            self.inversions.fetch_add(1, Relaxed);
        }
        let Some(wrong) = verdict.wrong else { return };
        let total = {
            let mut all = lock(&self.wrong);
            *all.entry(wrong).or_default() += 1;
            all.values().sum::<u64>()
        };
        if total <= TOLD {
            let (at, faults) = (self.begun.elapsed().as_secs_f64(), lock(&self.present).join(", "));
            eprintln!("{at:.3} s: {wrong:?}: {}; while: {faults}", describe());
        }
        self.caught.notify_waiters();
    }

    /// A write was acknowledged, after it had been sent so many times.
    pub fn written(&self, sent: u64, took: Duration) {
        self.written.fetch_add(1, Relaxed);
        self.resent.fetch_add(sent - 1, Relaxed);
        let mut slowest = lock(&self.slowest);
        *slowest = slowest.max(took);
    }

    /// A policy was published or retired.
    pub fn governed(&self) {
        self.governed.fetch_add(1, Relaxed);
    }

    /// A call got no answer but this.
    pub fn refused(&self, what: &'static str, code: Code) {
        *lock(&self.refused).entry((what, code.into())).or_default() += 1;
    }

    /// Something happened that no fault explains.
    pub fn inexplicable(&self, what: String) {
        lock(&self.broken).get_or_insert(what);
        self.caught.notify_waiters();
    }

    /// A fault begins. It ends when what is returned is dropped.
    pub fn fault(&self, name: &str, what: String) -> Present<'_> {
        *lock(&self.faults).entry(name.to_owned()).or_default() += 1;
        lock(&self.present).push(what.clone());
        Present { tally: self, what }
    }

    /// Notes how many lookups have found an answer in the cache by now.
    pub(super) fn found_in_cache(&self, hits: u64) {
        self.hits.store(hits, Relaxed);
    }

    /// How many lookups found an answer in the cache: without any, nothing was tried.
    pub fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// How many answers were judged.
    pub fn audited(&self) -> u64 {
        self.audited.load(Relaxed)
    }

    /// How many writes were acknowledged.
    pub fn writes(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// How many faults there were.
    pub fn faults(&self) -> u64 {
        lock(&self.faults).values().sum()
    }

    /// How many answers were wrong in this way.
    pub fn count(&self, wrong: Wrong) -> u64 {
        lock(&self.wrong).get(&wrong).copied().unwrap_or(0)
    }

    /// How many answers were of an earlier revision than another had been before.
    pub fn inversions(&self) -> u64 {
        self.inversions.load(Relaxed)
    }

    /// What was wrong, by kind; empty if nothing was.
    pub fn all_wrong(&self) -> Vec<(Wrong, u64)> {
        lock(&self.wrong).iter().map(|(wrong, count)| (*wrong, *count)).collect()
    }

    /// What no fault explains.
    pub fn broken(&self) -> Option<String> {
        lock(&self.broken).clone()
    }

    /// Returns when there was a stale yes, or something that no fault explains.
    pub async fn caught(&self) {
        loop {
            let told = self.caught.notified();
            if self.count(Wrong::StaleYes) > 0 || lock(&self.broken).is_some() {
                return;
            }
            told.await;
        }
    }
}

/// A fault that is there.
#[derive(Debug)]
pub struct Present<'a> {
    tally: &'a Tally,
    what: String,
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut present = lock(&self.tally.present);
        if let Some(at) = present.iter().position(|what| *what == self.what) {
            present.remove(at);
        }
    }
}

/// One line: how far it is.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (audited, telling) = (self.audited(), self.telling.load(Relaxed));
        write!(
            f,
            "{:.0} s: {audited} answers judged ({telling} of subjects that were denied \
             throughout), {} writes ({} sent again, slowest {:.2} s), {} policies published or \
             retired, {} faults; wrong: {:?}, \
             {} inversions; not answered:",
            self.begun.elapsed().as_secs_f64(),
            self.writes(),
            self.resent.load(Relaxed),
            lock(&self.slowest).as_secs_f64(),
            self.governed.load(Relaxed),
            self.faults(),
            lock(&self.wrong),
            self.inversions()
        )?;
        for ((what, code), count) in &*lock(&self.refused) {
            write!(f, " {what} {:?} {count}", Code::from(*code))?;
        }
        Ok(())
    }
}

impl Tally {
    /// The faults by name.
    pub fn faults_by_name(&self) -> String {
        let faults = lock(&self.faults);
        let each = faults.iter().map(|(name, count)| format!("{name} {count}"));
        each.collect::<Vec<_>>().join(", ")
    }
}
