//! What the figures must reach.

use std::fmt::Write as _;

use crate::report::{Figure, Report};

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

/// The longest that a withdrawal may take when Redis has just failed: W, which is 2.444 s with a
/// lease of 2 s, and half a second.
const REDIS_DOWN_MS: f64 = 2_944.4;

const REQUIRED: [(&str, Bound); 12] = [
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

/// The figures against what they must reach, for people to read.
pub(super) fn table(report: &Report) -> String {
    let mut table = String::new();
    for Figure { name, value, .. } in report.figures() {
        let Some((_, bound)) = REQUIRED.iter().find(|(known, _)| known == name) else { continue };
        let (sign, limit, reached) = match *bound {
            AtLeast(limit) => ("≥", limit, *value >= limit),
            AtMost(limit) => ("≤", limit, *value <= limit),
        };
        let verdict = if reached { "reached" } else { "MISSED" };
        // A String takes everything.
        let _ = writeln!(table, "{name:36} {value:>12.3} {sign} {limit:<12} {verdict}");
    }
    table
}
