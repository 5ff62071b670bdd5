//! The only figure that depends on who is in a list, and the only way to it.
//!
//! Noise comes first; minimum and rounding are taken from the noisy figure alone. So whatever is
//! told, or done because of it, gives away no more than the noisy figure does.

use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;

use super::{Expression, Noise, expression::Sensitivity};

#[cfg(any(test, feature = "attacks"))]
pub mod attacks;

/// The smallest noisy figure that is told.
pub(super) const MINIMUM: u64 = 1_000;

/// How many distinct people an expression has: those with a place in the directory whose consent
/// to the use is in force. It is made where people are counted and read where a release is drawn;
/// nothing else can look inside, so nothing else can tell it to anyone.
pub struct MaskedCount {
    people: u64,
    sensitivity: Sensitivity,
}

impl MaskedCount {
    /// Nobody yet.
    pub fn of(expression: &Expression) -> Self {
        Self { people: 0, sensitivity: expression.sensitivity() }
    }

    /// More people.
    pub fn add(&mut self, people: u64) {
        self.people += people;
    }
}

/// A size as it was released: drawn once for an expression over certain lists, stored, and given
/// again whenever it is asked for. The only thing that becomes a `ReachEstimate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    size: Size,
    at: UnixMillis,
}

/// What is told. The noisy figure itself is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Size {
    BelowMinimum,
    Between(u64, u64),
}

impl Released {
    /// Draws the release of a count, which is gone then. It must be taken off the owner's budget
    /// before anybody learns of it.
    // By value: one count, one release.
    #[allow(clippy::needless_pass_by_value)]
    pub fn draw(
        count: MaskedCount,
        noise: &Noise,
        rng: &mut impl CryptoRng,
        at: UnixMillis,
    ) -> Self {
        let MaskedCount { people, sensitivity } = count;
        let figure = noisy(people, noise.draw(sensitivity, rng));
        Self::told(figure, noise.sigma_for(sensitivity), at)
    }

    /// What is told of a noisy figure n: nothing below the minimum; from there on n − 3σ to n + 3σ,
    /// rounded outward to two digits, and never less than the minimum.
    fn told(figure: i64, sigma: u32, at: UnixMillis) -> Self {
        let size = match u64::try_from(figure) {
            Ok(figure @ MINIMUM..) => {
                let margin = 3 * u64::from(sigma);
                let lower = figure.saturating_sub(margin);
                let upper = figure.saturating_add(margin);
                let upper = upper.div_ceil(step(upper)).saturating_mul(step(upper));
                Size::Between((lower - lower % step(lower)).max(MINIMUM), upper)
            }
            _ => Size::BelowMinimum,
        };
        Self { size, at }
    }

    /// Whether the size is below the minimum.
    pub const fn below_minimum(self) -> bool {
        matches!(self.size, Size::BelowMinimum)
    }

    /// The least and the greatest size that the release is consistent with.
    pub const fn bounds(self) -> (u64, u64) {
        match self.size {
            Size::BelowMinimum => (0, MINIMUM),
            Size::Between(lower, upper) => (lower, upper),
        }
    }

    /// Whether a list of this size may be targeted.
    pub const fn targetable(self) -> bool {
        !self.below_minimum()
    }

    /// When it was drawn.
    pub const fn at(self) -> UnixMillis {
        self.at
    }
}

/// A count and noise, as far as numbers go.
fn noisy(people: u64, noise: i64) -> i64 {
    i64::try_from(people).unwrap_or(i64::MAX).saturating_add(noise)
}

