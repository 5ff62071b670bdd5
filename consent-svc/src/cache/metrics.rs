//! What the cache counts.

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

/// The cache's instruments. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    lookups: Counter<u64>,
    fills: Counter<u64>,
    fences: Counter<u64>,
    restarts: Counter<u64>,
    generations: Counter<u64>,
    audits: Counter<u64>,
    stale: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let counter =
            |name, description| meter.u64_counter(name).with_description(description).build();
        let metrics = Self {
            lookups: counter(
                "consent_cache_lookups",
                "Lookups by what they found: hit, miss (nothing there), expired (a deadline has passed), unusable (closed, failed, or being filled)",
            ),
            fills: counter(
                "consent_cache_fills",
                "Fills by what became of them: stored or discarded",
            ),
            fences: counter("consent_fences", "Subjects fenced by writers"),
            restarts: counter(
                "consent_write_restarts",
                "Batches of writes that started over, by cause: fence (lost to another writer) or cache (it had to be closed)",
            ),
            generations: counter(
                "consent_cache_generations",
                "Generations by what happened to them: opened or closed",
            ),
            audits: counter("consent_audited_checks", "Cached answers compared with the database"),
            stale: counter(
                "consent_stale_yes",
                "Cached answers that granted what the database had already denied: must be 0",
            ),
        };
        // Alarms and rates need series to watch before anything has happened.
        for counter in [&metrics.audits, &metrics.stale, &metrics.fences] {
            counter.add(0, &[]);
        }
        for (counter, label, values) in [
            (&metrics.lookups, "found", &["hit", "miss", "expired", "unusable"][..]),
            (&metrics.fills, "outcome", &["stored", "discarded"]),
            (&metrics.restarts, "cause", &["fence", "cache"]),
            (&metrics.generations, "event", &["opened", "closed"]),
        ] {
            for value in values {
                counter.add(0, &[KeyValue::new(label, *value)]);
            }
        }
        metrics
    }

    pub(crate) fn looked_up(&self, found: &'static str, count: usize) {
        if count > 0 {
            self.lookups.add(count as u64, &[KeyValue::new("found", found)]);
        }
    }

    pub(crate) fn fills_stored(&self, count: usize) {
        self.fills.add(count as u64, &[KeyValue::new("outcome", "stored")]);
    }

    pub(crate) fn fills_discarded(&self, count: usize) {
        self.fills.add(count as u64, &[KeyValue::new("outcome", "discarded")]);
    }

    pub(crate) fn fenced(&self, count: usize) {
        self.fences.add(count as u64, &[]);
    }

    pub(crate) fn restarted(&self, cause: &'static str) {
        self.restarts.add(1, &[KeyValue::new("cause", cause)]);
    }

    pub(crate) fn generation(&self, what: &'static str) {
        self.generations.add(1, &[KeyValue::new("event", what)]);
    }

    pub(crate) fn audited(&self, stale: bool) {
        self.audits.add(1, &[]);
        self.stale.add(u64::from(stale), &[]);
    }
}
