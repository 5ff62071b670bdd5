//! Time as a parameter: every rule that depends on it takes a [`Clock`], so that tests move it by
//! hand, to the millisecond.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// The earliest and the latest second that a protobuf `Timestamp` may hold: the years 1 to 9999.
const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct UnixMillis(i64);

impl UnixMillis {
    /// The point this many milliseconds after the epoch (before it, if negative).
    pub const fn new(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The point this much later; at the end of time at the latest.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }

    /// The point this much earlier; at the beginning of time at the earliest.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }

    /// How long after `earlier` this is; zero when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let difference = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(difference).unwrap_or(0))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A `Timestamp` outside the years 1 to 9999, or with nanoseconds outside one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp between the years 1 and 9999")]
pub struct OutOfRange;

impl TryFrom<&Timestamp> for UnixMillis {
    type Error = OutOfRange;

    /// What is finer than a millisecond is cut off.
    fn try_from(timestamp: &Timestamp) -> Result<Self, OutOfRange> {
        let valid = TIMESTAMP_SECONDS.contains(&timestamp.seconds)
            && (0..1_000_000_000).contains(&timestamp.nanos);
        let milliseconds = || timestamp.seconds * 1_000 + i64::from(timestamp.nanos / 1_000_000);
        valid.then(|| Self(milliseconds())).ok_or(OutOfRange)
    }
}

impl TryFrom<Timestamp> for UnixMillis {
    type Error = OutOfRange;

    fn try_from(timestamp: Timestamp) -> Result<Self, OutOfRange> {
        Self::try_from(&timestamp)
    }
}

impl From<UnixMillis> for Timestamp {
    fn from(at: UnixMillis) -> Self {
        let nanos = at.0.rem_euclid(1_000) * 1_000_000;
        // Less than a thousand million: it fits.
        Self { seconds: at.0.div_euclid(1_000), nanos: i32::try_from(nanos).unwrap_or(0) }
    }
}

/// Where the time comes from. Cheap to clone; clones of a manual clock move together.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    start: UnixMillis,
    base: Instant,
    elapsed: watch::Sender<Duration>,
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `start` until it is advanced.
    pub fn manual(start: UnixMillis) -> Self {
        let elapsed = watch::Sender::new(Duration::ZERO);
        Self(Source::Manual(Arc::new(Manual { start, base: Instant::now(), elapsed })))
    }

    /// Whether this is the machine's clock, and not one that is moved by hand.
    pub fn is_system(&self) -> bool {
        matches!(self.0, Source::System)
    }

    /// The time of day. The system's may be set back; use [`Clock::instant`] to measure.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(after) => UnixMillis(milliseconds(after)),
                Err(before) => UnixMillis(-milliseconds(before.duration())),
            },
            Source::Manual(manual) => manual.start.plus(*manual.elapsed.borrow()),
        }
    }

    /// A point that never goes back, for measuring.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System => Instant::now(),
            Source::Manual(manual) => manual.base + *manual.elapsed.borrow(),
        }
    }

    /// Waits until this much time has passed on this clock.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Manual(manual) => {
                let mut elapsed = manual.elapsed.subscribe();
                let until = elapsed.borrow_and_update().saturating_add(duration);
                // Fails only when the sender is gone, and `manual` holds it.
                let _ = elapsed.wait_for(|elapsed| *elapsed >= until).await;
            }
        }
    }

    /// Moves a manual clock forward and wakes whoever sleeps on it.
    ///
    /// # Panics
    /// On the system clock, which nobody moves by hand.
    pub fn advance(&self, by: Duration) {
        match &self.0 {
            Source::System => panic!("the system clock cannot be advanced"),
            Source::Manual(manual) => manual.elapsed.send_modify(|elapsed| *elapsed += by),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn timestamps_round_trip_at_the_ends_and_before_the_epoch() {
        for milliseconds in [-62_135_596_800_000, -1, 0, 1, 999, 1_000, 253_402_300_799_999] {
            let at = UnixMillis::new(milliseconds);
            assert_eq!(UnixMillis::try_from(Timestamp::from(at)), Ok(at));
        }
        let before = Timestamp { seconds: -1, nanos: 999_000_000 };
        assert_eq!(Timestamp::from(UnixMillis::new(-1)), before);
    }

    #[test]
    fn what_is_no_timestamp_is_refused_and_what_is_no_date_does_not_panic() {
        let second = |seconds| Timestamp { seconds, nanos: 0 };
        let nano = |nanos| Timestamp { seconds: 0, nanos };
        for bad in [
            second(-62_135_596_801),
            second(253_402_300_800),
            second(i64::MIN),
            second(i64::MAX),
            nano(-1),
            nano(1_000_000_000),
        ] {
            assert_eq!(UnixMillis::try_from(bad), Err(OutOfRange), "{bad:?}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            let timestamp = Timestamp::from(UnixMillis::new(extreme));
            assert!((0..1_000_000_000).contains(&timestamp.nanos));
        }
    }

    #[test]
    fn arithmetic_stops_at_the_ends_of_time() {
        let (first, last) = (UnixMillis::new(i64::MIN), UnixMillis::new(i64::MAX));
        assert_eq!(last.plus(Duration::MAX), last);
        assert_eq!(first.minus(Duration::MAX), first);
        assert_eq!(first.since(last), Duration::ZERO);
        assert_eq!(UnixMillis::new(7).since(UnixMillis::new(2)), Duration::from_millis(5));
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers_when_it_gets_there() {
        let clock = Clock::manual(UnixMillis::new(1_000));
        let started = clock.instant();
        let sleeper = clock.clone();
        let mut sleep = Box::pin(sleeper.sleep(Duration::from_secs(10)));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(9));
        assert!(futures::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_secs(1));
        sleep.await;
        assert_eq!(clock.now(), UnixMillis::new(11_000));
        assert_eq!(clock.instant() - started, Duration::from_secs(10));
    }
}
