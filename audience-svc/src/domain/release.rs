//! The only figure that depends on who is in a list, and the only way to it.
//!
//! INTERIM: what [`Released::draw`] does now, rounding to a coarse step, is **not private enough
//! for production**: whoever can add one known person to a list of 999 others learns from the
//! answer whether that person is a member. Calibrated noise, drawn before threshold and rounding,
//! and a budget for each legal owner take its place behind the same two types.

use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;

/// The smallest size that is ever told.
pub(super) const MINIMUM: u64 = 1_000;

/// The step that sizes are rounded to.
const STEP: u64 = 1_000;

/// How many distinct people an expression has: those with a place in the directory whose consent
/// to the use is in force. It is made where people are counted and read where a release is drawn;
/// nothing else can look inside, so nothing else can tell it to anyone.
#[derive(Default)]
pub struct MaskedCount(u64);

impl MaskedCount {
    /// More people.
    pub fn add(&mut self, people: u64) {
        self.0 += people;
    }
}

/// A size as it was released: drawn once for an expression over certain lists, stored, and given
/// again whenever it is asked for. The only thing that becomes a `ReachEstimate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Nothing: below the minimum.
    steps: Option<u64>,
    at: UnixMillis,
}

impl Released {
    /// Draws the release of a count.
    pub fn draw(count: &MaskedCount, at: UnixMillis) -> Self {
        let steps = (count.0 >= MINIMUM).then_some(count.0 / STEP);
        Self { steps, at }
    }

    /// Whether the size is below the minimum.
    pub const fn below_minimum(self) -> bool {
        self.steps.is_none()
    }

    /// The least and the greatest size that the release is consistent with.
    pub const fn bounds(self) -> (u64, u64) {
        match self.steps {
            None => (0, MINIMUM),
            Some(steps) => (steps * STEP, steps * STEP + STEP - 1),
        }
    }

    /// Whether a list of this size may be targeted.
    pub const fn targetable(self) -> bool {
        self.steps.is_some()
    }

    /// When it was drawn.
    pub const fn at(self) -> UnixMillis {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(people: u64) -> Released {
        let mut count = MaskedCount::default();
        count.add(people);
        Released::draw(&count, UnixMillis::new(5))
    }

    #[test]
    fn small_sizes_are_never_told() {
        for people in [0, 1, 999] {
            assert_eq!(released(people), released(0));
            assert_eq!(released(people).bounds(), (0, 1_000));
            assert!(!released(people).targetable());
        }
    }

    #[test]
    fn sizes_are_told_in_steps() {
        assert_eq!(released(1_000), released(1_999));
        assert_eq!(released(1_000).bounds(), (1_000, 1_999));
        assert_eq!(released(2_000).bounds(), (2_000, 2_999));
        assert!(released(1_000).targetable());
    }
}
