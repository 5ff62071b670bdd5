//! Hiding edges, and looking for them.

use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::graph::{Edge, Plain};

/// A graph without some of its edges.
#[derive(Debug)]
pub(super) struct Split {
    /// What is left: nobody lost their last edge.
    pub(super) left: Vec<Edge>,
    pub(super) graph: Plain,
    /// By person: who is hidden from them.
    pub(super) hidden: Vec<Vec<u32>>,
    /// People from whom somebody is hidden, in random order.
    pub(super) users: Vec<u32>,
}

impl Split {
    /// Hides this share of the edges, drawn one after the other; an edge that is the last one of
    /// either person stays.
    pub(super) fn new(people: usize, pairs: &[Edge], hide: f64, seed: u64, users: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut pairs = pairs.to_vec();
        pairs.shuffle(&mut random);
        let mut degrees = vec![0usize; people];
        for (one, other) in &pairs {
            degrees[*one as usize] += 1;
            degrees[*other as usize] += 1;
        }
        // A share of so many.
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss
        )]
        let mut to_hide = (pairs.len() as f64 * hide).round() as usize;
        let mut hidden = vec![Vec::new(); people];
        let mut left = Vec::new();
        for (one, other) in pairs {
            let [a, b] = [one as usize, other as usize];
            if to_hide > 0 && degrees[a] > 1 && degrees[b] > 1 {
                to_hide -= 1;
                degrees[a] -= 1;
                degrees[b] -= 1;
                hidden[a].push(other);
                hidden[b].push(one);
            } else {
                left.push((one, other));
            }
        }
        let mut all: Vec<u32> =
            (0..).zip(&hidden).filter(|(_, hidden)| !hidden.is_empty()).map(|(n, _)| n).collect();
        all.shuffle(&mut random);
        all.truncate(users);
        Self { graph: Plain::new(people, &left), left, hidden, users: all }
    }
}

/// How well hidden people are found, averaged over users.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Quality {
    /// The share of the hidden people of a user who are among the first so many.
    pub(super) recall: f64,
    /// The share of users of whom at least one is.
    pub(super) hits: f64,
    /// One over the place of the first hidden person; 0 if none is in the list.
    pub(super) reciprocal_rank: f64,
}

impl Quality {
    /// The mean over users of what one list each, best first, comes to.
    pub(super) fn of(split: &Split, top: usize, mut list: impl FnMut(u32) -> Vec<u32>) -> Self {
        #![allow(clippy::cast_precision_loss)] // far below 2^53
        let mut sum = Self::default();
        for user in &split.users {
            let (hidden, list) = (&split.hidden[*user as usize], list(*user));
            let found = list.iter().take(top).filter(|one| hidden.contains(one)).count();
            let first = list.iter().position(|one| hidden.contains(one));
            sum.recall += found as f64 / hidden.len() as f64;
            sum.hits += f64::from(u8::from(found > 0));
            sum.reciprocal_rank += first.map_or(0.0, |place| 1.0 / (place + 1) as f64);
        }
        let users = split.users.len() as f64;
        Self {
            recall: sum.recall / users,
            hits: sum.hits / users,
            reciprocal_rank: sum.reciprocal_rank / users,
        }
    }
}

/// Everybody whom a user does not know, by score, ties in random order.
pub(super) fn by_scores(graph: &Plain, user: u32, scores: &[f64], seed: u64) -> Vec<u32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(user));
    let known = graph.neighbours(user);
    let mut all: Vec<(f64, u64, u32)> = (0..)
        .zip(scores)
        .map(|(person, score)| (*score, random.random(), person))
        .filter(|(_, _, person)| *person != user && known.binary_search(person).is_err())
        .collect();
    all.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    all.into_iter().map(|(_, _, person)| person).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(people: u32) -> Vec<Edge> {
        let pairs = (0..people).flat_map(|a| [1, 2].map(|step| (a, (a + step) % people)));
        pairs.map(|(a, b)| (a.min(b), a.max(b))).collect()
    }

    #[test]
    fn what_is_hidden_is_the_share_asked_for_and_nobody_is_left_alone() {
        let split = Split::new(100, &ring(100), 0.25, 7, 30);
        assert_eq!((split.left.len(), split.users.len()), (150, 30));
        assert_eq!(split.hidden.iter().map(Vec::len).sum::<usize>(), 100);
        assert!((0..100).all(|person| split.graph.degree(person) >= 1.0));
        // No edge of a star may go.
        let star: Vec<Edge> = (1..20).map(|leaf| (0, leaf)).collect();
        assert_eq!(Split::new(20, &star, 0.5, 7, 30).left.len(), 19);
    }

    #[test]
    fn quality_is_computed_from_lists() {
        let mut split = Split::new(100, &ring(100), 0.25, 7, 2);
        split.users = vec![0, 1];
        split.hidden[0] = vec![50, 60];
        split.hidden[1] = vec![70];
        let list = |user| if user == 0 { vec![40, 50, 30] } else { vec![2, 3, 4, 70] };
        let quality = Quality::of(&split, 3, list);
        assert_eq!(quality, Quality { recall: 0.25, hits: 0.5, reciprocal_rank: 0.375 });
    }

    #[test]
    fn ties_are_in_random_order_that_the_seed_decides() {
        let graph = Plain::new(50, &ring(50));
        let mut scores = vec![0.0; 50];
        scores[25] = 1.0;
        let list = |seed| by_scores(&graph, 0, &scores, seed);
        assert_eq!((list(1)[0], list(1).len()), (25, 45));
        assert_eq!(list(1), list(1));
        assert_ne!(list(1), list(2));
    }
}
