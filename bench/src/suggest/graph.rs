//! A graph of edges, for the rankers measured beside the shipped one, and the engine with the same.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use suggest_svc::{
    domain::{
        Subject,
        listing::{Listed, Listing, Next},
        ranking::{Beside, Scratch, Tuning, Weights, community::Communities, prospects},
    },
    graph::{Builder, Graph},
};

use crate::Result;

/// Two people's numbers, the lesser first.
pub(super) type Edge = (u32, u32);

/// Edges as they are read: every pair once, nobody with themselves.
#[derive(Debug)]
pub(super) struct Edges {
    /// By number, in the order of their names.
    pub(super) names: Vec<String>,
    pub(super) pairs: Vec<Edge>,
}

impl Edges {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut named = BTreeSet::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let (Some(one), Some(other)) = (words.next(), words.next()) else {
                return Err(format!("line {number} has no two names").into());
            };
            if one != other {
                named.insert((one.min(other), one.max(other)));
            }
        }
        let people: BTreeSet<&str> = named.iter().flat_map(|(one, other)| [*one, *other]).collect();
        let numbers: HashMap<&str, u32> = people.iter().copied().zip(0..).collect();
        let numbered = |(one, other): &(&str, &str)| (numbers[one], numbers[other]);
        let mut pairs: Vec<Edge> = named.iter().map(numbered).collect();
        pairs.sort_unstable();
        Ok(Self { names: people.into_iter().map(ToOwned::to_owned).collect(), pairs })
    }
}

/// Who knows whom.
#[derive(Debug)]
pub(super) struct Plain {
    neighbours: Vec<Vec<u32>>,
}

impl Plain {
    pub(super) fn new(people: usize, pairs: &[Edge]) -> Self {
        let mut neighbours = vec![Vec::new(); people];
        for (one, other) in pairs {
            neighbours[*one as usize].push(*other);
            neighbours[*other as usize].push(*one);
        }
        for list in &mut neighbours {
            list.sort_unstable();
        }
        Self { neighbours }
    }

    pub(super) fn people(&self) -> usize {
        self.neighbours.len()
    }

    /// Ascending.
    pub(super) fn neighbours(&self, person: u32) -> &[u32] {
        &self.neighbours[person as usize]
    }

    #[allow(clippy::cast_precision_loss)] // far below 2^53
    pub(super) fn degree(&self, person: u32) -> f64 {
        self.neighbours(person).len() as f64
    }
}

/// suggest-svc's own graph and ranking, everybody having agreed to everything.
pub(super) struct Engine {
    graph: Graph,
    communities: Option<Communities>,
    scratch: Scratch,
    pub(super) tuning: Tuning,
}

impl Engine {
    pub(super) fn new(names: &[String], pairs: &[Edge], weights: Weights) -> Self {
        let mut builder = Builder::default();
        let subjects: Vec<Subject> = names.iter().map(|name| name.as_str().into()).collect();
        for subject in &subjects {
            builder.consent(subject, i64::MAX, i64::MAX);
        }
        for (one, other) in pairs {
            let (one, other) = (&subjects[*one as usize], &subjects[*other as usize]);
            builder.connection(one, other);
            builder.connection(other, one);
        }
        let graph = builder.finish(0);
        let communities = Communities::of(&&graph);
        let tuning = Tuning { weights, ..Tuning::default() };
        Self { graph, communities, scratch: Scratch::default(), tuning }
    }

    /// Whom somebody is suggested, as in the service: best first.
    pub(super) fn list(&mut self, viewer: &str, limit: usize) -> Vec<Listed> {
        let Some(viewer) = self.graph.ordinal(&viewer.into()) else { return Vec::new() };
        // As many as the service asks for first.
        let at_most = limit.saturating_mul(3).div_ceil(2);
        let communities = self.communities.as_ref();
        let beside = Beside { communities, ..Beside::default() };
        let prospects =
            prospects(&self.graph, viewer, &self.tuning, beside, &mut self.scratch, at_most);
        let mut listing = Listing::new(&prospects, &self.tuning, limit, at_most);
        while listing.settle(|_| true, |_| true) == Next::Ask {}
        listing.finish()
    }

    /// What is known of the candidates of the first tier, by name: what weights are fitted to.
    pub(super) fn evidence(&mut self, viewer: &str) -> Vec<(Subject, Features)> {
        let Some(viewer) = self.graph.ordinal(&viewer.into()) else { return Vec::new() };
        let (tuning, beside) = (&self.tuning, Beside::default());
        let found = prospects(&self.graph, viewer, tuning, beside, &mut self.scratch, CANDIDATES);
        let known = found.best.iter().filter_map(|one| Some((one, found.evidence(one)?)));
        known.map(|(one, known)| (one.subject.clone(), known.features(tuning.gamma))).collect()
    }
}

/// Of one candidate.
pub(super) type Features = [f64; suggest_svc::domain::ranking::FEATURES];

/// How many candidates of one person weights are fitted to.
const CANDIDATES: usize = 150;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_counts_once_and_nobody_knows_themselves() {
        let edges = Edges::parse("# a comment\nb a\na b 2019\n\nb c\nc c\n").expect("edges");
        assert_eq!(edges.names, ["a", "b", "c"]);
        assert_eq!(edges.pairs, [(0, 1), (1, 2)]);
        assert!(Edges::parse("a b\nc\n").is_err());
    }
}
