//! Draws by given probabilities, quickly; and that the exact sampler has the same.

// Probabilities become numbers of places, and back.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

use super::Told;

/// Where a noise stands in the [`distribution`](super::distribution).
pub(super) fn place_of(noise: i64, sigma: u32) -> usize {
    usize::try_from(noise + 10 * i64::from(sigma)).unwrap()
}

/// Walker's alias method: chance picks one of as many places as there are answers, all alike, and
/// there one of two answers.
pub(super) struct Alias {
    /// Below which number it is the place's own answer, and otherwise which it is.
    places: Vec<(u64, usize)>,
}

impl Alias {
    pub(super) fn new(answers: &[(f64, Told)]) -> Self {
        let count = answers.len() as f64;
        // In shares of a place: who has less than one is filled up by who has more.
        let mut left: Vec<f64> = answers.iter().map(|(p, _)| p * count).collect();
        let (mut poor, mut rich): (Vec<_>, Vec<_>) = (0..left.len()).partition(|&n| left[n] < 1.0);
        let mut places: Vec<_> = (0..left.len()).map(|n| (u64::MAX, n)).collect();
        while let (Some(&taker), Some(&giver)) = (poor.last(), rich.last()) {
            poor.pop();
            places[taker] = ((left[taker] * 2_f64.powi(64)) as u64, giver);
            left[giver] -= 1.0 - left[taker];
            if left[giver] < 1.0 {
                rich.pop();
                poor.push(giver);
            }
        }
        Self { places }
    }

    /// The answer that a random number picks.
    pub(super) fn draw(&self, random: u64) -> usize {
        let product = u128::from(random) * self.places.len() as u128;
        let place = (product >> 64) as usize;
        let (own, other) = self.places[place];
        if (product as u64) < own { place } else { other }
    }
}

mod tests {
    use rand::{SeedableRng as _, rngs::StdRng};

    use super::*;
    use crate::domain::{
        Noise,
        attacks::{
            distribution,
            trials::{K, SEED},
        },
        expression::Sensitivity,
    };

    #[test]
    fn the_table_has_the_given_probabilities() {
        let told = Told { bounds: (0, 0), targetable: true };
        let answers: Vec<_> = distribution(69).map(|(_, p)| (p, told)).collect();
        let table = Alias::new(&answers);
        let mut mass = vec![0.0; answers.len()];
        for (place, &(own, other)) in table.places.iter().enumerate() {
            let own = own as f64 / 2_f64.powi(64);
            mass[place] += own / answers.len() as f64;
            mass[other] += (1.0 - own) / answers.len() as f64;
        }
        let apart: f64 = mass.iter().zip(&answers).map(|(mass, (p, _))| (mass - p).abs()).sum();
        assert!(apart < 1e-12, "{apart}");
    }

    /// Pearson's χ² over forty bins that are as good as equally likely.
    #[test]
    fn the_exact_sampler_has_the_probabilities_that_the_attacks_use() {
        const BINS: usize = 40;
        for (sensitivity, draws) in [(Sensitivity::One, 40_000), (Sensitivity::Two, 20_000)] {
            let noise = Noise::for_releases(K);
            let sigma = noise.sigma_for(sensitivity);
            let (mut bins, mut expected, mut below) = (Vec::new(), [0.0; BINS], 0.0);
            for (_, p) in distribution(sigma) {
                let bin = ((below + p / 2.0) * BINS as f64) as usize;
                bins.push(bin.min(BINS - 1));
                expected[bin.min(BINS - 1)] += p * f64::from(draws);
                below += p;
            }
            let mut seen = [0.0; BINS];
            let mut rng = StdRng::seed_from_u64(SEED);
            for _ in 0..draws {
                seen[bins[place_of(noise.draw(sensitivity, &mut rng), sigma)]] += 1.0;
            }
            let square: f64 = seen
                .iter()
                .zip(expected)
                .map(|(seen, expected): (&f64, f64)| (seen - expected).powi(2) / expected)
                .sum();
            // 39 degrees of freedom: more than this once in a thousand times.
            assert!(square < 72.1, "{sensitivity:?}: {square}");
        }
    }
}
