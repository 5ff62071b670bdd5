//! The second tier: people at the end of three-hop paths u–a–b–v, degree-normalised.
//!
//! `L3(u, v) = Σ_{a,b} d_a^-β · d_b^-½`, after Kovács et al. ("Network-based prediction of protein
//! interactions", Nature Communications 10, 2019, 1240), who have ½ for both; over connections b of
//! connections that are not the viewer's own. So the score of v does not say whether one of the
//! viewer's connections knows v; and with at least two different people at either step, nobody's
//! list can be read by whom it leads to.

use super::{
    Between, Candidate, ONE, Prospect, Rank, Ranking, Scratch, Tier, neighbours, scratch::Tally,
    weight,
};
use crate::graph::Ordinal;

/// Connections of connections that are gone on from.
const SECOND_HOPS: usize = 64;
/// The most who are looked at for that: with more, two-hop is not thin but wide.
const LOOKED_AT: usize = 10_000;
/// The most people at either step of the paths to one candidate, those who count most.
const STEPS: usize = 8;
/// The most that one second hop counts in the first estimate; as many as there may be of them fit
/// into a tally.
const MOST: u64 = 1 << 40;

/// What some paths come to; nothing if they do not lead through `min` people at either step.
#[allow(clippy::cast_precision_loss)] // rounded to the same value for the same sum
pub(in crate::domain) fn circle_score(
    paths: &[(u32, u32)],
    people: &[Between],
    min: usize,
) -> Option<f64> {
    let mut steps = [Vec::new(), Vec::new()];
    let mut sum: u128 = 0;
    for (first, second) in paths {
        let weight = |place: u32| people.get(place as usize).map_or(0, |one| one.weight);
        sum += u128::from(weight(*first)) * u128::from(weight(*second));
        for (step, place) in steps.iter_mut().zip([first, second]) {
            if !step.contains(place) {
                step.push(*place);
            }
        }
    }
    let is_enough = steps.iter().all(|step| step.len() >= min);
    is_enough.then(|| (sum.max(1) as f64 / (ONE * ONE)).ln())
}

