//! Whom a person may know, and in which order.
//!
//! Candidates, tier after tier:
//!
//! 1. two-hop neighbours, exact under a work budget, and contacts ([`walk`]);
//! 2. where those are few, people at the end of several three-hop paths ([`circle`]);
//! 3. where those are few too, popular people of the viewer's community ([`community`]).
//!
//! Within the first tier the order is by a log-linear model over what is known of a candidate v
//! of the viewer u through their mutual connections z ([`Evidence`], [`Weights`]):
//!
//! ```text
//! score(u, v) = w₁ ln tRA(u, v) + w₂ ln c + w₃ ln d_v + w₄ ln |Γ(u) ∪ Γ(v)|
//!               + w₅ ln(1.05 - c / d_v) + w₆ c / d_v
//! tRA(u, v)   = Σ_z d_z^-β · d_v^-γ
//! ```
//!
//! with c mutual connections, degrees d and neighbourhoods Γ. *Tuned resource allocation* is the
//! resource allocation index of Zhou, Lü and Zhang ("Predicting missing links via local
//! information", The European Physical Journal B 71, 2009, 623–630), which has β = 1 and γ = 0,
//! with both exponents tuned; `c / |Γ(u) ∪ Γ(v)|` is Jaccard's coefficient. A contact adds a
//! constant.
//!
//! Every feature can be computed again from the mutual connections who have agreed. With fewer
//! than the minimum of them nothing depends on them at all.
//!
//! Sums are taken in fixed point, so that they do not depend on the order of their terms, and ties
//! are broken by the subject's id: two replicas that numbered people differently rank alike.

mod circle;
pub mod community;
mod score;
mod scratch;
mod walk;
mod weights;

use std::cmp::Ordering;

use super::Subject;
use crate::graph::{Contact, Graph, Ordinal};
pub(super) use circle::circle_score;
use community::Communities;
pub use score::{Evidence, FEATURES};
pub use scratch::Scratch;
pub use weights::{Weights, WeightsInvalid};

/// The most connections of one viewer through whom anybody is looked for; those who know few come
/// first. What is asked of consent-svc at once is bounded by it.
pub const WALKED_AT_MOST: usize = 2_000;

/// Two-hop neighbours to whom the model is applied: the best by resource allocation alone.
const SHORT_LIST: usize = 128;

/// With fewer candidates than this the next tier is looked at.
const FEW: usize = 30;

/// What 1 is in fixed point.
const ONE: f64 = 4_294_967_296.0;

/// The knobs of the ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tuning {
    /// β: how much a mutual connection who knows many people counts less. 0 to 4.
    pub beta: f64,
    /// γ: how much a candidate who knows many people counts less. 0 to 4.
    pub gamma: f64,
    /// The most edges looked at for one ranking.
    pub work_budget: usize,
    /// The fewest mutual connections for which anything is suggested or any score changes: with
    /// one, a person with a single friend could read that friend's list.
    pub min_mutuals: usize,
    /// The model.
    pub weights: Weights,
}

impl Default for Tuning {
    /// As in a service that is not told otherwise.
    fn default() -> Self {
        Self {
            beta: 0.75,
            gamma: 0.1,
            work_budget: 50_000,
            min_mutuals: 2,
            weights: Weights::default(),
        }
    }
}

/// What a ranking looks at beside the graph.
#[derive(Clone, Copy)]
pub struct Beside<'b> {
    /// Who is popular among whom, once that was computed for this graph.
    pub communities: Option<&'b Communities>,
    /// Whether somebody is not to be suggested to the viewer.
    pub is_hidden: &'b dyn Fn(Ordinal) -> bool,
    /// Whether somebody was shown so often that they are shown later now.
    pub shown_too_often: &'b dyn Fn(Ordinal) -> bool,
}

impl Default for Beside<'_> {
    fn default() -> Self {
        Self { communities: None, is_hidden: &|_| false, shown_too_often: &|_| false }
    }
}

/// How a suggestion came about. Whoever is of an earlier tier comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Through mutual connections or contacts.
    Known,
    /// Through connections of connections.
    WiderCircle,
    /// By popularity near the viewer.
    Popular,
}

/// By what the order goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// First by this.
    pub tier: Tier,
    /// Then by this, the highest first. Scores of different tiers do not compare.
    pub score: f64,
}

