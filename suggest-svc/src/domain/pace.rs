//! At which times a sync is answered: points of a grid that starts when the last contact has
//! arrived, and is so coarse that the work ends before its first point. How coarse, depends on
//! nothing but what the account has sent.

use std::time::Duration;

/// The step of the smallest sync.
const STEP: Duration = Duration::from_millis(100);
/// What each contact adds.
const CONTACT: Duration = Duration::from_micros(20);
/// The longest step: an answer still comes well before its default deadline.
const LONGEST: Duration = Duration::from_secs(10);

/// The step for a sync of so many contacts, refused ones among them.
pub fn sync_step(contacts: usize) -> Duration {
    let contacts = u32::try_from(contacts).unwrap_or(u32::MAX);
    STEP.saturating_add(CONTACT.saturating_mul(contacts)).min(LONGEST)
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
    fn answers_come_at_points_that_only_the_sync_decides() {
        let millis = Duration::from_millis;
        assert_eq!([0, 5_000, 20_000].map(sync_step), [100, 200, 500].map(millis));
        assert_eq!(sync_step(usize::MAX), LONGEST);
        for (taken, held) in [(0, 0), (1, 99), (99, 1), (100, 0), (101, 99)] {
            assert_eq!(held_back(millis(taken), STEP), millis(held), "{taken} ms");
        }
        let least = Duration::from_nanos(1);
        assert_eq!(held_back(least, STEP) + least, STEP);
    }
}
