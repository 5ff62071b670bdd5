//! What the figures must reach.

use crate::required::Bound::{self, AtLeast, AtMost};

/// The longest that a withdrawal may take when Redis has just failed: W, which is 2.444 s with a
/// lease of 2 s, and half a second.
const REDIS_DOWN_MS: f64 = 2_944.4;

pub(super) const REQUIRED: [(&str, Bound); 12] = [
    ("check-in-process-vs-empty", AtLeast(0.8)),
    ("check-redis-vs-empty", AtLeast(0.5)),
    ("check-redis-p99-vs-empty", AtMost(3.0)),
    ("batch-check-redis-per-second", AtLeast(500_000.0)),
    ("batch-check-in-process-per-second", AtLeast(2_000_000.0)),
    ("decision-vs-pgbench", AtLeast(0.4)),
    ("withdraw-p99-ms", AtMost(20.0)),
    ("withdraw-redis-down-ms", AtMost(REDIS_DOWN_MS)),
    ("redis-bytes-per-subject", AtMost(170.0)),
    ("database-bytes-per-subject", AtMost(600.0)),
    ("watch-events-per-second", AtLeast(20_000.0)),
    ("watch-p99-ms", AtMost(100.0)),
];
