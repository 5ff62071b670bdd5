//! The generic cell rate algorithm (ITU-T I.371, annex A): a bucket that fills at a rate, kept as
//! one instant, the theoretical arrival time (TAT) of the next call if all had come evenly.
//!
//! Never more than `burst + rate × t` calls pass in any stretch of time t.

use std::time::Duration;

/// How often calls may be made, in whole microseconds, as both stores count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// From one call to the next, when they come evenly.
    pub(super) interval: u64,
    /// How far the TAT may be ahead: `interval` for each call of the burst.
    pub(super) span: u64,
}

impl Limit {
    /// The share of one of `replicas` in `rate` calls a second and `burst` at once; of a burst at
    /// least one. What is not a whole number of microseconds between calls is rounded up.
    pub(super) fn new(rate: f64, burst: u32, replicas: u32) -> Self {
        // Truncation safety: the configuration is refused unless a burst is back within 30 days,
        // and a float becomes the nearest integer there is.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let interval = (1e6 * f64::from(replicas) / rate).ceil() as u64;
        let burst = u64::from(burst / replicas).max(1);
        Self { interval, span: interval.saturating_mul(burst) }
    }

    /// Lets a call at `now` pass and moves its TAT, or says how long until it would pass.
    pub(super) fn take(self, tat: &mut u64, now: u64) -> Result<(), Duration> {
        let next = (*tat).max(now).saturating_add(self.interval);
        let wait = next.saturating_sub(self.span).saturating_sub(now);
        if wait > 0 {
            return Err(Duration::from_micros(wait));
        }
        *tat = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::{collection::vec, prelude::*};

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_burst_passes_at_once_and_the_next_call_when_one_is_due() {
        let limit = Limit::new(2.0, 3, 1);
        let mut tat = 0;
        for _ in 0..3 {
            assert_eq!(limit.take(&mut tat, 10 * SECOND), Ok(()));
        }
        let half = Duration::from_millis(500);
        assert_eq!(limit.take(&mut tat, 10 * SECOND), Err(half));
        assert_eq!(limit.take(&mut tat, 10 * SECOND), Err(half), "a refused call costs nothing");
        let early = limit.take(&mut tat, 10 * SECOND + 499_999);
        assert_eq!(early, Err(Duration::from_micros(1)));
        assert_eq!(limit.take(&mut tat, 10 * SECOND + 500_000), Ok(()));
        assert_eq!(limit.take(&mut tat, 10 * SECOND + 500_000), Err(half));
        // All of the burst is back, and no more than that, however long nobody called.
        for _ in 0..3 {
            assert_eq!(limit.take(&mut tat, 1_000 * SECOND), Ok(()));
        }
        assert_eq!(limit.take(&mut tat, 1_000 * SECOND), Err(half));
    }

    #[test]
    fn a_replicas_share_is_its_part_of_rate_and_burst() {
        assert_eq!(Limit::new(10.0, 30, 3), Limit::new(10.0 / 3.0, 10, 1));
        let least = Limit::new(0.1, 2, 4);
        assert_eq!(least.span, least.interval, "one call at least");
        assert_eq!(Limit::new(0.1, 1, 1).interval, 10 * SECOND);
        assert_eq!(Limit::new(3.0, 1, 1).interval, 333_334, "never more than the rate");
    }

    /// What is promised, word for word: a call passes if no stretch of time that ends with it
    /// holds more than the burst and what the rate gives.
    fn may_pass(passed: &[u64], now: u64, interval: u64, burst: u64) -> bool {
        (0..passed.len()).all(|first| {
            let count = (passed.len() - first) as u64 + 1;
            count.saturating_sub(burst) * interval <= now - passed[first]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_is_promised_and_waiting_as_told_is_enough(
            (interval, burst) in (1_u64..50, 1_u64..6),
            steps in vec(0_u64..60, 1..80),
        ) {
            let limit = Limit { interval, span: interval * burst };
            let (mut tat, mut now, mut passed) = (0, 0, Vec::new());
            for step in steps {
                now += step;
                let expected = may_pass(&passed, now, interval, burst);
                match limit.take(&mut tat, now) {
                    Ok(()) => {
                        prop_assert!(expected);
                        passed.push(now);
                    }
                    Err(wait) => {
                        prop_assert!(!expected);
                        let wait = u64::try_from(wait.as_micros()).unwrap();
                        prop_assert!(!may_pass(&passed, now + wait - 1, interval, burst));
                        prop_assert!(may_pass(&passed, now + wait, interval, burst));
                        prop_assert_eq!(limit.take(&mut tat.clone(), now + wait), Ok(()));
                    }
                }
            }
        }
    }
}