impl Rank {
    /// Best first.
    pub fn order(&self, other: &Self) -> Ordering {
        self.tier.cmp(&other.tier).then_with(|| other.score.total_cmp(&self.score))
    }
}

/// Whom a viewer may know, before anybody's consent was asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prospects {
    /// How many people the viewer is adjacent to.
    pub viewer_degree: usize,
    /// Who is between the viewer and others; prospects name them by their place here. The viewer's
    /// own connections, those who count most first; then connections of theirs.
    pub people: Vec<Between>,
    /// Best first.
    pub best: Vec<Prospect>,
    /// The first who is not among them, with their rank.
    pub beyond: Option<(Rank, Subject)>,
    /// Who would be the best, best first, if nobody were a contact (who holds the viewer's number,
    /// too, is connected) and nobody had been shown too often. How often somebody was shown is counted by this: whom the viewer uploaded
    /// moves people up and down a list, and a count that followed would tell others about it.
    pub alone: Vec<Subject>,
}

impl Prospects {
    /// What is known of one of them if everybody has agreed; of the first tier only.
    pub fn evidence(&self, of: &Prospect) -> Option<Evidence> {
        (of.rank.tier == Tier::Known).then(|| Evidence {
            weights: of.mutuals.iter().map(|place| self.people[*place as usize].weight).sum(),
            mutuals: of.mutuals.len(),
            degree: of.degree,
            viewer_degree: self.viewer_degree,
        })
    }
}

/// Somebody between two others, and what that adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// Who.
    pub subject: Subject,
    /// In fixed point: d_z^-β of a connection of the viewer's, d_b^-½ of a connection of theirs.
    pub weight: u64,
}

/// Somebody who could be suggested.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// Who.
    pub subject: Subject,
    /// How the viewer may find them by a number, if at all.
    pub contact: Option<Contact>,
    /// How many people they are adjacent to.
    pub degree: usize,
    /// The places of the mutual connections, ascending.
    pub mutuals: Vec<u32>,
    /// Of somebody of the wider circle: the places of both people between.
    pub paths: Vec<(u32, u32)>,
    /// Whether they were shown too often.
    pub shown_too_often: bool,
    /// As if everybody had agreed.
    pub rank: Rank,
}

/// Somebody who could be suggested, within a ranking.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    person: Ordinal,
    contact: Option<Contact>,
    rank: Rank,
}

/// The best `at_most` prospects of a viewer, best first.
pub fn prospects(
    graph: &Graph,
    viewer: Ordinal,
    tuning: &Tuning,
    beside: Beside<'_>,
    scratch: &mut Scratch,
    at_most: usize,
) -> Prospects {
    scratch.fit(graph.len());
    let ranking = Ranking { graph, viewer, tuning, beside };
    let left = ranking.walk(scratch);
    let (mut candidates, mut alone, is_plain) = ranking.candidates(scratch, at_most);
    let mut people = ranking.between(scratch);
    let beyond = cut(graph, &mut candidates, at_most);
    let mut best = ranking.best(&candidates, scratch);
    scratch.candidates = candidates;
    // Contacts have no part in it: see `Prospects::alone`.
    let few = FEW.min(at_most);
    if alone.len() < few {
        ranking.widen(scratch, left, &mut people, &mut best, &mut alone);
    }
    if alone.len() < few {
        ranking.popular(scratch, &mut best, &mut alone);
    }
    best.sort_by(|a, b| a.rank.order(&b.rank).then_with(|| a.subject.cmp(&b.subject)));
    // Those of the first tier who are left out come before all others.
    let beyond = beyond.or_else(|| best.get(at_most).map(|one| (one.rank, one.subject.clone())));
    best.truncate(at_most);
    let names = if is_plain {
        best.iter().map(|one| one.subject.clone()).collect()
    } else {
        cut(graph, &mut alone, at_most);
        alone.iter().map(|one| graph.subject(one.person).into()).collect()
    };
    scratch.alone = alone;
    scratch.clear();
    Prospects { viewer_degree: graph.degree(viewer), people, best, beyond, alone: names }
}

/// Keeps the best, in order; the first who is not among them.
fn cut(graph: &Graph, candidates: &mut Vec<Candidate>, at_most: usize) -> Option<(Rank, Subject)> {
    let order = |a: &Candidate, b: &Candidate| {
        let names = || graph.subject(a.person).cmp(graph.subject(b.person));
        a.rank.order(&b.rank).then_with(names)
    };
    let next = (candidates.len() > at_most).then(|| {
        let (_, next, _) = candidates.select_nth_unstable_by(at_most, order);
        (next.rank, graph.subject(next.person).into())
    });
    candidates.truncate(at_most);
    candidates.sort_unstable_by(order);
    next
}

