//! Whom a person may know: exact two-hop neighbours under a work budget, and contacts.
//!
//! The score of v for u is *tuned resource allocation*,
//! `tRA(u, v) = Σ_z d_z^-β · d_v^-γ` over the mutual connections z: the resource allocation index
//! of Zhou, Lü and Zhang ("Predicting missing links via local information", The European Physical
//! Journal B 71, 2009, 623–630), which has β = 1 and γ = 0, with both exponents tuned. A contact
//! adds a constant until the weights of the log-linear model are fitted.
//!
//! Sums are taken in fixed point, so that they do not depend on the order of their terms, and ties
//! are broken by the subject's id: two replicas that numbered people differently rank alike.

use std::cmp::Ordering;

use super::Subject;
use crate::graph::{Contact, Graph, Ordinal};

/// The most mutual connections of one suggestion that are looked at; enough for the last range of
/// counts to be told from the one before.
pub const MUTUALS_AT_MOST: usize = 64;

/// What 1 is in fixed point.
const ONE: f64 = 4_294_967_296.0;

/// What a contact adds to the score. Twenty mutual connections of degree 50 make about one.
const RECIPROCAL_CONTACT: f64 = 1.0;
const ONE_WAY_CONTACT: f64 = 0.5;

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
}

/// Somebody who could be suggested, before anybody's consent was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// Who.
    pub subject: Subject,
    /// How the viewer may find them by a number, if at all.
    pub contact: Option<Contact>,
    /// Mutual connections, those who count most first; at most [`MUTUALS_AT_MOST`].
    pub mutuals: Vec<Mutual>,
    /// d_v^-γ.
    pub damping: f64,
    /// The score if everybody has consented: no less than what it will be.
    pub score: f64,
}

/// A mutual connection and what it adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutual {
    /// Who.
    pub subject: Subject,
    /// d_z^-β in fixed point.
    pub weight: u64,
}

