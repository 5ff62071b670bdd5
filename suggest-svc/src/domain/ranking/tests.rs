//! The ranking against one that follows the definition word by word.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::*;
use crate::domain::Settings;

const TUNING: Tuning = Tuning { beta: 0.75, gamma: 0.1, work_budget: usize::MAX, min_mutuals: 2 };

type World = BTreeSet<(u8, u8)>;

fn name(n: u8) -> Subject {
    Subject::from(format!("p{n:02}"))
}

fn graph(pairs: impl IntoIterator<Item = (u8, u8)>, shy: &HashSet<u8>) -> Graph {
    let mut graph = Graph::default();
    for (a, b) in pairs {
        for person in [a, b] {
            graph.set_consent(&name(person), i64::MAX, i64::MAX);
            let may_be_mutual = !shy.contains(&person);
            let settings = Settings { may_be_mutual, ..Settings::default() };
            graph.set_settings(&name(person), settings);
        }
        graph.connect(&name(a), &name(b));
    }
    graph
}

fn rank(graph: &Graph, viewer: u8, tuning: &Tuning) -> Vec<Prospect> {
    let Some(viewer) = graph.ordinal(&name(viewer)) else { return Vec::new() };
    prospects(graph, viewer, tuning, &|_| false, &mut Scratch::default(), usize::MAX).0
}

/// By the definition, in floating point, over sets.
fn oracle(world: &World, shy: &HashSet<u8>, viewer: u8) -> BTreeMap<Subject, (f64, usize)> {
    let mut friends: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
    for (a, b) in world {
        friends.entry(*a).or_default().insert(*b);
        friends.entry(*b).or_default().insert(*a);
    }
    let Some(mine) = friends.get(&viewer) else { return BTreeMap::new() };
    let degree = |person: &u8| f64::from(u32::try_from(friends[person].len()).unwrap_or(0));
    friends
        .keys()
        .filter(|v| **v != viewer && !mine.contains(v))
        .filter_map(|v| {
            let mutual: Vec<&u8> =
                mine.intersection(&friends[v]).filter(|z| !shy.contains(z)).collect();
            let sum: f64 = mutual.iter().map(|z| degree(z).powf(-0.75)).sum();
            let score = sum * degree(v).powf(-0.1);
            (mutual.len() >= 2).then(|| (name(*v), (score, mutual.len())))
        })
        .collect()
}

fn worlds() -> impl Strategy<Value = World> {
    let pair = (0u8..14, 0u8..14).prop_filter("two people", |(a, b)| a < b);
    prop::collection::btree_set(pair, 0..60)
}

proptest! {
    #[test]
    fn two_hop_candidates_and_scores_are_those_of_the_definition(
        world in worlds(),
        shy in prop::collection::hash_set(0u8..14, 0..5),
        viewer in 0u8..14,
    ) {
        let ranked = rank(&graph(world.iter().copied(), &shy), viewer, &TUNING);
        let expected = oracle(&world, &shy, viewer);
        prop_assert_eq!(ranked.len(), expected.len());
        for prospect in &ranked {
            let (score, mutuals) = expected[&prospect.subject];
            prop_assert!((prospect.score - score).abs() < 1e-6);
            prop_assert_eq!(prospect.mutuals.len(), mutuals);
        }
        prop_assert!(ranked.is_sorted_by(|a, b| (b.score, &a.subject) <= (a.score, &b.subject)));
    }

    #[test]
    fn the_order_in_which_people_came_changes_nothing(
        (first, second) in worlds().prop_flat_map(|world| {
            let pairs: Vec<_> = world.into_iter().collect();
            (Just(pairs.clone()).prop_shuffle(), Just(pairs).prop_shuffle())
        }),
        budget in 0usize..80,
    ) {
        let tuning = Tuning { work_budget: budget, ..TUNING };
        let (first, second) = (graph(first, &HashSet::new()), graph(second, &HashSet::new()));
        for viewer in 0..14 {
            prop_assert_eq!(rank(&first, viewer, &tuning), rank(&second, viewer, &tuning));
        }
    }

    #[test]
    fn a_prefix_is_the_beginning_of_the_whole_and_leaves_the_scratch_clean(
        world in worlds(),
        at_most in 0usize..6,
    ) {
        let graph = graph(world, &HashSet::new());
        let mut scratch = Scratch::default();
        for viewer in 0..14 {
            let Some(person) = graph.ordinal(&name(viewer)) else { continue };
            let whole = rank(&graph, viewer, &TUNING);
            let nobody = &|_| false;
            let (prefix, next) = prospects(&graph, person, &TUNING, nobody, &mut scratch, at_most);
            prop_assert_eq!(&prefix[..], &whole[..whole.len().min(at_most)]);
            prop_assert_eq!(next, whole.get(at_most).map(|prospect| prospect.score));
        }
    }
}

#[test]
fn a_friend_who_knows_few_counts_more_than_one_who_knows_many() {
    // 1 and 2 know only the viewer and 10; 3 and 4 also know a crowd.
    let mut pairs = vec![(0, 1), (0, 2), (0, 3), (0, 4), (1, 10), (2, 10), (3, 11), (4, 11)];
    pairs.extend((20..40).flat_map(|crowd| [(3, crowd), (4, crowd)]));
    let ranked = rank(&graph(pairs, &HashSet::new()), 0, &TUNING);
    let place = |person| ranked.iter().position(|prospect| prospect.subject == name(person));
    assert!(place(10) < place(11) && place(11).is_some());
}

#[test]
fn a_hub_that_does_not_fit_into_the_budget_is_left_out_whole() {
    let mut pairs = vec![(0, 1), (0, 2), (0, 3), (1, 10), (2, 10), (3, 10)];
    pairs.extend((20..60).map(|crowd| (3, crowd)));
    let graph = graph(pairs, &HashSet::new());
    let mutuals = |work_budget| rank(&graph, 0, &Tuning { work_budget, ..TUNING })[0].mutuals.len();
    assert_eq!((mutuals(100), mutuals(10)), (3, 2));
}
