//! Two things measured side by side.

use std::fmt;

use crate::Result;

/// What the rounds gave for each of the two.
#[derive(Debug, Clone, Default)]
pub struct Pair<T> {
    /// What is compared with.
    pub baseline: T,
    /// What is looked at.
    pub candidate: T,
}

impl<T> Pair<Vec<T>> {
    /// One value of each round.
    pub fn map<U>(&self, value: impl Fn(&T) -> U) -> Pair<Vec<U>> {
        Pair {
            baseline: self.baseline.iter().map(&value).collect(),
            candidate: self.candidate.iter().map(&value).collect(),
        }
    }
}

/// Measures baseline and candidate in turns, `rounds` times each, so that whatever else the
/// machine does meanwhile falls on both. `measure` gets the number of the round.
pub async fn in_turns<T>(
    rounds: u64,
    mut baseline: impl AsyncFnMut(u64) -> Result<T>,
    mut candidate: impl AsyncFnMut(u64) -> Result<T>,
) -> Result<Pair<Vec<T>>> {
    let mut pair = Pair { baseline: Vec::new(), candidate: Vec::new() };
    for round in 0..rounds {
        pair.baseline.push(baseline(round).await?);
        pair.candidate.push(candidate(round).await?);
    }
    Ok(pair)
}

/// The middle of some values, the mean of the two middle ones if their number is even; NaN of
/// none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// How a candidate compares with a baseline measured in the same rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The candidate's median over the baseline's.
    pub of_medians: f64,
    /// The smallest ratio within one round.
    pub least: f64,
    /// The largest ratio within one round.
    pub most: f64,
}

impl Ratio {
    /// The ratio of two measurements with the same rounds.
    pub fn of(pair: &Pair<Vec<f64>>) -> Self {
        let rounds = pair.candidate.iter().zip(&pair.baseline).map(|(new, old)| new / old);
        Self {
            of_medians: median(&pair.candidate) / median(&pair.baseline),
            least: rounds.clone().fold(f64::INFINITY, f64::min),
            most: rounds.fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// `0.912 (rounds 0.871 to 0.934)`.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} (rounds {:.3} to {:.3})", self.of_medians, self.least, self.most)
    }
}
