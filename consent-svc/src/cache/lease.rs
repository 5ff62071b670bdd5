//! Leases on the generations: the part of the protocol that is about time.
//!
//! The database holds a row for each Redis primary: the generation that its keys belong to,
//! whether the cache may be used ([`Row::open`]), and the identity that the primary must have. A process may
//! use what it read of a row for a limited time, its *lease*; whoever changes a row can therefore
//! know when nobody acts on the old one any more:
//!
//! - a lease begins *before* its row is read and ends [`Terms::length`] (L) later. A check may use
//!   the cache if it *starts* within; what it then does may take longer.
//! - a writer deletes keys in the generation that it read after its fence was committed, and goes
//!   on once its own process has known that very row for [`Terms::wait`] (W): by then every lease
//!   on an older row has ended, whatever the others' clocks do within the tolerance.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::BootTime;
use crate::mutant::{self, Mutant};

/// How much faster or slower than another a machine's clock may run: a tenth.
const DRIFT: f64 = 0.1;

/// How long leases are, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// L: how long a process may act on a row that it has read.
    pub(crate) length: Duration,
}

impl Terms {
    /// W: how long a writer must have known a row so that no lease on an older one is left:
    /// L (1 + ε) / (1 − ε), where ε is the tolerance of the clocks' rates.
    pub(crate) fn wait(self) -> Duration {
        self.length.mul_f64((1.0 + DRIFT) / (1.0 - DRIFT))
    }

    /// How often rows are read anew.
    pub(crate) fn renewal(self) -> Duration {
        self.length / 3
    }
}

/// By how much a clock may be off that was right so long ago.
pub(crate) fn drift(elapsed: Duration) -> Duration {
    elapsed.mul_f64(DRIFT)
}

/// What the database says about the cache in one Redis primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Which of the primaries, from 0.
    pub(crate) primary: usize,
    /// How many primaries subjects are spread over.
    pub(crate) primaries: usize,
    /// Names the keys that are valid. Random; never used again.
    pub(crate) generation: [u8; 8],
    /// Whether the cache may be used; while it may not (BYPASS), nothing need be deleted either.
    pub(crate) open: bool,
    /// The replication id of the primary. A server that became a primary in any way (restart,
    /// promotion) has another.
    pub(crate) identity: String,
    /// Until when nobody may open it again: whoever changes policies needs it closed for long
    /// enough. Database time in Unix milliseconds.
    pub(crate) held_until: i64,
}

/// A row, and since when it has been known here.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) row: Row,
    /// Before the latest read that returned this row.
    begins: BootTime,
    /// After the first read that returned this row, in a row of reads that all did.
    known_since: BootTime,
}

/// The leases of this process.
pub(crate) struct Leases {
    terms: Terms,
    latest: ArcSwap<Vec<Arc<Lease>>>,
    learning: Mutex<()>,
}

