//! Who is asked about: few of them often, most of them rarely.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers below `count`, drawn by Zipf's law with an exponent of 1: number *k* as often as
/// 1/(*k* + 1).
#[derive(Debug)]
pub struct Zipf {
    /// The chance of each number or a smaller one, times their sum.
    up_to: Vec<f64>,
}

impl Zipf {
    /// The law for numbers below `count`, at least one.
    pub fn new(count: usize) -> Self {
        let mut sum = 0.0;
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        let up_to = (1..=count.max(1)).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { up_to: up_to.collect() }
    }

    /// So many draws; the same seed gives the same.
    pub fn draws(&self, number: usize, seed: u64) -> Vec<u32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let sum = self.up_to.last().copied().unwrap_or(1.0);
        let draw = |_| {
            let at = rng.random::<f64>() * sum;
            let found = self.up_to.partition_point(|up_to| *up_to <= at);
            u32::try_from(found.min(self.up_to.len() - 1)).unwrap_or(u32::MAX)
        };
        (0..number).map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_drawn_as_often_as_the_law_says() {
        let draws = Zipf::new(1_000).draws(100_000, 3);
        let share = |number| draws.iter().filter(|draw| **draw == number).count();
        // The harmonic number of 1,000 is 7.4855: 13.36 % and 6.68 %.
        assert!((12_900..13_800).contains(&share(0)), "{}", share(0));
        assert!((6_300..7_050).contains(&share(1)), "{}", share(1));
        assert!(draws.iter().all(|draw| *draw < 1_000));
        assert_eq!(draws, Zipf::new(1_000).draws(100_000, 3));
    }
}