/// What the second digit of a number counts.
const fn step(number: u64) -> u64 {
    match number.checked_ilog10() {
        Some(power @ 1..) => 10_u64.pow(power - 1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::num::NonZeroU32;

    use rand::{SeedableRng as _, rngs::StdRng};

    use super::{attacks::distribution, *};
    use crate::domain::Term;

    const SIGMA: u32 = 69;
    const AT: UnixMillis = UnixMillis::new(5);

    /// Whether a type has a trait: where the bound holds, a constant of the type's own hides that
    /// of `Lacking`.
    macro_rules! has {
        ($type:ty, $bound:path) => {{
            #[allow(dead_code)]
            trait Lacking {
                const HAS: bool = false;
            }
            #[allow(dead_code)]
            struct Probe<T>(T);
            impl<T> Lacking for Probe<T> {}
            #[allow(dead_code)]
            impl<T: $bound> Probe<T> {
                const HAS: bool = true;
            }
            Probe::<$type>::HAS
        }};
    }

    macro_rules! has_none {
        ($type:ty: $($bound:path,)*) => {
            $(const { assert!(!has!($type, $bound), stringify!($bound)) };)*
        };
    }

    #[test]
    fn a_count_that_was_not_released_cannot_be_told() {
        has_none!(
            MaskedCount: std::fmt::Debug, std::fmt::Display, std::fmt::LowerHex, std::fmt::UpperHex,
            std::fmt::LowerExp, std::fmt::UpperExp, std::fmt::Octal, std::fmt::Binary,
            std::fmt::Pointer, Serialize, Clone, PartialEq, PartialOrd, std::hash::Hash, Into<u64>,
            Into<i64>, AsRef<u64>, std::borrow::Borrow<u64>, std::ops::Deref,
        );
        // The check sees what is there.
        const { assert!(has!(Released, std::fmt::Debug) && has!(Released, Serialize)) };
    }

    fn count(people: u64, expression: &Expression) -> MaskedCount {
        let mut count = MaskedCount::of(expression);
        count.add(people);
        count
    }

    fn bounds(figure: i64) -> (u64, u64) {
        Released::told(figure, SIGMA, AT).bounds()
    }

    #[test]
    fn what_is_told_follows_from_the_noisy_figure() {
        for figure in [i64::MIN, -1, 0, 999] {
            let released = Released::told(figure, SIGMA, AT);
            assert!(released.below_minimum() && !released.targetable());
            assert_eq!(released.bounds(), (0, 1_000));
        }
        assert!(Released::told(1_000, SIGMA, AT).targetable());
        for (figure, told) in [
            (1_000, (1_000, 1_300)),
            (1_306, (1_000, 1_600)),
            (1_307, (1_100, 1_600)),
            (10_206, (9_900, 11_000)),
            (2_200_000, (2_100_000, 2_300_000)),
        ] {
            assert_eq!(bounds(figure), told);
        }
        let (_, most) = bounds(i64::MAX);
        assert!(most >= i64::MAX as u64);
    }

    /// The probability that a size is within the bounds that are told of it.
    fn coverage(size: i64) -> f64 {
        let told = |noise| {
            let (lower, upper) = bounds(size + noise);
            (lower.cast_signed()..=upper.cast_signed()).contains(&size)
        };
        distribution(SIGMA).filter(|(noise, _)| told(*noise)).map(|(_, p)| p).sum()
    }

    #[test]
    fn bounds_hold_in_997_of_1000_releases_except_close_to_the_minimum() {
        for size in (0..=793).chain(1_207..=3_000).chain([9_999, 10_000, 99_999, 2_200_000]) {
            assert!(coverage(size) > 0.997, "{size}: {}", coverage(size));
        }
        // Closer to it, it is noise that says on which side a size is told to be.
        assert!(coverage(1_000) > 0.5 && coverage(1_100) > 0.92);
        assert!(coverage(999) > 0.49 && coverage(900) > 0.92);
    }

    #[test]
    fn a_release_is_the_count_and_noise_of_the_given_randomness() {
        let noise = Noise::for_releases(NonZeroU32::new(300).unwrap());
        let list = |id: &str| Term::Audience(id.to_owned());
        let but = |a, b| Expression::new(vec![], vec![list(a)], vec![list(b)]).unwrap();
        let nested = |expression| Term::Nested(Box::new(expression));
        let either = vec![nested(but("a", "b")), nested(but("c", "d"))];
        let either = Expression::new(either, vec![], vec![]).unwrap();
        for (expression, sensitivity, sigma) in
            [(but("a", "b"), Sensitivity::One, 69), (either, Sensitivity::Two, 138)]
        {
            let rng = || StdRng::seed_from_u64(7);
            let drawn = Released::draw(count(5_000, &expression), &noise, &mut rng(), AT);
            let figure = 5_000 + noise.draw(sensitivity, &mut rng());
            assert_eq!(drawn, Released::told(figure, sigma, AT));
            assert_eq!(drawn.at(), AT);
        }
    }

    #[test]
    fn a_stored_release_is_read_as_it_was() {
        for figure in [0, 5_000] {
            let released = Released::told(figure, SIGMA, AT);
            let stored = serde_json::to_string(&released).unwrap();
            assert_eq!(serde_json::from_str::<Released>(&stored).unwrap(), released);
        }
        assert!(serde_json::from_str::<Released>(r#"{"at":5}"#).is_err());
    }
}
