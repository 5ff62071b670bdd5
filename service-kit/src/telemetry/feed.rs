//! What a follower of a feed tells of itself.

use std::time::Duration;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use prost_types::Timestamp;

use crate::clock::UnixMillis;

/// Upper bounds of the buckets of `assent_feed_lag_seconds`. What was withdrawn must be gone within
/// a second.
const LAG_BUCKETS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// Figures of one feed that a service follows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FeedMetrics {
    feed: [KeyValue; 1],
    opened: Counter<u64>,
    applied: Counter<u64>,
    lag: Histogram<f64>,
}

impl FeedMetrics {
    /// Figures of the feed with this name. `age` is how long ago this replica last knew all that
    /// the feed had told, from itself or from the one that follows.
    pub fn new(
        meter: &Meter,
        name: &'static str,
        age: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let feed = [KeyValue::new("feed", name)];
        let labels = feed.clone();
        meter
            .f64_observable_gauge("assent_feed_age")
            .with_unit("s")
            .with_description("How long ago this replica last knew all that a feed had told")
            .with_callback(move |gauge| gauge.observe(age().as_secs_f64(), &labels))
            .build();
        let this = Self {
            feed,
            opened: meter
                .u64_counter("assent_feed_streams_opened")
                .with_description("How often this replica began to read a feed")
                .build(),
            applied: meter
                .u64_counter("assent_feed_events_applied")
                .with_description("Events of a feed that this replica applied")
                .build(),
            lag: meter
                .f64_histogram("assent_feed_lag")
                .with_unit("s")
                .with_description("Time from the recording of an event to its being applied here")
                .with_boundaries(LAG_BUCKETS.to_vec())
                .build(),
        };
        // Rates need a series to begin with.
        this.opened.add(0, &this.feed);
        this.applied.add(0, &this.feed);
        this
    }

    /// A stream of the feed was opened: for the first time, or again.
    pub fn opened(&self) {
        self.opened.add(1, &self.feed);
    }

    /// Events were applied at `now` that had been recorded at these instants.
    pub fn applied(&self, recorded: impl Iterator<Item = Option<Timestamp>>, now: UnixMillis) {
        let mut count = 0;
        for recorded in recorded {
            count += 1;
            if let Some(recorded) = recorded.and_then(|at| UnixMillis::try_from(at).ok()) {
                // Clocks differ a little: what seems to come from the future was not late.
                self.lag.record(now.since(recorded).as_secs_f64(), &self.feed);
            }
        }
        self.applied.add(count, &self.feed);
    }
}
