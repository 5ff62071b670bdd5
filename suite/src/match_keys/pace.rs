//! How fast it goes, and how long it will take.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What counts for the pace is what was seen in so long a time.
const WINDOW: Duration = Duration::from_mins(1);

/// How many people were left, and when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// So many are left now.
    pub(super) fn see(&mut self, now: Instant, left: u64) {
        self.seen.push_back((now, left));
        // One from before the window stays: where the window begins.
        while self.seen.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW) {
            self.seen.pop_front();
        }
    }

    /// How many people are keyed anew in a second; nothing while that cannot be said.
    #[allow(clippy::cast_precision_loss)] // a figure for people
    pub(super) fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, after)) = self.seen.front().zip(self.seen.back())?;
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then(|| before.saturating_sub(*after) as f64 / seconds)
    }

    /// How long it will take at this pace; nothing while nobody is keyed anew.
    #[allow(clippy::cast_precision_loss)] // a figure for people
    pub(super) fn time_left(&self) -> Option<Duration> {
        let (_, left) = self.seen.back()?;
        let pace = self.per_second().filter(|pace| *pace > 0.0)?;
        Duration::try_from_secs_f64(*left as f64 / pace).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(seen: &[(u64, u64)]) -> (Option<f64>, Option<u64>) {
        let (begin, mut pace) = (Instant::now(), Pace::default());
        for (seconds, left) in seen {
            pace.see(begin + Duration::from_secs(*seconds), *left);
        }
        (pace.per_second(), pace.time_left().map(|left| left.as_secs()))
    }

    #[test]
    fn the_time_left_follows_from_the_last_minute() {
        assert_eq!(pace(&[]), (None, None));
        assert_eq!(pace(&[(0, 100)]), (None, None));
        assert_eq!(pace(&[(0, 100), (10, 80)]), (Some(2.0), Some(40)));
        assert_eq!(pace(&[(0, 100), (10, 100)]), (Some(0.0), None));
        // What was before the last minute does not count.
        assert_eq!(pace(&[(0, 9_000), (60, 1_000), (120, 400)]), (Some(10.0), Some(40)));
        // A replica with the older secret only may key somebody under it.
        assert_eq!(pace(&[(0, 100), (10, 101)]), (Some(0.0), None));
    }
}
