//! The ranking against one that follows the definitions word by word.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proptest::prelude::*;

use super::{
    community::{COMMUNITY_AT_LEAST, POPULARITY_AT_LEAST},
    *,
};
use crate::{
    domain::{Discoverability, Settings},
    graph::OwnedKey,
};
use identifiers::MatchKey;

fn tuning() -> Tuning {
    Tuning {
        beta: 0.75,
        gamma: 0.1,
        work_budget: usize::MAX,
        min_mutuals: 2,
        weights: Weights::default(),
    }
}

type World = BTreeSet<(u8, u8)>;

fn name(n: u8) -> Subject {
    Subject::from(format!("p{n:03}"))
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

fn rank(graph: &Graph, viewer: u8, tuning: &Tuning) -> Prospects {
    rank_beside(graph, viewer, tuning, Beside::default(), usize::MAX)
}

fn rank_beside(
    graph: &Graph,
    viewer: u8,
    tuning: &Tuning,
    beside: Beside<'_>,
    at_most: usize,
) -> Prospects {
    let Some(viewer) = graph.ordinal(&name(viewer)) else {
        return Prospects::default();
    };
    prospects(graph, viewer, tuning, beside, &mut Scratch::default(), at_most)
}

fn of_tier(ranked: &Prospects, tier: Tier) -> Vec<&Prospect> {
    ranked.best.iter().filter(|prospect| prospect.rank.tier == tier).collect()
}

/// Who knows whom, as sets.
struct Sets(BTreeMap<u8, BTreeSet<u8>>);

impl Sets {
    fn of(world: &World) -> Self {
        let mut friends: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for (a, b) in world {
            friends.entry(*a).or_default().insert(*b);
            friends.entry(*b).or_default().insert(*a);
        }
        Self(friends)
    }

    fn degree(&self, person: u8) -> f64 {
        f64::from(u32::try_from(self.0[&person].len()).unwrap_or(0))
    }

    /// People who are neither the viewer nor known to them.
    fn strangers(&self, viewer: u8) -> impl Iterator<Item = u8> {
        let others = self.0.keys().copied();
        others.filter(move |v| *v != viewer && !self.0[&viewer].contains(v))
    }

    fn mutuals(&self, u: u8, v: u8, shy: &HashSet<u8>) -> Vec<u8> {
        self.0[&u].intersection(&self.0[&v]).copied().filter(|z| !shy.contains(z)).collect()
    }

    /// The model by its definition, in floating point.
    fn score(&self, u: u8, v: u8, mutuals: &[u8]) -> f64 {
        let weights = Weights::default();
        let tra: f64 = mutuals.iter().map(|z| self.degree(*z).powf(-0.75)).sum::<f64>()
            * self.degree(v).powf(-0.1);
        let count = f64::from(u32::try_from(mutuals.len()).unwrap_or(0));
        let union = self.degree(u) + self.degree(v) - count;
        weights.allocation * tra.ln()
            + weights.mutuals * count.ln()
            + weights.degree * self.degree(v).ln()
            + weights.union * union.ln()
            + weights.strangers * (1.05 - count / self.degree(v)).ln()
            + weights.share * count / self.degree(v)
    }

    /// Three-hop paths over people who may be between, the second of whom the viewer does not know.
    fn paths(&self, u: u8, v: u8, shy: &HashSet<u8>) -> Vec<(u8, u8)> {
        let mut paths = Vec::new();
        for a in self.0[&u].iter().filter(|a| !shy.contains(a)) {
            for b in self.0[a].intersection(&self.0[&v]) {
                if *b != u && !self.0[&u].contains(b) && !shy.contains(b) {
                    paths.push((*a, *b));
                }
            }
        }
        paths
    }
}

fn number(person: u8) -> MatchKey {
    MatchKey::from_bytes([person; 16])
}

fn distinct(people: impl Iterator<Item = u8>) -> usize {
    people.collect::<BTreeSet<_>>().len()
}

fn worlds_of(people: u8, pairs: usize) -> impl Strategy<Value = World> {
    let pair = (0..people, 0..people).prop_filter("two people", |(a, b)| a < b);
    prop::collection::btree_set(pair, 0..pairs)
}

fn worlds() -> impl Strategy<Value = World> {
    worlds_of(14, 60)
}

proptest! {
    #[test]
    fn two_hop_candidates_and_scores_are_those_of_the_definition(
        world in worlds(),
        shy in prop::collection::hash_set(0u8..14, 0..5),
        viewer in 0u8..14,
    ) {
        let ranked = rank(&graph(world.iter().copied(), &shy), viewer, &tuning());
        let sets = Sets::of(&world);
        if !sets.0.contains_key(&viewer) {
            return Ok(());
        }
        let expected: BTreeMap<Subject, (f64, usize)> = sets
            .strangers(viewer)
            .map(|v| (v, sets.mutuals(viewer, v, &shy)))
            .filter(|(_, mutuals)| mutuals.len() >= 2)
            .map(|(v, mutuals)| (name(v), (sets.score(viewer, v, &mutuals), mutuals.len())))
            .collect();
        let known = of_tier(&ranked, Tier::Known);
        prop_assert_eq!(known.len(), expected.len());
        for prospect in known {
            let (score, mutuals) = expected[&prospect.subject];
            prop_assert!((prospect.rank.score - score).abs() < 1e-6);
            prop_assert_eq!(prospect.mutuals.len(), mutuals);
        }
        let order = |a: &Prospect, b: &Prospect| {
            a.rank.order(&b.rank).then_with(|| a.subject.cmp(&b.subject))
        };
        prop_assert!(ranked.best.is_sorted_by(|a, b| order(a, b).is_lt()));
    }

    #[test]
    fn the_wider_circle_is_that_of_the_definition(
        // So few people that no bound on paths is met.
        world in worlds_of(11, 30),
        shy in prop::collection::hash_set(0u8..11, 0..3),
        viewer in 0u8..11,
    ) {
        let ranked = rank(&graph(world.iter().copied(), &shy), viewer, &tuning());
        let sets = Sets::of(&world);
        if !sets.0.contains_key(&viewer) {
            return Ok(());
        }
        let mut expected = BTreeMap::new();
        for v in sets.strangers(viewer) {
            let paths = sets.paths(viewer, v, &shy);
            let is_wide = distinct(paths.iter().map(|(a, _)| *a)) >= 2
                && distinct(paths.iter().map(|(_, b)| *b)) >= 2;
            if is_wide && sets.mutuals(viewer, v, &shy).len() < 2 {
                let weight = |(a, b): &(u8, u8)| {
                    sets.degree(*a).powf(-0.75) * sets.degree(*b).powf(-0.5)
                };
                expected.insert(name(v), paths.iter().map(weight).sum::<f64>().ln());
            }
        }
        let circle = of_tier(&ranked, Tier::WiderCircle);
        prop_assert_eq!(circle.len(), expected.len());
        for prospect in circle {
            prop_assert!((prospect.rank.score - expected[&prospect.subject]).abs() < 1e-6);
        }
    }

    #[test]
    fn the_order_in_which_people_came_changes_nothing(
        (first, second) in worlds().prop_flat_map(|world| {
            let pairs: Vec<_> = world.into_iter().collect();
            (Just(pairs.clone()).prop_shuffle(), Just(pairs).prop_shuffle())
        }),
        work_budget in 0usize..160,
    ) {
        let tuning = Tuning { work_budget, ..tuning() };
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
        let (tuning, mut scratch) = (tuning(), Scratch::default());
        for viewer in 0..14 {
            let Some(person) = graph.ordinal(&name(viewer)) else { continue };
            let whole = rank(&graph, viewer, &tuning);
            let prefix =
                prospects(&graph, person, &tuning, Beside::default(), &mut scratch, at_most);
            prop_assert_eq!(&prefix.best[..], &whole.best[..whole.best.len().min(at_most)]);
            if let Some((rank @ Rank { tier: Tier::Known, .. }, subject)) = prefix.beyond {
                let next = &whole.best[at_most];
                prop_assert_eq!((rank, subject), (next.rank, next.subject.clone()));
            }
        }
    }

    /// Were it otherwise, others could see in their lists whom the viewer uploaded.
    #[test]
    fn whose_numbers_the_viewer_has_decides_about_the_list_and_not_about_who_counts_as_shown(
        world in worlds_of(30, 60),
        book in prop::collection::vec(0u8..30, 1..20),
        at_most in 0usize..40,
    ) {
        let knows = |who: u8| who == 0 || world.contains(&(0, who));
        let strangers: Vec<u8> = book.iter().copied().filter(|who| !knows(*who)).collect();
        let mut graph = graph(world, &HashSet::new());
        for person in 0..30 {
            graph.set_consent(&name(person), i64::MAX, i64::MAX);
            let open = Settings { discoverability: Discoverability::Everyone, may_be_mutual: true };
            graph.set_settings(&name(person), open);
            graph.set_keys(&name(person), vec![OwnedKey { key: number(person), since: 1 }]);
        }
        let before = rank_beside(&graph, 0, &tuning(), Beside::default(), at_most);
        graph.set_book(&name(0), 2, &book.iter().map(|who| number(*who)).collect::<Vec<_>>());
        let after = rank_beside(&graph, 0, &tuning(), Beside::default(), at_most);
        prop_assert_eq!(&before.alone, &after.alone);
        let names = |ranked: &Prospects| {
            ranked.best.iter().map(|one| one.subject.clone()).collect::<Vec<_>>()
        };
        prop_assert_eq!(names(&before), before.alone);
        let listed = names(&after);
        let are_listed = strangers.iter().all(|who| listed.contains(&name(*who)));
        prop_assert!(at_most < 30 || are_listed);
    }

    /// Were it otherwise, a viewer with few friends could tell whom one of them knows.
    #[test]
    fn whether_one_friend_knows_somebody_does_not_decide_who_is_in_the_wider_circle(
        world in worlds_of(11, 30),
        viewer in 0u8..11,
        friend in 0u8..11,
        somebody in 0u8..11,
    ) {
        let sets = Sets::of(&world);
        let knows = |one: u8| sets.0.get(&one).is_some_and(|friends| friends.contains(&viewer));
        let (pair, all) = ((friend.min(somebody), friend.max(somebody)), &HashSet::new());
        if friend == somebody || !knows(friend) || knows(somebody) || somebody == viewer {
            return Ok(());
        }
        let (mut with, mut without) = (world.clone(), world.clone());
        with.insert(pair);
        without.remove(&pair);
        if Sets::of(&with).mutuals(viewer, somebody, all).len() > 1 {
            return Ok(());
        }
        let is_shown = |world: &World| {
            let graph = graph(world.iter().copied(), all);
            rank(&graph, viewer, &tuning()).best.iter().any(|one| one.subject == name(somebody))
        };
        prop_assert_eq!(is_shown(&with), is_shown(&without));
    }
}

#[test]
fn a_friend_who_knows_few_counts_more_than_one_who_knows_many() {
    // 1 and 2 know only the viewer and 10; 3 and 4 also know a crowd.
    let mut pairs = vec![(0, 1), (0, 2), (0, 3), (0, 4), (1, 10), (2, 10), (3, 11), (4, 11)];
    pairs.extend((20..40).flat_map(|crowd| [(3, crowd), (4, crowd)]));
    let ranked = rank(&graph(pairs, &HashSet::new()), 0, &tuning()).best;
    let place = |person| ranked.iter().position(|prospect| prospect.subject == name(person));
    assert!(place(10) < place(11) && place(11).is_some());
}

#[test]
fn a_hub_that_does_not_fit_into_the_budget_is_left_out_whole() {
    let mut pairs = vec![(0, 1), (0, 2), (0, 3), (1, 10), (2, 10), (3, 10)];
    pairs.extend((20..60).map(|crowd| (3, crowd)));
    let graph = graph(pairs, &HashSet::new());
    let mutuals =
        |work_budget| rank(&graph, 0, &Tuning { work_budget, ..tuning() }).best[0].mutuals.len();
    assert_eq!((mutuals(100), mutuals(10)), (3, 2));
}

#[test]
fn of_more_candidates_than_the_short_list_has_the_best_are_kept_whatever_their_numbers() {
    // 0 knows 1 to 4, all of whom know 5 to 249; from 200 on only 1 to 3 do.
    let crowd = (5u8..250).flat_map(|v| (1u8..if v < 200 { 5 } else { 4 }).map(move |z| (z, v)));
    let mut pairs: Vec<(u8, u8)> = (1..5).map(|z| (0, z)).chain(crowd).collect();
    let first =
        rank_beside(&graph(pairs.clone(), &HashSet::new()), 0, &tuning(), Beside::default(), 10);
    pairs.reverse();
    let second = rank_beside(&graph(pairs, &HashSet::new()), 0, &tuning(), Beside::default(), 10);
    assert_eq!(first, second);
    let names: Vec<_> = first.best.iter().map(|one| one.subject.clone()).collect();
    assert_eq!(names, (5..15).map(name).collect::<Vec<_>>());
}

#[test]
fn who_was_shown_too_often_is_ranked_lower() {
    let pairs = [(0, 1), (0, 2), (1, 10), (2, 10), (1, 11), (2, 11)];
    let graph = graph(pairs, &HashSet::new());
    let tired = graph.ordinal(&name(10));
    let shown_too_often = |person| Some(person) == tired;
    let beside = Beside { shown_too_often: &shown_too_often, ..Beside::default() };
    let first = |beside| rank_beside(&graph, 0, &tuning(), beside, 10).best[0].subject.clone();
    assert_eq!((first(Beside::default()), first(beside)), (name(10), name(11)));
}

#[test]
fn who_is_left_out_of_the_wider_circle_is_beyond_too() {
    let knows = |one: u8, others: [u8; 2]| others.map(move |other| (one, other));
    let pairs = [knows(1, [0, 10]), knows(2, [0, 10]), knows(1, [11, 12]), knows(2, [11, 12])];
    let far = (20..23).flat_map(|far| knows(far, [10, 11]));
    let graph = graph(pairs.into_iter().flatten().chain(far), &HashSet::new());
    let ranked = |at_most| rank_beside(&graph, 0, &tuning(), Beside::default(), at_most);
    let tiers = |ranked: &Prospects| {
        [Tier::Known, Tier::WiderCircle].map(|tier| of_tier(ranked, tier).len())
    };
    let (some, all) = (ranked(5), ranked(6));
    assert_eq!((tiers(&some), tiers(&all)), ([3, 2], [3, 3]));
    assert_eq!(some.beyond, Some((all.best[5].rank, all.best[5].subject.clone())));
    assert_eq!(all.beyond, None);
}

#[test]
fn who_does_not_agree_to_suggestions_is_nobodys_mutual_connection_and_is_not_suggested() {
    let pairs = [(0, 1), (0, 2), (0, 3), (1, 10), (2, 10), (3, 10), (1, 11), (2, 11)];
    let mut graph = graph(pairs, &HashSet::new());
    let seen = |graph: &Graph| {
        let ranked = rank(graph, 0, &tuning());
        ranked.best.iter().map(|one| (one.subject.clone(), one.mutuals.len())).collect::<Vec<_>>()
    };
    assert_eq!(seen(&graph).len(), 2);
    graph.set_consent(&name(11), i64::MAX, i64::MIN);
    assert_eq!(seen(&graph), [(name(10), 3)]);
    graph.set_consent(&name(3), i64::MAX, i64::MIN);
    assert_eq!(seen(&graph), [(name(10), 2)]);
    graph.set_consent(&name(2), i64::MAX, i64::MIN);
    assert_eq!(seen(&graph), []);
}

/// A crowd of so many, who know each their next `reach`, and 250, who knows the first of them.
fn crowd(size: u8, reach: u8) -> Graph {
    let ring = (0..size).flat_map(|a| (1..=reach).map(move |step| (a, (a + step) % size)));
    graph(ring.chain([(250, 0)]), &HashSet::new())
}

fn popular(graph: &Graph, viewer: u8) -> Vec<Subject> {
    let communities = Communities::of(&graph).expect("it is read to the end");
    let beside = Beside { communities: Some(&communities), ..Beside::default() };
    let ranked = rank_beside(graph, viewer, &tuning(), beside, 10);
    of_tier(&ranked, Tier::Popular).iter().map(|one| one.subject.clone()).collect()
}

#[test]
fn a_newcomer_is_shown_popular_people_of_the_friends_community() {
    let shown = popular(&crowd(60, 29), 250);
    assert_eq!(shown.len(), 10);
    assert!(!shown.contains(&name(0)) && !shown.contains(&name(250)));
}

#[test]
fn of_a_small_community_nobody_is_shown() {
    let community = u8::try_from(COMMUNITY_AT_LEAST).unwrap_or(u8::MAX);
    // With the newcomer.
    assert_eq!(popular(&crowd(community - 2, 20), 250), []);
    assert_ne!(popular(&crowd(community - 1, 20), 250), []);
}

#[test]
fn the_list_of_a_single_friend_cannot_be_read() {
    // 0 knows 1 to 100, who know nobody else; 250 knows 0.
    let star = (1..=100).map(|leaf| (0, leaf)).chain([(250, 0)]);
    assert_eq!(popular(&graph(star, &HashSet::new()), 250), []);
    // They know so many of each other that one more is what it takes.
    let least = u8::try_from(POPULARITY_AT_LEAST).unwrap_or(u8::MAX);
    let among = |reach: u8| {
        let ring =
            (0u8..100).flat_map(move |a| (1..=reach).map(move |n| (1 + a, 1 + (a + n) % 100)));
        let star = (1..=100).map(|leaf| (0, leaf)).chain([(250, 0)]);
        popular(&graph(ring.chain(star), &HashSet::new()), 250)
    };
    assert_eq!(among((least - 2) / 2), []);
    assert_ne!(among(least / 2), []);
}

#[test]
fn popular_people_are_the_same_whether_or_not_the_friend_knows_them() {
    let pairs = |without: Option<u8>| {
        let ring = (0u8..60).flat_map(|a| (1u8..=10).map(move |n| (a, (a + n) % 60)));
        let star = (0u8..60).filter(move |one| Some(*one) != without).map(|one| (100, one));
        graph(ring.chain(star).chain([(250, 100)]), &HashSet::new())
    };
    let everybody = popular(&pairs(None), 250);
    assert_eq!(everybody.len(), 10);
    for one in 0..60 {
        assert_eq!(popular(&pairs(Some(one)), 250), everybody, "{one}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn communities_do_not_depend_on_the_numbering(
        (first, second) in prop::collection::btree_set((0u8..80, 0u8..80), 600..1_500)
            .prop_map(|pairs| pairs.into_iter().filter(|(a, b)| a < b).collect::<Vec<_>>())
            .prop_flat_map(|pairs| (Just(pairs.clone()).prop_shuffle(), Just(pairs).prop_shuffle())),
    ) {
        let (first, second) = (graph(first, &HashSet::new()), graph(second, &HashSet::new()));
        for viewer in 0..80 {
            prop_assert_eq!(popular(&first, viewer), popular(&second, viewer));
        }
    }
}
