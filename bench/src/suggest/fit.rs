//! Fitting the weights: a conditional logit.
//!
//! A user's candidates are alternatives, of which the hidden ones were chosen; the weights are those
//! under which that is likeliest (`McFadden`, "Conditional logit analysis of qualitative choice
//! behavior", 1973), each user counting once, found by Newton's method. A small ridge keeps weights of
//! features that say the same from running away.

use super::graph::Features;

const N: usize = suggest_svc::domain::ranking::FEATURES;
const RIDGE: f64 = 0.1;
const STEPS: usize = 50;

/// One user's candidates and which of them were chosen.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) candidates: Vec<Features>,
    pub(super) chosen: Vec<usize>,
}

impl Choice {
    /// Whether anything can be learnt from it.
    pub(super) fn tells(&self) -> bool {
        !self.chosen.is_empty() && self.chosen.len() < self.candidates.len()
    }

    fn shares(&self, weights: &Features) -> (Vec<f64>, f64) {
        let scores: Vec<f64> = self.candidates.iter().map(|one| dot(one, weights)).collect();
        let most = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
        let log_sum = most + sum.ln();
        (scores, log_sum)
    }
}

fn dot(one: &Features, other: &Features) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// The logarithm of the likelihood, less the ridge.
fn likelihood(choices: &[Choice], weights: &Features) -> f64 {
    let of = |choice: &Choice| {
        let (scores, log_sum) = choice.shares(weights);
        mean(choice.chosen.iter().map(|one| scores[*one] - log_sum))
    };
    choices.iter().map(of).sum::<f64>() - RIDGE / 2.0 * dot(weights, weights)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    #[allow(clippy::cast_precision_loss)] // some hundred at the most
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// The weights under which the choices are likeliest.
pub(super) fn fit(choices: &[Choice]) -> Features {
    let mut weights = [0.0; N];
    weights[0] = 1.0;
    let mut now = likelihood(choices, &weights);
    for _ in 0..STEPS {
        let step = newton_step(choices, &weights);
        // Halved until it leads upwards: far from the top a whole step may lead past it.
        let halves = (0..30).map(|halvings| 0.5f64.powi(halvings));
        let tried = halves.map(|share| {
            let there: Features = std::array::from_fn(|n| weights[n] + share * step[n]);
            (likelihood(choices, &there), there)
        });
        let Some((then, there)) = tried.into_iter().find(|(then, _)| *then >= now) else { break };
        let gained = then - now;
        (weights, now) = (there, then);
        if gained < 1e-9 {
            break;
        }
    }
    weights
}

/// The inverse of the curvature times the slope.
fn newton_step(choices: &[Choice], weights: &Features) -> Features {
    let mut rows = [[0.0; N + 1]; N];
    for (n, row) in rows.iter_mut().enumerate() {
        row[n] = RIDGE;
        row[N] = -RIDGE * weights[n];
    }
    for choice in choices {
        let (scores, log_sum) = choice.shares(weights);
        let mut expected = [0.0; N];
        for (candidate, score) in choice.candidates.iter().zip(&scores) {
            let share = (score - log_sum).exp();
            for (a, row) in rows.iter_mut().enumerate() {
                expected[a] += share * candidate[a];
                for b in 0..N {
                    row[b] += share * candidate[a] * candidate[b];
                }
            }
        }
        for (a, row) in rows.iter_mut().enumerate() {
            for b in 0..N {
                row[b] -= expected[a] * expected[b];
            }
            row[N] +=
                mean(choice.chosen.iter().map(|one| choice.candidates[*one][a])) - expected[a];
        }
    }
    solve(rows)
}

/// Gauss and Jordan. The ridge keeps the pivots above zero.
fn solve(mut rows: [[f64; N + 1]; N]) -> Features {
    for pivot in 0..N {
        let from = rows[pivot].map(|value| value / rows[pivot][pivot]);
        for (n, row) in rows.iter_mut().enumerate() {
            if n == pivot {
                *row = from;
            } else {
                let factor = row[pivot];
                row.iter_mut().zip(from).for_each(|(value, from)| *value -= factor * from);
            }
        }
    }
    rows.map(|row| row[N])
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_weights_by_which_choices_were_made_are_found_again() {
        let truth = [2.0, -1.0, 0.5, 0.0, 1.0, -0.5];
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let choices: Vec<Choice> = (0..4_000)
            .map(|_| {
                let candidates: Vec<Features> =
                    (0..10).map(|_| std::array::from_fn(|_| random.random())).collect();
                // The best after noise of Gumbel is a choice by the logit.
                let noisy = candidates
                    .iter()
                    .map(|one| dot(one, &truth) - (-random.random::<f64>().max(1e-300).ln()).ln());
                let best = noisy.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
                Choice { candidates, chosen: best.map(|(n, _)| n).into_iter().collect() }
            })
            .collect();
        for (found, truth) in fit(&choices).iter().zip(truth) {
            assert!((found - truth).abs() < 0.2, "{found} for {truth}");
        }
    }

    #[test]
    fn a_user_from_whom_nothing_can_be_learnt_says_so() {
        let candidates = vec![[0.0; N]; 2];
        let tells = |chosen: &[usize]| {
            Choice { candidates: candidates.clone(), chosen: chosen.to_vec() }.tells()
        };
        assert_eq!([tells(&[]), tells(&[1]), tells(&[0, 1])], [false, true, false]);
    }
}
