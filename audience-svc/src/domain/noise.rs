//! The noise of released sizes.

use std::num::NonZeroU32;

use prio::dp::{Rational, distributions::DiscreteGaussian};
use rand::{CryptoRng, distr::Distribution as _};

/// By how much, at most, one fact about people changes a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensitivity {
    /// By one person.
    One,
    /// By two.
    #[allow(dead_code)] // counts of expressions
    Two,
}

/// σ for one release, in hundredths. With σ = 3.98·√K, K releases together let nobody guess a
/// yes or no about one person right more often than 55 times in 100: Φ(1 / (2·3.98)).
const SIGMA_OF_ONE: u128 = 398;

/// Discrete Gaussian noise: whole numbers x, each with a probability in proportion to
/// exp(−x² / 2σ²). Sampled exactly, with integers alone (Canonne, Kamath, Steinke: The Discrete
/// Gaussian for Differential Privacy, 2020): floating point would give figures away by its gaps.
#[derive(Debug, Clone)]
pub struct Noise {
    sigma: u32,
    /// With σ and with 2σ: for counts that one answer changes by one, and by two.
    samplers: [DiscreteGaussian; 2],
}

impl Noise {
    /// The noise for so many fresh releases in a window: σ = 3.98·√K, rounded up to a whole number.
    pub fn for_releases(in_window: NonZeroU32) -> Self {
        let square = SIGMA_OF_ONE * SIGMA_OF_ONE * u128::from(in_window.get());
        let floor = square.isqrt();
        let hundredths = floor + u128::from(floor * floor < square);
        // At most 3.98 times 2^16: it fits.
        let sigma = u32::try_from(hundredths.div_ceil(100)).unwrap_or(u32::MAX);
        Self { sigma, samplers: [sampler(sigma), sampler(2 * sigma)] }
    }

    /// Its standard deviation, for counts that one answer about people changes by one.
    pub const fn sigma(&self) -> u32 {
        self.sigma
    }

    #[allow(dead_code)] // counts of expressions
    pub(super) const fn sigma_for(&self, sensitivity: Sensitivity) -> u32 {
        match sensitivity {
            Sensitivity::One => self.sigma,
            Sensitivity::Two => 2 * self.sigma,
        }
    }

    pub(super) fn draw(&self, sensitivity: Sensitivity, rng: &mut impl CryptoRng) -> i64 {
        let drawn = self.samplers[sensitivity as usize].sample(rng);
        let negative = drawn < 0.into();
        // Never out of range: that is more than 10^13 times σ.
        i64::try_from(drawn).unwrap_or(if negative { i64::MIN } else { i64::MAX })
    }
}

fn sampler(sigma: u32) -> DiscreteGaussian {
    // Unwrap safety: the denominator is not zero.
    #[allow(clippy::unwrap_used)]
    DiscreteGaussian::new(Rational::from_unsigned(sigma, 1).unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn sigma_is_rounded_up_to_the_next_whole_number() {
        for releases in (1..2_000).chain([10_000, u32::MAX]) {
            let sigma = Noise::for_releases(NonZeroU32::new(releases).unwrap()).sigma();
            let square = 398 * 398 * u128::from(releases);
            assert!((u128::from(sigma) * 100).pow(2) >= square);
            assert!((u128::from(sigma - 1) * 100).pow(2) < square);
        }
    }
}
