//! What noise is worth: the arithmetic of Gaussian and concentrated differential privacy. Nothing
//! is drawn by it; it is what documents and logs say of the noise.
//!
//! n releases of counts that one answer about people changes by one, with Gaussian noise of
//! standard deviation σ, are μ-GDP together, μ = √n/σ, whatever is asked and however the next
//! question follows from the answers (Dong, Roth, Su: Gaussian Differential Privacy, Journal of the
//! Royal Statistical Society B 84, 2022: theorem 1, and section 3 on composition). On whole numbers
//! it is so to within 1/24σ² of μ.

use std::f64::consts::TAU;

/// μ of so many releases with noise of this standard deviation.
pub(super) fn mu(releases: u32, sigma: u32) -> f64 {
    f64::from(releases).sqrt() / f64::from(sigma)
}

/// How often any attack on a yes or no can be right at most, between no and yes evenly: its
/// balanced accuracy.
///
/// A test of level α has an error of second kind of at least Φ(Φ⁻¹(1 − α) − μ); the mean of both
/// errors is least where they are equal, at Φ(−μ/2).
pub(super) fn balanced_accuracy(mu: f64) -> f64 {
    normal(mu / 2.0)
}

/// The δ with which μ-GDP is (ε, δ)-differential privacy, exactly (Dong, Roth, Su, corollary 1).
pub(super) fn delta(epsilon: f64, mu: f64) -> f64 {
    let ratio = epsilon / mu;
    normal(mu / 2.0 - ratio) - epsilon.exp() * normal(-mu / 2.0 - ratio)
}

/// The ε for this δ.
pub(super) fn epsilon(delta: f64, mu: f64) -> f64 {
    // δ falls as ε grows. What concentrated privacy allows for is above the exact one.
    let (mut low, mut high) = (0.0, epsilon_of_zcdp(delta, mu));
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if self::delta(middle, mu) > delta { low = middle } else { high = middle }
    }
    high
}

/// The simpler and greater ε that follows from ρ-zCDP with ρ = μ²/2, which holds for the discrete
/// Gaussian as it stands (Canonne, Kamath, Steinke 2020, theorem 4): ρ + 2·√(ρ·ln(1/δ)) (Bun,
/// Steinke: Concentrated Differential Privacy, 2016, proposition 1.3).
pub(super) fn epsilon_of_zcdp(delta: f64, mu: f64) -> f64 {
    let rho = mu * mu / 2.0;
    rho + 2.0 * (rho * -delta.ln()).sqrt()
}

/// Φ, the distribution function of the standard normal distribution, to about nine digits even
/// where it is tiny.
pub(super) fn normal(x: f64) -> f64 {
    if x > 0.0 {
        return 1.0 - normal(-x);
    }
    let density = (-x * x / 2.0).exp() / TAU.sqrt();
    if x < -3.0 {
        // Laplace's continued fraction for the tail.
        let fraction = (1..=100).rev().fold(-x, |fraction, k| -x + f64::from(k) / fraction);
        return density / fraction;
    }
    // 1/2 + φ(x)·(x + x³/3 + x⁵/(3·5) + …).
    let (mut term, mut sum) = (x, x);
    for k in 1..60 {
        term *= x * x / f64::from(2 * k + 1);
        sum += term;
    }
    0.5 + density * sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::num::NonZeroU32;

    use super::*;
    use crate::domain::Noise;

    const K: u32 = 300;

    fn sigma(releases: u32) -> u32 {
        Noise::for_releases(NonZeroU32::new(releases).unwrap()).sigma()
    }

    fn assert_rounds_to(value: f64, figure: f64, step: f64) {
        assert!((value - figure).abs() <= step / 2.0, "{value} is not {figure}");
    }

    #[test]
    fn the_figures_of_the_documents() {
        assert_eq!(sigma(K), 69);
        let window = mu(K, 69);
        assert_rounds_to(window, 0.25, 0.01);
        assert_rounds_to(balanced_accuracy(window), 0.55, 0.001);
        assert!(balanced_accuracy(window) < 0.55);
        assert_rounds_to(epsilon_of_zcdp(7e-9, window), 1.57, 0.01);
        assert_rounds_to(epsilon(7e-9, window), 1.31, 0.01);
        assert_rounds_to(delta(epsilon(7e-9, window), window), 7e-9, 1e-13);
        // Twelve windows; the thirteen that can lie in 365 days; five years.
        assert_rounds_to(balanced_accuracy(mu(12 * K, 69)), 0.668, 0.001);
        assert_rounds_to(balanced_accuracy(mu(13 * K, 69)), 0.675, 0.001);
        assert_rounds_to(balanced_accuracy(mu(61 * K, 69)), 0.837, 0.001);
        // Two owners that tell each other everything.
        assert_rounds_to(balanced_accuracy(mu(2 * K, 69)), 0.570, 0.001);
    }

    #[test]
    fn phi_has_its_known_values() {
        for (x, value) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (-2.0, 0.022_750_131_948_179_2),
            (-2.999, 0.001_354_336_533_7),
            (-3.001, 0.001_345_472_825_1),
            (-6.0, 9.865_876_450_377e-10),
        ] {
            let phi = normal(x);
            assert!((phi / value - 1.0).abs() < 1e-9, "{x}: {phi}");
        }
        assert!((normal(-3.0) / normal(-3.0 - 1e-12) - 1.0).abs() < 1e-9);
    }

    /// The sum of n draws is as good as n draws, and has the form of one with σ·√n; told from the
    /// same sum moved by n, it is the n probabilities about its middle that separate the two.
    #[test]
    fn whole_numbers_and_rounding_up_keep_every_budget_within_55_percent() {
        for releases in 1..=1_000 {
            let n = f64::from(releases);
            let square = 2.0 * n * f64::from(sigma(releases)).powi(2);
            let first = -(releases.cast_signed() / 2);
            let between = first..first + releases.cast_signed();
            let apart: f64 = between.map(|s| (-f64::from(s * s) / square).exp()).sum();
            let accuracy = 0.5 + apart / (TAU / 2.0 * square).sqrt() / 2.0;
            assert!(accuracy <= 0.55, "{releases}: {accuracy}");
        }
    }
}
