//! How long calls took and how they ended.

use std::{collections::BTreeMap, fmt, time::Duration};

use hdrhistogram::Histogram;
use tonic::Code;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With the gRPC status that the server sent.
    Answered(Code),
    /// Without one: the connection broke, the stream was reset, or nobody waited any longer.
    Unanswered,
}

/// The longest duration that is told from longer ones: an hour, in nanoseconds.
const LONGEST: u64 = 3600 * 1_000_000_000;

/// A histogram of durations, exact to three digits.
#[derive(Debug, Clone)]
pub struct Durations(Histogram<u64>);

impl Default for Durations {
    fn default() -> Self {
        // Unwrap safety: bounds in order, and 0 to 5 digits are allowed.
        #[allow(clippy::unwrap_used)]
        Self(Histogram::new_with_bounds(1, LONGEST, 3).unwrap())
    }
}

impl Durations {
    /// Adds one.
    pub fn record(&mut self, duration: Duration) {
        self.0.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.0 += &other.0;
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The duration that the share `quantile` (0 to 1) did not exceed; zero if there are none.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(quantile))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.0.max())
    }
}

/// The percentiles that are worth a look, in milliseconds.
impl fmt::Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
            write!(f, "{name} {:.3}  ", self.quantile(quantile).as_secs_f64() * 1e3)?;
        }
        write!(f, "max {:.3} ms", self.max().as_secs_f64() * 1e3)
    }
}

/// What became of a number of calls.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    succeeded: Durations,
    refused: BTreeMap<i32, u64>,
    unanswered: u64,
}

impl Recorder {
    /// Adds a call. Only one that ended with OK counts as served, and only its time is kept: an
    /// error is often quicker than an answer and would make the percentiles look better.
    pub fn record(&mut self, outcome: Outcome, took: Duration) {
        match outcome {
            Outcome::Answered(Code::Ok) => self.succeeded.record(took),
            Outcome::Answered(code) => *self.refused.entry(code.into()).or_default() += 1,
            Outcome::Unanswered => self.unanswered += 1,
        }
    }

    /// Adds all calls of another.
    pub fn add(&mut self, other: &Self) {
        self.succeeded.add(&other.succeeded);
        for (code, count) in &other.refused {
            *self.refused.entry(*code).or_default() += count;
        }
        self.unanswered += other.unanswered;
    }

    /// How long the calls took that ended with OK.
    pub fn succeeded(&self) -> &Durations {
        &self.succeeded
    }

    /// How many calls ended with this status.
    pub fn count(&self, code: Code) -> u64 {
        if code == Code::Ok {
            return self.succeeded.len();
        }
        self.refused.get(&code.into()).copied().unwrap_or_default()
    }

    /// How many calls got no status at all.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// How many calls did not end with OK.
    pub fn failed(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.unanswered
    }
}

/// How many calls ended how: `1200 OK, 3 ResourceExhausted, 1 unanswered`.
impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} OK", self.succeeded.len())?;
        for (code, count) in &self.refused {
            write!(f, ", {count} {:?}", Code::from(*code))?;
        }
        match self.unanswered {
            0 => Ok(()),
            count => write!(f, ", {count} unanswered"),
        }
    }
}