/// Working space, kept from one ranking to the next so that none allocates for the whole graph.
#[derive(Debug, Default)]
pub struct Scratch {
    /// By ordinal: the sum of weights, and how many mutual connections.
    tallies: Vec<(u64, u32)>,
    /// By ordinal: the position in `walked` from 1 on; 0: not walked.
    places: Vec<u32>,
    touched: Vec<Ordinal>,
    walked: Vec<(Ordinal, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    person: Ordinal,
    contact: Option<Contact>,
    score: f64,
}

/// The best `at_most` prospects of a viewer, best first, and the score of the one after them.
/// Nobody is a prospect who `is_hidden`.
pub fn prospects(
    graph: &Graph,
    viewer: Ordinal,
    tuning: &Tuning,
    is_hidden: &dyn Fn(Ordinal) -> bool,
    scratch: &mut Scratch,
    at_most: usize,
) -> (Vec<Prospect>, Option<f64>) {
    scratch.fit(graph.len());
    walk(graph, viewer, tuning, scratch);
    let mut candidates = candidates(graph, viewer, tuning, is_hidden, scratch);
    let order = |a: &Candidate, b: &Candidate| {
        let names = || graph.subject(a.person).cmp(graph.subject(b.person));
        by_score(a.score, b.score).then_with(names)
    };
    let next = (candidates.len() > at_most).then(|| {
        let (_, next, _) = candidates.select_nth_unstable_by(at_most, order);
        next.score
    });
    candidates.truncate(at_most);
    candidates.sort_unstable_by(order);
    let best = candidates.iter().map(|candidate| prospect(graph, candidate, tuning, scratch));
    let best = best.collect();
    scratch.clear();
    (best, next)
}

/// Best first.
pub fn by_score(one: f64, other: f64) -> Ordering {
    other.total_cmp(&one)
}

/// The score of a candidate. Fewer mutual connections than the minimum count as none: the order
/// of two contacts would otherwise say which of them the viewer's only friend knows.
pub fn score(
    contact: Option<Contact>,
    weights: u64,
    mutuals: usize,
    damping: f64,
    min: usize,
) -> f64 {
    let known = match contact {
        Some(Contact::Reciprocal) => RECIPROCAL_CONTACT,
        Some(Contact::OneWay) => ONE_WAY_CONTACT,
        None => 0.0,
    };
    // Beyond 2^53 the sum is rounded, to the same value for the same sum.
    #[allow(clippy::cast_precision_loss)]
    let weights = if mutuals < min { 0.0 } else { weights as f64 / ONE };
    known + weights * damping
}

/// Tallies the two-hop neighbours: the kernel. The mutual connections who count most come first;
/// one who does not fit into what is left of the budget ends the walk.
fn walk(graph: &Graph, viewer: Ordinal, tuning: &Tuning, scratch: &mut Scratch) {
    let mutuals = graph.neighbours(viewer).filter(|person| graph.may_be_mutual(*person));
    scratch.walked.extend(mutuals.map(|person| (person, 0)));
    scratch.walked.sort_unstable_by(|(a, _), (b, _)| {
        let names = || graph.subject(*a).cmp(graph.subject(*b));
        graph.degree(*a).cmp(&graph.degree(*b)).then_with(names)
    });
    let mut left = tuning.work_budget;
    let mut place = 0;
    while place < scratch.walked.len() {
        let mutual = scratch.walked[place].0;
        let neighbours = graph.neighbours(mutual);
        let Some(rest) = left.checked_sub(graph.degree(mutual)) else { break };
        left = rest;
        let weight = weight(graph.degree(mutual), tuning.beta);
        scratch.walked[place].1 = weight;
        place += 1;
        // No more places than neighbours, and those have ordinals.
        scratch.places[mutual as usize] = u32::try_from(place).unwrap_or(u32::MAX);
        for person in neighbours {
            let tally = &mut scratch.tallies[person as usize];
            if tally.1 == 0 {
                scratch.touched.push(person);
            }
            tally.0 += weight;
            tally.1 += 1;
        }
    }
    scratch.walked.truncate(place);
}

fn candidates(
    graph: &Graph,
    viewer: Ordinal,
    tuning: &Tuning,
    is_hidden: &dyn Fn(Ordinal) -> bool,
    scratch: &Scratch,
) -> Vec<Candidate> {
    let open = |person: Ordinal| {
        person != viewer
            && !graph.connected(viewer, person)
            && !graph.blocked(viewer, person)
            && !is_hidden(person)
    };
    let findable = graph.findable(viewer);
    let contact_of = |person: Ordinal| {
        let place = findable.binary_search_by_key(&person, |(person, _)| *person).ok()?;
        Some(findable[place].1)
    };
    let scored = |person: Ordinal, contact: Option<Contact>| {
        let (weights, mutuals) = scratch.tallies[person as usize];
        let damping = damping(graph.degree(person), tuning.gamma);
        let score = score(contact, weights, mutuals as usize, damping, tuning.min_mutuals);
        Candidate { person, contact, score }
    };
    let in_contacts = findable.iter().map(|(person, contact)| (*person, Some(*contact)));
    let two_hop = scratch.touched.iter().copied().filter(|person| {
        scratch.tallies[*person as usize].1 as usize >= tuning.min_mutuals
            && contact_of(*person).is_none()
    });
    in_contacts
        .chain(two_hop.map(|person| (person, None)))
        .filter(|(person, _)| open(*person))
        .map(|(person, contact)| scored(person, contact))
        .collect()
}

fn prospect(graph: &Graph, of: &Candidate, tuning: &Tuning, scratch: &Scratch) -> Prospect {
    let neighbours = graph.neighbours(of.person);
    let mut places: Vec<u32> = neighbours
        .map(|person| scratch.places[person as usize])
        .filter(|place| *place > 0)
        .collect();
    places.sort_unstable();
    places.truncate(MUTUALS_AT_MOST);
    let walked = places.iter().map(|place| scratch.walked[*place as usize - 1]);
    Prospect {
        subject: graph.subject(of.person).into(),
        contact: of.contact,
        mutuals: walked
            .map(|(person, weight)| Mutual { subject: graph.subject(person).into(), weight })
            .collect(),
        damping: damping(graph.degree(of.person), tuning.gamma),
        score: of.score,
    }
}

/// `degree^-beta` in fixed point, at most 1: a mutual connection has a neighbour, the viewer.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 2^32
fn weight(degree: usize, beta: f64) -> u64 {
    (damping(degree, beta) * ONE).round() as u64
}

#[allow(clippy::cast_precision_loss)] // degrees are far below 2^53
fn damping(degree: usize, exponent: f64) -> f64 {
    (degree.max(1) as f64).powf(-exponent)
}

impl Scratch {
    fn fit(&mut self, people: usize) {
        if self.tallies.len() < people {
            self.tallies.resize(people, (0, 0));
            self.places.resize(people, 0);
        }
    }

    /// Undoes what one ranking wrote, and no more than that.
    fn clear(&mut self) {
        for person in self.touched.drain(..) {
            self.tallies[person as usize] = (0, 0);
        }
        for (person, _) in self.walked.drain(..) {
            self.places[person as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests;
