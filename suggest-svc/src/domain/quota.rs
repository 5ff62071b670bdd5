//! A leaky bucket: how many new identifiers an account may bring, and how soon.

use std::time::Duration;

/// How much a bucket holds, and how fast it leaks. Its state is one number: the instant, in Unix
/// milliseconds, at which it will be empty (the virtual scheduling algorithm of ITU-T I.371).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    burst: u64,
    /// Milliseconds in which one leaks.
    each: u64,
}

/// More than fit now. Nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exceeded {
    /// How many were asked for.
    pub asked: u64,
    /// How many fit now.
    pub fit: u64,
    /// How many fit when the bucket is empty.
    pub burst: u64,
    /// After how long those that were asked for fit; nothing: never.
    pub wait: Option<Duration>,
}

impl Bucket {
    /// A bucket of `burst`, full to empty in `refill`; nothing when there is no burst, or less
    /// than a millisecond for each.
    pub fn new(burst: u64, refill: Duration) -> Option<Self> {
        let refill = u64::try_from(refill.as_millis()).unwrap_or(u64::MAX);
        let refill = refill.min(i64::MAX.unsigned_abs() / 4);
        let each = refill.checked_div(burst)?;
        (each > 0).then_some(Self { burst, each })
    }

    /// Takes all of `asked` at `now` from a bucket that is empty at `empty_at`, or nothing; when
    /// it will be empty then. A bucket nothing is known of is empty now.
    pub fn take(self, empty_at: Option<i64>, now: i64, asked: u64) -> Result<i64, Exceeded> {
        let from = empty_at.map_or(now, |at| at.max(now));
        // Not negative.
        let level = from.saturating_sub(now).unsigned_abs();
        let room = (self.burst * self.each).saturating_sub(level);
        let fit = room / self.each;
        if asked <= fit {
            return Ok(from.saturating_add_unsigned(asked * self.each));
        }
        let missing = asked.saturating_mul(self.each).saturating_sub(room);
        let wait = (asked <= self.burst).then(|| Duration::from_millis(missing));
        Err(Exceeded { asked, fit, burst: self.burst, wait })
    }

    /// When a bucket that is empty at `empty_at` is so after it took in `more`, however full.
    pub fn pour(self, empty_at: Option<i64>, now: i64, more: u64) -> i64 {
        let from = empty_at.map_or(now, |at| at.max(now));
        from.saturating_add_unsigned(more.saturating_mul(self.each))
    }

    /// Until when a bucket is empty that is full at `now`: one that is so later is overfull.
    pub fn full(self, now: i64) -> i64 {
        now.saturating_add_unsigned(self.burst * self.each)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;

    fn bucket() -> Bucket {
        Bucket::new(5_000, Duration::from_hours(30 * 24)).unwrap()
    }

    #[test]
    fn a_burst_fits_at_once_and_the_next_one_after_a_month() {
        let full = bucket().take(None, 0, 5_000).unwrap();
        assert_eq!(full, 30 * DAY);
        let refused = bucket().take(Some(full), 0, 1).unwrap_err();
        let each = Duration::from_millis(518_400);
        assert_eq!(refused, Exceeded { asked: 1, fit: 0, burst: 5_000, wait: Some(each) });
        let refused = bucket().take(Some(full), 0, 5_000).unwrap_err();
        assert_eq!(refused.wait, Some(Duration::from_hours(30 * 24)));
        assert!(bucket().take(Some(full), 30 * DAY - 1, 5_000).is_err());
        assert_eq!(bucket().take(Some(full), 30 * DAY, 5_000), Ok(60 * DAY));
    }

    #[test]
    fn more_than_a_burst_never_fits() {
        let refused = bucket().take(None, 0, 5_001).unwrap_err();
        assert_eq!((refused.fit, refused.wait), (5_000, None));
        let refused = bucket().take(None, 0, u64::MAX).unwrap_err();
        assert_eq!((refused.fit, refused.wait), (5_000, None));
    }

    #[test]
    fn what_does_not_fit_takes_nothing_and_nothing_always_fits() {
        let half = bucket().take(None, 0, 2_500).unwrap();
        assert!(bucket().take(Some(half), 0, 2_501).is_err());
        assert_eq!(bucket().take(Some(half), 0, 2_500), Ok(30 * DAY));
        // Also when the configured bucket is smaller than what was taken.
        let smaller = Bucket::new(10, Duration::from_hours(1)).unwrap();
        assert_eq!(smaller.take(Some(30 * DAY), 0, 0), Ok(30 * DAY));
        assert!(smaller.take(Some(30 * DAY), 0, 1).is_err());
    }

    #[test]
    fn a_clock_that_was_set_back_gives_nothing_away() {
        let full = bucket().take(None, DAY, 5_000).unwrap();
        assert!(bucket().take(Some(full), 0, 1).is_err());
    }

    #[test]
    fn a_bucket_that_never_fills_or_never_leaks_is_none() {
        assert_eq!(Bucket::new(0, Duration::from_secs(1)), None);
        assert_eq!(Bucket::new(1_001, Duration::from_secs(1)), None);
        assert!(Bucket::new(u64::MAX, Duration::MAX).is_none());
        assert!(Bucket::new(1_000, Duration::MAX).unwrap().take(None, i64::MAX, 1).is_ok());
    }

    proptest! {
        /// Whoever asks however: never more than the burst and what leaked meanwhile; and what is
        /// said to fit later fits then, and not a millisecond earlier.
        #[test]
        fn no_way_of_asking_gets_more(
            steps in prop::collection::vec((0..20_000_u64, 0..200_u64), 1..100)
        ) {
            let bucket = Bucket::new(100, Duration::from_secs(100)).unwrap();
            let (mut now, mut taken, mut empty_at) = (0_i64, 0, None);
            for (pause, asked) in steps {
                now += i64::try_from(pause).unwrap();
                match bucket.take(empty_at, now, asked) {
                    Ok(at) => (taken, empty_at) = (taken + asked, Some(at)),
                    Err(Exceeded { wait: Some(wait), .. }) => {
                        let then = now + i64::try_from(wait.as_millis()).unwrap();
                        prop_assert!(bucket.take(empty_at, then, asked).is_ok());
                        prop_assert!(bucket.take(empty_at, then - 1, asked).is_err());
                    }
                    Err(refused) => prop_assert!(refused.asked > 100),
                }
                prop_assert!(taken <= 100 + now.unsigned_abs() / 1_000);
            }
        }
    }
}