impl Ranking<'_> {
    /// Adds people of the wider circle to the prospects, and those between to the people, with what
    /// is left of the budget.
    pub(super) fn widen(
        &self,
        scratch: &mut Scratch,
        left: usize,
        people: &mut Vec<Between>,
        best: &mut Vec<Prospect>,
        alone: &mut Vec<Candidate>,
    ) {
        let min = self.tuning.min_mutuals;
        if scratch.walked.len() < min || scratch.two_hop.touched().len() > LOOKED_AT {
            return;
        }
        let seconds = self.second_hops(scratch);
        let walked = self.walk_on(scratch, left, &seconds);
        let seconds = &seconds[..walked];
        let mut by_ordinal: Vec<(Ordinal, u32)> = seconds
            .iter()
            .zip(scratch.walked.len()..)
            // As many places as people.
            .map(|((_, person), place)| (*person, u32::try_from(place).unwrap_or(u32::MAX)))
            .collect();
        by_ordinal.sort_unstable();
        people.extend(seconds.iter().map(|(_, person)| Between {
            subject: self.graph.subject(*person).into(),
            weight: weight(self.graph.degree(*person), 0.5),
        }));
        for person in self.far(scratch) {
            let subject = self.graph.subject(person);
            let paths = self.paths(scratch, person, &by_ordinal);
            let Some(score) = circle_score(&paths, people, min) else { continue };
            let rank = Rank { tier: Tier::WiderCircle, score };
            alone.push(Candidate { person, contact: None, rank });
            // A contact is there already.
            if best.iter().any(|one| one.subject.as_str() == subject) {
                continue;
            }
            let shown_too_often = (self.beside.shown_too_often)(person);
            let score = self.tuning.discounted(score, shown_too_often);
            best.push(Prospect {
                subject: subject.into(),
                contact: None,
                degree: self.graph.degree(person),
                mutuals: Vec::new(),
                paths,
                shown_too_often,
                rank: Rank { tier: Tier::WiderCircle, score },
            });
        }
    }

    /// The connections of connections that count most, in order, with what they count.
    fn second_hops(&self, scratch: &Scratch) -> Vec<(u64, Ordinal)> {
        let mut seconds: Vec<(u64, Ordinal)> = Vec::new();
        for person in scratch.two_hop.touched() {
            if *person != self.viewer
                && Scratch::is_stranger(scratch.places[*person as usize])
                && self.graph.is_live(*person)
                && self.may_be_between(*person)
                && !self.graph.blocked(self.viewer, *person)
            {
                let first = scratch.two_hop.of(*person).weights();
                let second = weight(self.graph.degree(*person), 0.5);
                let both = (u128::from(first) * u128::from(second)) >> 32;
                seconds.push((u64::try_from(both).map_or(MOST, |both| both.min(MOST)), *person));
            }
        }
        self.keep_best(&mut seconds, SECOND_HOPS);
        seconds
    }

    /// Tallies whom they know; how many of them fitted into the budget.
    fn walk_on(&self, scratch: &mut Scratch, mut left: usize, seconds: &[(u64, Ordinal)]) -> usize {
        for (place, (counts, second)) in seconds.iter().enumerate() {
            let Some(rest) = left.checked_sub(self.graph.degree(*second)) else { return place };
            left = rest;
            scratch.three_hop.add(neighbours(self.graph, *second), Tally::one(*counts));
        }
        seconds.len()
    }

    /// Who is best reached by all that, and has too few mutual connections for the first tier.
    fn far(&self, scratch: &Scratch) -> Vec<Ordinal> {
        let min = self.tuning.min_mutuals;
        let mut far: Vec<(u64, Ordinal)> = scratch
            .three_hop
            .touched()
            .iter()
            .map(|person| (scratch.three_hop.of(*person), *person))
            .filter(|(tally, person)| {
                tally.mutuals() >= min
                    && scratch.two_hop.of(*person).mutuals() < min
                    && Scratch::is_stranger(scratch.places[*person as usize])
                    && self.is_open(*person)
            })
            .map(|(tally, person)| (tally.weights(), person))
            .collect();
        self.keep_best(&mut far, super::FEW);
        far.into_iter().map(|(_, person)| person).collect()
    }

    /// The paths to somebody, through those who count most at either step.
    fn paths(&self, scratch: &Scratch, to: Ordinal, seconds: &[(Ordinal, u32)]) -> Vec<(u32, u32)> {
        let place = |person: Ordinal| {
            let found = seconds.binary_search_by_key(&person, |(one, _)| *one).ok()?;
            Some((seconds[found].1, person))
        };
        let mut last: Vec<(u32, Ordinal)> = neighbours(self.graph, to).filter_map(place).collect();
        last.sort_unstable();
        last.truncate(STEPS);
        let mut paths = Vec::new();
        for (second, person) in last {
            let mut firsts: Vec<u32> = neighbours(self.graph, person)
                .map(|one| scratch.places[one as usize])
                .filter(|place| Scratch::is_walked(*place))
                .map(|place| place - 1)
                .collect();
            firsts.sort_unstable();
            paths.extend(firsts.into_iter().take(STEPS).map(|first| (first, second)));
        }
        paths
    }

    /// The first `limit` by weight, then subject; sorted.
    fn keep_best(&self, people: &mut Vec<(u64, Ordinal)>, limit: usize) {
        let order = |(one, a): &(u64, Ordinal), (other, b): &(u64, Ordinal)| {
            let names = || self.graph.subject(*a).cmp(self.graph.subject(*b));
            other.cmp(one).then_with(names)
        };
        if people.len() > limit {
            people.select_nth_unstable_by(limit, order);
            people.truncate(limit);
        }
        people.sort_unstable_by(order);
    }
}
