//! Who is popular among whom: what is shown to people of whom little is known.
//!
//! Communities are found by label propagation (Raghavan, Albert and Kumara, "Near linear time
//! algorithm to detect community structures in large-scale networks", Physical Review E 76, 2007,
//! 036106), made deterministic: people take turns in the order of a hash of their ids, keep their
//! label while it is among the most frequent around them, and else take the first of those.
//!
//! What is shown must not tell anybody's list, to a viewer with a single friend least of all: it
//! comes from a community of at least [`COMMUNITY_AT_LEAST`] people, is the same for everybody in it,
//! and has only people whom at least [`POPULARITY_AT_LEAST`] of it know, ordered by no more than the
//! power of two below that number. Whether one certain person knows them moves next to nothing.

use super::neighbours;
use crate::{
    domain::Subject,
    graph::{Graph, Ordinal},
};

/// The fewest people of a community from which anybody is shown.
pub const COMMUNITY_AT_LEAST: usize = 50;
/// The fewest people of the community who know somebody who is shown.
pub const POPULARITY_AT_LEAST: u32 = 10;
/// The most people that are kept of one community.
const POPULAR_AT_MOST: usize = 64;
/// Label propagation rarely takes more than five rounds; where it does not settle, it is ended.
const ROUNDS: usize = 20;

/// The edges of a graph, copied, so that the graph can go on while communities are computed.
#[derive(Debug)]
pub struct Adjacency {
    subjects: Vec<Subject>,
    /// By ordinal: where the neighbours begin.
    starts: Vec<usize>,
    neighbours: Vec<Ordinal>,
}

/// The communities of a graph as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communities {
    /// By ordinal.
    labels: Vec<u32>,
    /// By label: who is popular, and the logarithm of how much; none in small communities.
    popular: Vec<Vec<(Ordinal, u32)>>,
}

impl Adjacency {
    /// Copies a graph's edges.
    pub fn of(graph: &Graph) -> Self {
        let mut all = Self { subjects: Vec::new(), starts: vec![0], neighbours: Vec::new() };
        for person in 0..Ordinal::try_from(graph.len()).unwrap_or(Ordinal::MAX) {
            all.subjects.push(graph.subject(person).into());
            all.neighbours.extend(neighbours(graph, person));
            all.starts.push(all.neighbours.len());
        }
        all
    }

    fn neighbours(&self, person: Ordinal) -> &[Ordinal] {
        let person = person as usize;
        &self.neighbours[self.starts[person]..self.starts[person + 1]]
    }
}

impl Communities {
    /// Finds the communities: some 20 ns for each edge and round.
    pub fn of(adjacency: &Adjacency) -> Self {
        let labels = propagate(adjacency);
        let mut members: Vec<Vec<Ordinal>> = vec![Vec::new(); labels.len()];
        for (person, label) in (0..).zip(&labels) {
            members[*label as usize].push(person);
        }
        let popular = members.into_iter().map(|members| popular(adjacency, &labels, members));
        Self { popular: popular.collect(), labels }
    }

    /// Who is popular where most of these people are, with the score, in no order.
    pub fn popular_near(
        &self,
        people: impl Iterator<Item = Ordinal>,
    ) -> impl Iterator<Item = (Ordinal, f64)> + '_ {
        let mut labels: Vec<u32> =
            people.filter_map(|person| self.labels.get(person as usize).copied()).collect();
        labels.sort_unstable();
        let runs = labels.chunk_by(u32::eq).map(|run| (run.len(), run[0]));
        // The first of the longest.
        let most = runs.max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let popular = most.map_or(&[][..], |(_, label)| &self.popular[label as usize]);
        popular.iter().map(|(person, score)| (*person, f64::from(*score)))
    }
}

/// By ordinal: the label, which is the place of somebody in the order of turns.
fn propagate(adjacency: &Adjacency) -> Vec<u32> {
    let people = adjacency.subjects.len();
    // As many places as ordinals.
    let mut turns: Vec<Ordinal> = (0..u32::try_from(people).unwrap_or(u32::MAX)).collect();
    let subject = |person: Ordinal| &adjacency.subjects[person as usize];
    turns.sort_unstable_by_key(|person| (fnv1a(subject(*person).as_str()), subject(*person)));
    let mut labels = vec![0; people];
    for (place, person) in (0..).zip(&turns) {
        labels[*person as usize] = place;
    }
    let mut counts = vec![0u32; people];
    for _ in 0..ROUNDS {
        let mut has_changed = false;
        for person in &turns {
            let around = || adjacency.neighbours(*person).iter().map(|one| labels[*one as usize]);
            around().for_each(|label| counts[label as usize] += 1);
            let own = labels[*person as usize];
            let mut best = (counts[own as usize], own);
            for label in around() {
                let count = counts[label as usize];
                if count > best.0 || (count == best.0 && best.1 != own && label < best.1) {
                    best = (count, label);
                }
            }
            around().for_each(|label| counts[label as usize] = 0);
            has_changed |= best.1 != own;
            labels[*person as usize] = best.1;
        }
        if !has_changed {
            break;
        }
    }
    labels
}

fn popular(adjacency: &Adjacency, labels: &[u32], members: Vec<Ordinal>) -> Vec<(Ordinal, u32)> {
    if members.len() < COMMUNITY_AT_LEAST {
        return Vec::new();
    }
    let label_of = |person: Ordinal| labels[person as usize];
    let popularity = |person: &Ordinal| {
        let around = adjacency.neighbours(*person).iter();
        around.filter(|one| label_of(**one) == label_of(*person)).fold(0u32, |count, _| count + 1)
    };
    let known = members.into_iter().map(|person| (person, popularity(&person)));
    let mut popular: Vec<(Ordinal, u32)> = known
        .filter(|(_, popularity)| *popularity >= POPULARITY_AT_LEAST)
        .map(|(person, popularity)| (person, popularity.ilog2()))
        .collect();
    let subject = |person: Ordinal| &adjacency.subjects[person as usize];
    popular.sort_unstable_by(|(a, one), (b, other)| {
        other.cmp(one).then_with(|| subject(*a).cmp(subject(*b)))
    });
    popular.truncate(POPULAR_AT_MOST);
    popular.shrink_to_fit();
    popular
}

/// The hash of Fowler, Noll and Vo, variant 1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