impl Leases {
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, latest: ArcSwap::default(), learning: Mutex::default() }
    }

    /// Takes in rows that were read between two instants; gives each with the instant from which
    /// on a writer that read it may commit.
    pub(crate) fn learn(
        &self,
        asked: BootTime,
        answered: BootTime,
        rows: Vec<Row>,
    ) -> Vec<(Arc<Lease>, BootTime)> {
        let asked = if mutant::is(Mutant::LeaseFromReply) { answered } else { asked };
        let _one_at_a_time = self.learning.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.latest.load();
        let lease = |row: Row| {
            let same = known.iter().find(|lease| lease.row == row);
            // Reads may answer out of turn. What an older one found is as good for its lease, but
            // does not shorten a later one.
            let begins = same.map_or(asked, |lease| lease.begins.max(asked));
            let known_since = same.map_or(answered, |lease| lease.known_since.min(answered));
            Arc::new(Lease { row, begins, known_since })
        };
        let leases: Vec<Arc<Lease>> = rows.into_iter().map(lease).collect();
        self.latest.store(Arc::new(leases.clone()));
        let wait = if mutant::is(Mutant::NoWait) { Duration::ZERO } else { self.wait() };
        let free = |lease: Arc<Lease>| {
            let at = lease.known_since.plus(wait);
            (lease, at)
        };
        leases.into_iter().map(free).collect()
    }

    /// The lease under which a check that started at this instant may use a primary's cache.
    pub(crate) fn open(&self, primary: usize, start: BootTime) -> Option<Arc<Lease>> {
        let latest = self.latest.load();
        let lease = latest.get(primary)?;
        let until = lease.begins.plus(self.terms.length);
        let within = start < until || mutant::is(Mutant::LeaseNotTested);
        (lease.row.open && within).then(|| Arc::clone(lease))
    }

    /// For how long a writer must have known a row.
    pub(crate) fn wait(&self) -> Duration {
        self.terms.wait()
    }

    /// How long ago the oldest of the latest leases began.
    pub(crate) fn age(&self) -> Option<Duration> {
        let now = BootTime::now();
        self.latest.load().iter().map(|lease| now.since(lease.begins)).max()
    }

    /// The latest known rows.
    pub(crate) fn latest(&self) -> Arc<Vec<Arc<Lease>>> {
        self.latest.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const L: Duration = Duration::from_secs(2);

    fn row(generation: u8, open: bool) -> Row {
        Row {
            primary: 0,
            primaries: 1,
            generation: [generation; 8],
            open,
            identity: "one".to_owned(),
            held_until: 0,
        }
    }

    fn at(start: BootTime, millis: u64) -> BootTime {
        start.plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_lease_begins_before_its_read_and_ends_after_its_length() {
        let (leases, zero) = (Leases::new(Terms { length: L }), BootTime::now());
        leases.learn(zero, at(zero, 1_500), vec![row(1, true)]);
        assert!(leases.open(0, at(zero, 1_999)).is_some());
        assert!(leases.open(0, at(zero, 2_000)).is_none());
        // Read again, it begins anew; closed, there is none.
        leases.learn(at(zero, 1_000), at(zero, 1_100), vec![row(1, true)]);
        assert!(leases.open(0, at(zero, 2_999)).is_some());
        leases.learn(at(zero, 1_200), at(zero, 1_300), vec![row(1, false)]);
        assert!(leases.open(0, at(zero, 1_400)).is_none());
        assert!(leases.open(1, at(zero, 1_400)).is_none());
    }

    #[test]
    fn a_writer_waits_from_the_first_answer_that_had_the_row() {
        let (leases, zero) = (Leases::new(Terms { length: L }), BootTime::now());
        let wait = leases.wait();
        assert!(wait > L.mul_f64(1.2) && wait < L.mul_f64(1.25));
        let free = |asked, answered, row| leases.learn(asked, answered, vec![row])[0].1;
        assert_eq!(free(zero, at(zero, 10), row(1, true)), at(zero, 10).plus(wait));
        assert_eq!(free(at(zero, 500), at(zero, 510), row(1, true)), at(zero, 10).plus(wait));
        // Any change of the row begins it anew: its generation, and whether it is open.
        assert_eq!(free(at(zero, 600), at(zero, 610), row(1, false)), at(zero, 610).plus(wait));
        assert_eq!(free(at(zero, 700), at(zero, 710), row(2, true)), at(zero, 710).plus(wait));
    }

    /// The argument that W is long enough, in numbers: another process's lease began before the
    /// row was changed, and its clock is slow; the writer's, which is fast, starts after it.
    #[test]
    fn the_wait_outlives_every_older_lease_whatever_the_clocks_do() {
        let wait = Terms { length: L }.wait();
        let longest_lease = L.div_f64(1.0 - DRIFT);
        let shortest_wait = wait.div_f64(1.0 + DRIFT);
        assert!(shortest_wait >= longest_lease, "{shortest_wait:?} {longest_lease:?}");
    }
}
