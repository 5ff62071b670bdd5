//! How many fresh releases a legal owner gets.

use std::{num::NonZeroU32, time::Duration};

use service_kit::clock::UnixMillis;
use thiserror::Error;

/// Fresh releases of one legal owner, over all of its businesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    in_window: NonZeroU32,
    ever: Option<u64>,
}

/// No fresh release now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Exhausted {
    /// The window is full; one is available again at this instant.
    #[error("no fresh release is left in this window")]
    Until(UnixMillis),
    /// The owner has had all that it ever gets.
    #[error("no fresh release is left")]
    ForGood,
}

impl Budget {
    /// How long a release counts against the window: 30 days.
    pub const WINDOW: Duration = Duration::from_hours(30 * 24);

    /// So many in any 30 days, and so many ever, if that is limited too.
    pub const fn new(in_window: NonZeroU32, ever: Option<u64>) -> Self {
        Self { in_window, ever }
    }

    /// Whether a fresh release may be drawn at `now`.
    ///
    /// `drawn` are the instants of the owner's fresh releases, in any order: those of the last 30
    /// days at least, and at least the latest K of them. `ever` is how many there were altogether.
    /// A release counts from its instant until 30 days later, not included; one that lies ahead,
    /// because the clock was set back, counts as well.
    pub fn allows(self, now: UnixMillis, drawn: &[UnixMillis], ever: u64) -> Result<(), Exhausted> {
        if self.ever.is_some_and(|cap| ever >= cap) {
            return Err(Exhausted::ForGood);
        }
        let mut counting: Vec<_> =
            drawn.iter().filter(|at| now.since(**at) < Self::WINDOW).copied().collect();
        counting.sort_unstable_by(|a, b| b.cmp(a));
        // As soon as the K-th latest has left, fewer than K count.
        let place = usize::try_from(self.in_window.get() - 1).unwrap_or(usize::MAX);
        match counting.get(place) {
            Some(at) => Err(Exhausted::Until(at.plus(Self::WINDOW))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const WINDOW: i64 = 30 * 86_400_000;

    fn budget(in_window: u32) -> Budget {
        Budget::new(NonZeroU32::new(in_window).unwrap(), None)
    }

    fn instants(at: &[i64]) -> Vec<UnixMillis> {
        at.iter().copied().map(UnixMillis::new).collect()
    }

    #[test]
    fn a_release_counts_for_thirty_days_to_the_millisecond() {
        let drawn = instants(&[7]);
        let renewal = Exhausted::Until(UnixMillis::new(7 + WINDOW));
        let allows = |now| budget(1).allows(UnixMillis::new(now), &drawn, 1);
        assert_eq!(allows(7), Err(renewal));
        assert_eq!(allows(6 + WINDOW), Err(renewal));
        assert_eq!(allows(7 + WINDOW), Ok(()));
    }

    #[test]
    fn a_full_window_renews_when_its_oldest_release_leaves() {
        let now = UnixMillis::new(WINDOW);
        // In any order; the one at 0 has just left.
        let drawn = instants(&[20, 0, 30, 10]);
        assert_eq!(budget(4).allows(now, &drawn, 4), Ok(()));
        let at = |oldest| Err(Exhausted::Until(UnixMillis::new(oldest + WINDOW)));
        assert_eq!(budget(3).allows(now, &drawn, 4), at(10));
        // A budget that was lowered: more than it allows must leave.
        assert_eq!(budget(1).allows(now, &drawn, 4), at(30));
    }

    #[test]
    fn no_thirty_days_ever_hold_more_than_the_budget() {
        // Somebody who asks all the time, at intervals that do not divide the window.
        for (in_window, step) in [(1, 86_400_001), (7, 100_000_007), (300, 6_000_011)] {
            let mut drawn: Vec<UnixMillis> = Vec::new();
            for now in (0..WINDOW * 3).step_by(step).map(UnixMillis::new) {
                match budget(in_window).allows(now, &drawn, 0) {
                    Ok(()) => drawn.push(now),
                    Err(Exhausted::Until(renewal)) => {
                        assert!(renewal > now);
                        assert_eq!(budget(in_window).allows(renewal, &drawn, 0), Ok(()));
                        let before = renewal.minus(Duration::from_millis(1));
                        assert!(budget(in_window).allows(before, &drawn, 0).is_err());
                    }
                    Err(Exhausted::ForGood) => panic!("there is no cap"),
                }
            }
            let k = in_window as usize;
            assert!(drawn.len() > 2 * k, "the budget was not used up");
            for releases in drawn.windows(k + 1) {
                assert!(releases[k].since(releases[0]) >= Budget::WINDOW);
            }
        }
    }

    #[test]
    fn a_clock_set_back_gives_nothing_away() {
        let drawn = instants(&[1_000]);
        let renewal = Exhausted::Until(UnixMillis::new(1_000 + WINDOW));
        assert_eq!(budget(1).allows(UnixMillis::new(0), &drawn, 1), Err(renewal));
    }

    #[test]
    fn a_cap_holds_however_long_one_waits() {
        let capped = Budget::new(NonZeroU32::MIN, Some(2));
        let late = UnixMillis::new(100 * WINDOW);
        assert_eq!(capped.allows(late, &instants(&[0]), 1), Ok(()));
        assert_eq!(capped.allows(late, &instants(&[0, WINDOW]), 2), Err(Exhausted::ForGood));
    }
}
