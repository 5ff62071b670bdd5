//! The model: what is known of a candidate, and what it comes to.

use super::{ONE, Tuning};
use crate::graph::Contact;

/// How many features the fitted part of the model has.
pub const FEATURES: usize = 6;

/// What is known of a candidate through the mutual connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Σ d_z^-β in fixed point.
    pub weights: u64,
    /// c: how many there are.
    pub mutuals: usize,
    /// `d_v`: how many people the candidate is adjacent to.
    pub degree: usize,
    /// `d_u`: how many the viewer is.
    pub viewer_degree: usize,
}

impl Evidence {
    /// The features in the order of [`super::Weights::fitted`]. c is at least 1.
    #[allow(clippy::cast_precision_loss)] // beyond 2^53 rounded to the same value for the same sum
    pub fn features(&self, gamma: f64) -> [f64; FEATURES] {
        let count = self.mutuals.max(1) as f64;
        let degree = (self.degree.max(self.mutuals).max(1)) as f64;
        let union = degree + self.viewer_degree.max(self.mutuals) as f64 - count;
        let (log_degree, allocation) = (degree.ln(), self.weights.max(1) as f64 / ONE);
        [
            allocation.ln() - gamma * log_degree,
            count.ln(),
            log_degree,
            union.max(1.0).ln(),
            // 0.05: who is adjacent to mutual connections only is a little more than who is adjacent to
            // one other.
            (1.05 - count / degree).ln(),
            count / degree,
        ]
    }
}

impl Tuning {
    /// The score of a candidate of the first tier. Fewer mutual connections than the minimum count
    /// as none: the order of two contacts would otherwise say which of them the viewer's only
    /// friend knows.
    pub fn score(&self, contact: Option<Contact>, evidence: &Evidence) -> f64 {
        let weights = &self.weights;
        let known = if evidence.mutuals < self.min_mutuals {
            weights.no_mutuals
        } else {
            let features = evidence.features(self.gamma);
            features.iter().zip(weights.fitted()).map(|(feature, weight)| feature * weight).sum()
        };
        match contact {
            // Mutual connections do not make a contact less of one.
            Some(Contact::Reciprocal) => known.max(weights.no_mutuals) + weights.reciprocal_contact,
            Some(Contact::OneWay) => known.max(weights.no_mutuals) + weights.one_way_contact,
            None => known,
        }
    }

    /// A score, less what being shown too often takes off.
    pub fn discounted(&self, score: f64, shown_too_often: bool) -> f64 {
        if shown_too_often { score - self.weights.shown_too_often } else { score }
    }
}