/// One ranking.
struct Ranking<'r> {
    graph: &'r Graph,
    viewer: Ordinal,
    tuning: &'r Tuning,
    beside: Beside<'r>,
}

impl Ranking<'_> {
    /// Whether somebody may be suggested at all.
    fn is_open(&self, person: Ordinal) -> bool {
        person != self.viewer
            && self.graph.is_live(person)
            && self.graph.may_be_suggested(person)
            && !self.graph.connected(self.viewer, person)
            && !self.graph.blocked(self.viewer, person)
            && !(self.beside.is_hidden)(person)
    }

    /// Whether others may be suggested through somebody.
    fn may_be_between(&self, person: Ordinal) -> bool {
        self.graph.may_be_mutual(person) && self.graph.may_be_suggested(person)
    }

    /// Those whose number the viewer has are whom the viewer looks for, however often others saw
    /// them.
    fn is_shown_too_often(&self, person: Ordinal, contact: Option<Contact>) -> bool {
        contact.is_none() && (self.beside.shown_too_often)(person)
    }

    fn between(&self, scratch: &Scratch) -> Vec<Between> {
        let between = |(person, weight): &(Ordinal, u64)| Between {
            subject: self.graph.subject(*person).into(),
            weight: *weight,
        };
        scratch.walked.iter().map(between).collect()
    }

    /// Candidates with their mutual connections. These are found by walking once more, which takes
    /// less than looking at everybody whom the candidates know.
    fn best(&self, candidates: &[Candidate], scratch: &mut Scratch) -> Vec<Prospect> {
        let mut best: Vec<Prospect> = Vec::with_capacity(candidates.len());
        for of in candidates {
            scratch.choose(of.person);
            let mutuals = scratch.two_hop.of(of.person).mutuals();
            best.push(self.prospect(of, Vec::with_capacity(mutuals)));
        }
        for (place, (mutual, _)) in (0..).zip(&scratch.walked) {
            // Who is chosen is live.
            scratch.chosen_among(self.graph.neighbours_live_or_not(*mutual), |number| {
                best[number].mutuals.push(place);
            });
        }
        best
    }

    fn prospect(&self, of: &Candidate, mutuals: Vec<u32>) -> Prospect {
        Prospect {
            subject: self.graph.subject(of.person).into(),
            contact: of.contact,
            degree: self.graph.degree(of.person),
            mutuals,
            paths: Vec::new(),
            shown_too_often: self.is_shown_too_often(of.person, of.contact),
            rank: of.rank,
        }
    }

    /// The third tier: who is not there yet, in the order that is the same for everybody of the
    /// community.
    fn popular(&self, scratch: &Scratch, best: &mut Vec<Prospect>, alone: &mut Vec<Candidate>) {
        let Some(communities) = self.beside.communities else { return };
        let near = neighbours(self.graph, self.viewer);
        for (person, score) in communities.popular_near(near) {
            let is_new = Scratch::is_stranger(scratch.places[person as usize])
                && self.is_open(person)
                && self.graph.degree(person) > 0
                && !alone.iter().any(|one| one.person == person);
            if !is_new {
                continue;
            }
            let of = Candidate { person, contact: None, rank: Rank { tier: Tier::Popular, score } };
            alone.push(of);
            let subject = self.graph.subject(person);
            if !best.iter().any(|one| one.subject.as_str() == subject) {
                best.push(self.prospect(&of, Vec::new()));
            }
        }
    }
}

/// The people adjacent to a person, ascending.
fn neighbours(graph: &Graph, person: Ordinal) -> impl Iterator<Item = Ordinal> + '_ {
    graph.neighbours(person)
}

/// `degree^-exponent` in fixed point, at most 1: nobody is between without a neighbour.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 2^32
fn weight(degree: usize, exponent: f64) -> u64 {
    (damping(degree, exponent) * ONE).round() as u64
}

#[allow(clippy::cast_precision_loss)] // degrees are far below 2^53
fn damping(degree: usize, exponent: f64) -> f64 {
    (degree.max(1) as f64).powf(-exponent)
}

#[cfg(test)]
mod tests;
