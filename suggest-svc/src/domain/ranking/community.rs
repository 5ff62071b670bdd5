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
//! Only those count who agree to suggestions, as far as is heard: they are too many to be asked about.
//!
//! The graph is not copied: it is read some people at a time, and goes on in between. So what is
//! found is of no instant in particular, which matters to nobody.

use std::collections::HashMap;

use super::neighbours;
use crate::graph::{Graph, Ordinal};

/// The fewest people of a community from which anybody is shown.
pub const COMMUNITY_AT_LEAST: usize = 50;
/// The fewest people of the community who know somebody who is shown.
pub const POPULARITY_AT_LEAST: u32 = 10;
/// The most people that are kept of one community.
const POPULAR_AT_MOST: usize = 64;
/// Label propagation rarely takes more than five rounds; where it does not settle, it is ended.
const ROUNDS: usize = 20;
/// People who are looked at before writers of the graph have their turn: some half a millisecond.
const AT_ONCE: usize = 256;

/// The communities of a graph as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Communities {
    /// By ordinal.
    labels: Vec<u32>,
    /// By label: who is popular, and the logarithm of how much; of large communities only.
    popular: HashMap<u32, Box<[Scored]>>,
}

/// Somebody, and the logarithm of how many of the community know them.
type Scored = (Ordinal, u32);

/// Gives a graph to read for a moment, with the same numbers each time; not any more, if there is
/// none with those numbers.
pub trait Reading {
    /// Reads it.
    fn read<T>(&self, read: impl FnOnce(&Graph) -> T) -> Option<T>;
}

impl Reading for &Graph {
    fn read<T>(&self, read: impl FnOnce(&Graph) -> T) -> Option<T> {
        Some(read(self))
    }
}

impl Communities {
    /// Finds the communities: some 20 ns for each edge and round, 16 bytes for each person
    /// meanwhile. Nothing, if the graph could not be read to the end.
    pub fn of(graph: &impl Reading) -> Option<Self> {
        let labels = propagate(graph)?;
        let mut members: Vec<Ordinal> = ordinals(labels.len()).collect();
        members.sort_unstable_by_key(|person| (labels[*person as usize], *person));
        let mut popular = HashMap::new();
        for members in members.chunk_by(|a, b| labels[*a as usize] == labels[*b as usize]) {
            if members.len() >= COMMUNITY_AT_LEAST {
                let label = labels[members[0] as usize];
                let best = popular_among(graph, members, &labels)?;
                popular.insert(label, best.into_boxed_slice());
            }
        }
        Some(Self { labels, popular })
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
        let popular = most.and_then(|(_, label)| self.popular.get(&label));
        popular.into_iter().flatten().map(|(person, score)| (*person, f64::from(*score)))
    }
}

/// By ordinal: the label, which is the place of somebody in the order of turns.
fn propagate(graph: &impl Reading) -> Option<Vec<u32>> {
    let turns = turns(graph)?;
    let people = turns.len();
    let mut labels = vec![0; people];
    for (place, person) in (0..).zip(&turns) {
        labels[*person as usize] = place;
    }
    let mut counts = vec![0u32; people];
    for _ in 0..ROUNDS {
        let mut has_changed = false;
        for turns in turns.chunks(AT_ONCE) {
            graph.read(|graph| {
                for person in turns {
                    let own = labels[*person as usize];
                    let label = most_frequent(graph, *person, own, &labels, &mut counts);
                    has_changed |= label != own;
                    labels[*person as usize] = label;
                }
            })?;
        }
        if !has_changed {
            break;
        }
    }
    Some(labels)
}

/// Everybody in the order of a hash of their ids.
fn turns(graph: &impl Reading) -> Option<Vec<Ordinal>> {
    let people = graph.read(Graph::len)?;
    let mut hashed: Vec<(u64, Ordinal)> = Vec::with_capacity(people);
    for first in (0..people).step_by(AT_ONCE) {
        let some = ordinals(people).skip(first).take(AT_ONCE);
        graph.read(|graph| {
            hashed.extend(some.map(|person| (fnv1a(graph.subject(person)), person)));
        })?;
    }
    hashed.sort_unstable();
    Some(hashed.into_iter().map(|(_, person)| person).collect())
}

/// The most frequent label around somebody: their own, if it is among those, or else the first.
/// `counts`: zero for each label, before and after.
fn most_frequent(
    graph: &Graph,
    person: Ordinal,
    own: u32,
    labels: &[u32],
    counts: &mut [u32],
) -> u32 {
    // Who joined since has none.
    let around = || neighbours(graph, person).filter_map(|one| labels.get(one as usize).copied());
    around().for_each(|label| counts[label as usize] += 1);
    let mut best = (counts[own as usize], own);
    for label in around() {
        let count = counts[label as usize];
        if count > best.0 || (count == best.0 && best.1 != own && label < best.1) {
            best = (count, label);
        }
    }
    around().for_each(|label| counts[label as usize] = 0);
    best.1
}

/// The most popular of the members of one community.
fn popular_among(graph: &impl Reading, members: &[Ordinal], labels: &[u32]) -> Option<Vec<Scored>> {
    let mut best = Vec::new();
    for some in members.chunks(AT_ONCE) {
        graph.read(|graph| {
            let label = labels.get(some[0] as usize);
            let is_member =
                |one: &Ordinal| labels.get(*one as usize) == label && graph.may_be_suggested(*one);
            let popularity = |person| {
                neighbours(graph, person).filter(is_member).fold(0u32, |count, _| count + 1)
            };
            let some = some.iter().filter(|person| graph.may_be_suggested(**person));
            let known = some.map(|person| (*person, popularity(*person)));
            best.extend(
                known
                    .filter(|(_, popularity)| *popularity >= POPULARITY_AT_LEAST)
                    .map(|(person, popularity)| (person, popularity.ilog2())),
            );
            best.sort_unstable_by(|(a, one): &Scored, (b, other): &Scored| {
                other.cmp(one).then_with(|| graph.subject(*a).cmp(graph.subject(*b)))
            });
            best.truncate(POPULAR_AT_MOST);
        })?;
    }
    Some(best)
}

fn ordinals(people: usize) -> impl Iterator<Item = Ordinal> {
    0..Ordinal::try_from(people).unwrap_or(Ordinal::MAX)
}

/// The hash of Fowler, Noll and Vo, variant 1a, 64 bits.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
