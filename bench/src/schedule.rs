//! When calls arrive: fixed before the first is sent.

use std::time::Duration;

use clap::ValueEnum;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How the time between two arrivals is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// Always the same: what is measured is the server alone.
    Constant,
    /// Exponentially distributed, as from many callers who know nothing of each other: calls
    /// bunch, and queues form that an even schedule never shows.
    Poisson,
}

impl Arrivals {
    /// The arrivals of `length`, `per_second` of them on average, in order, from its start. The
    /// same seed gives the same schedule.
    pub fn schedule(self, per_second: f64, length: Duration, seed: u64) -> Vec<Duration> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut at = 0.0;
        let next = || {
            at += match self {
                Self::Constant => 1.0,
                // Inverse transform; 1 - u lies in (0, 1], so the logarithm is finite.
                Self::Poisson => -(1.0 - rng.random::<f64>()).ln(),
            } / per_second;
            (at < length.as_secs_f64()).then(|| Duration::from_secs_f64(at))
        };
        std::iter::from_fn(next).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn constant_arrivals_are_evenly_spaced() {
        let schedule = Arrivals::Constant.schedule(4.0, SECOND, 0);
        assert_eq!(schedule, [250, 500, 750].map(Duration::from_millis));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_variance_of_their_name() {
        let seconds = 400;
        let schedule = Arrivals::Poisson.schedule(100.0, SECOND * seconds, 7);
        let mut per_second = vec![0.0; seconds as usize];
        for at in schedule {
            per_second[usize::try_from(at.as_secs()).unwrap()] += 1.0;
        }
        let mean = per_second.iter().sum::<f64>() / f64::from(seconds);
        let variance =
            per_second.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / f64::from(seconds);
        assert!((mean - 100.0).abs() < 2.0, "mean {mean}");
        assert!((variance / mean - 1.0).abs() < 0.25, "variance {variance}");
    }

    #[test]
    fn a_schedule_is_its_seed() {
        let with = |seed| Arrivals::Poisson.schedule(50.0, SECOND, seed);
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }
}
