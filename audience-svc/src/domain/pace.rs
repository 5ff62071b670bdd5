//! At which times answers are given whose work depends on who matched: points of a grid that starts
//! with the request and is so coarse that the work ends before its first point. How coarse, depends
//! on nothing but what the business itself has sent.

use std::time::Duration;

/// The step of the smallest request.
const STEP: Duration = Duration::from_millis(250);
/// How many rows make the step longer by as much again: a microsecond a row.
const ROWS: u64 = 250_000;
/// What each audience of an expression adds.
const AUDIENCE: Duration = Duration::from_millis(10);
/// The longest step. With a thousand audiences an answer still comes before its default deadline.
const LONGEST: Duration = Duration::from_mins(1);

/// The step for applying an upload of so many rows.
pub fn commit_step(rows: u64) -> Duration {
    let steps = u32::try_from(1 + rows / ROWS).unwrap_or(u32::MAX);
    STEP.saturating_mul(steps).min(LONGEST)
}

/// The step for the size of an expression of so many audiences.
pub fn reach_step(audiences: usize) -> Duration {
    let audiences = u32::try_from(audiences).unwrap_or(u32::MAX);
    STEP.saturating_add(AUDIENCE.saturating_mul(audiences)).min(LONGEST)
}

/// How long an answer is held back that took so long: until the next point of the grid.
pub fn held_back(taken: Duration, step: Duration) -> Duration {
    let (taken, step) = (taken.as_nanos(), step.as_nanos().max(1));
    let rest = taken.next_multiple_of(step) - taken;
    // Less than a step: it fits.
    Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_at_points_that_only_the_request_decides() {
        let millis = Duration::from_millis;
        assert_eq!([0, 1, 249_999].map(commit_step), [STEP; 3]);
        assert_eq!(commit_step(1_000_000), millis(1_250));
        assert_eq!(commit_step(u64::MAX), LONGEST);
        assert_eq!((reach_step(1), reach_step(1_000)), (millis(260), millis(10_250)));
        for (taken, held) in [(0, 0), (1, 249), (249, 1), (250, 0), (251, 249)] {
            assert_eq!(held_back(millis(taken), STEP), millis(held), "{taken} ms");
        }
        let least = Duration::from_nanos(1);
        assert_eq!(held_back(least, STEP) + least, STEP);
    }
}
