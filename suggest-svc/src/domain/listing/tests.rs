//! What becomes of prospects once it is known who has agreed.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::domain::ranking::{Between, Weights};

fn tuning() -> Tuning {
    Tuning {
        beta: 0.75,
        gamma: 0.1,
        work_budget: 50_000,
        min_mutuals: 2,
        weights: Weights::default(),
    }
}

/// Whom some prospects, who know so many people each, are reached through.
fn prospects(best: Vec<Prospect>, people: u32) -> Prospects {
    let between = |n| Between { subject: format!("z{n}").into(), weight: 1 << 30 };
    let people = (0..people).map(between).collect();
    Prospects { viewer_degree: 30, people, best, ..Prospects::default() }
}

fn prospect(name: &str, contact: Option<Contact>, mutuals: &[u32]) -> Prospect {
    Prospect {
        subject: name.into(),
        contact,
        degree: 20,
        mutuals: mutuals.to_vec(),
        paths: Vec::new(),
        shown_too_often: false,
        rank: Rank { tier: Tier::Known, score: 99.0 },
    }
}

fn of_tier(tier: Tier, prospect: Prospect) -> Prospect {
    Prospect { rank: Rank { tier, score: 0.0 }, ..prospect }
}

fn granted<'p>(people: &'p [&str]) -> impl Fn(&Subject) -> bool + 'p {
    |subject| people.contains(&subject.as_str())
}

/// The list when only these people have agreed.
fn list(prospects: &Prospects, granted: impl Fn(&Subject) -> bool, limit: usize) -> Vec<Listed> {
    let tuning = tuning();
    let mut listing = Listing::new(prospects, &tuning, limit, 2 * limit + 10);
    while listing.settle(&granted, |_| true) == Next::Ask {}
    listing.finish()
}

fn only(prospect: &Prospect, people: &[&str]) -> Option<Listed> {
    let all = prospects(vec![prospect.clone()], 8);
    list(&all, granted(people), 10).pop()
}

#[test]
fn counts_fall_into_their_ranges() {
    let starts = [(3, MutualRange::From3), (6, MutualRange::From6), (11, MutualRange::From11)];
    let more = [(21, MutualRange::From21), (51, MutualRange::From51)];
    let mut expected = None;
    for count in 0..100 {
        let start = starts.iter().chain(&more).find(|(start, _)| *start == count);
        expected = start.map(|(_, range)| *range).or(expected);
        assert_eq!(MutualRange::of(count), expected, "{count}");
    }
}

#[test]
fn only_mutual_connections_who_agreed_count() {
    let prospect = prospect("v", None, &[0, 1, 2, 3]);
    let three = only(&prospect, &["v", "z0", "z1", "z2"]).unwrap();
    assert_eq!((three.mutuals, &three.through[..]), (Some(MutualRange::From3), &[0, 1, 2][..]));
    let two = only(&prospect, &["v", "z0", "z1"]).unwrap();
    assert_eq!((two.mutuals, two.reason), (None, Reason::MutualConnections));
    assert!(two.rank.score < three.rank.score);
    assert_eq!(only(&prospect, &["v", "z0"]), None);
    assert_eq!(only(&prospect, &["z0", "z1", "z2", "z3"]), None);
}

#[test]
fn one_mutual_connection_does_not_move_a_contact() {
    for contact in [Contact::OneWay, Contact::Reciprocal] {
        let with = only(&prospect("v", Some(contact), &[0]), &["v", "z0"]);
        let without = only(&prospect("v", Some(contact), &[]), &["v", "z0"]);
        assert!(with.is_some());
        assert_eq!(with, without);
        // Nor do two, one of whom has not agreed.
        assert_eq!(only(&prospect("v", Some(contact), &[0, 1]), &["v", "z0"]), without);
    }
}

#[test]
fn a_wider_circle_is_one_only_through_two_at_either_step() {
    let circle = of_tier(Tier::WiderCircle, prospect("v", None, &[]));
    let circle = Prospect { paths: vec![(0, 4), (1, 5), (1, 4)], ..circle };
    let whole = only(&circle, &["v", "z0", "z1", "z4", "z5"]).unwrap();
    assert_eq!((whole.reason, whole.mutuals), (Reason::WiderCircle, None));
    // Both paths left go through z1, or through z4.
    assert_eq!(only(&circle, &["v", "z1", "z4", "z5"]), None);
    assert_eq!(only(&circle, &["v", "z0", "z1", "z4"]), None);
    assert_eq!(only(&circle, &["z0", "z1", "z4", "z5"]), None);
}

#[test]
fn everybody_behind_a_round_is_asked_about_and_nobody_else() {
    let best = vec![
        prospect("v", None, &[0, 1]),
        Prospect { paths: vec![(2, 3)], ..of_tier(Tier::WiderCircle, prospect("w", None, &[])) },
        of_tier(Tier::Popular, prospect("x", None, &[])),
    ];
    let all = prospects(best, 8);
    let (tuning, limit) = (tuning(), 10);
    let listing = Listing::new(&all, &tuning, limit, 2 * limit);
    let asked: Vec<_> = listing.people().into_iter().map(Subject::as_str).collect();
    assert_eq!(asked, ["v", "w", "x", "z0", "z1", "z2", "z3"]);
}

#[test]
fn known_people_come_before_the_wider_circle_and_popular_ones_last() {
    let paths = vec![(0, 4), (1, 5)];
    let best = vec![
        of_tier(Tier::Popular, prospect("a", None, &[])),
        Prospect { paths, ..of_tier(Tier::WiderCircle, prospect("b", None, &[])) },
        prospect("c", None, &[0, 1]),
        prospect("d", Some(Contact::OneWay), &[]),
    ];
    let listed = list(&prospects(best, 8), |_| true, 10);
    let reasons: Vec<_> = listed.iter().map(|one| one.reason).collect();
    let last = [Reason::WiderCircle, Reason::PopularNearYou];
    assert_eq!(reasons[2..], last);
    assert!(reasons[..2].iter().all(|reason| !last.contains(reason)));
}

#[test]
fn who_was_shown_too_often_comes_later() {
    let fresh = prospect("b", None, &[0, 1]);
    let stale = Prospect { shown_too_often: true, ..prospect("a", None, &[2, 3]) };
    let listed = list(&prospects(vec![stale, fresh], 8), |_| true, 10);
    let names: Vec<_> = listed.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
}

#[test]
fn one_mutual_connection_does_not_carry_the_whole_list() {
    // z0 to z2 carry six; z3 to z5 carry one that is next to as good.
    let mut best: Vec<_> = (0..6).map(|n| prospect(&format!("a{n}"), None, &[0, 1, 2])).collect();
    best.push(prospect("b", None, &[3, 4, 5]));
    let listed = list(&prospects(best, 8), |_| true, 10);
    let names: Vec<_> = listed.iter().map(|one| one.subject.as_str()).collect();
    assert_eq!(names, ["a0", "b", "a1", "a2", "a3", "a4", "a5"]);
}

#[test]
fn a_list_is_settled_when_nobody_left_can_come_before_its_end() {
    let listed = |score| {
        let one = only(&prospect("v", None, &[0, 1, 2]), &["v", "z0", "z1"]).unwrap();
        Listed { rank: Rank { score, ..one.rank }, ..one }
    };
    let [before, after] = [Subject::from("u"), Subject::from("w")];
    let next = |score| Some((Rank { tier: Tier::Known, score }, &before));
    let list = [listed(3.0), listed(2.0)];
    assert!(is_settled(&list, 2, next(1.9)));
    // The one left could have the same score and the lesser id.
    assert!(!is_settled(&list, 2, next(2.0)));
    assert!(!is_settled(&list, 3, next(0.1)));
    assert!(is_settled(&list, 3, None));
    assert!(is_settled(&list, 2, Some((Rank { tier: Tier::Popular, score: 9.0 }, &before))));
    assert!(is_settled(&list, 2, Some((Rank { tier: Tier::Known, score: 2.0 }, &after))));
}

#[test]
fn more_prospects_are_wanted_only_while_one_who_was_left_out_could_belong() {
    let tuning = tuning();
    let next = |beyond: f64, agreed: &[&str]| {
        let best = vec![prospect("a", None, &[0, 1]), prospect("b", None, &[0, 1])];
        let beyond = Some((Rank { tier: Tier::Known, score: beyond }, "z".into()));
        let all = Prospects { beyond, ..prospects(best, 8) };
        Listing::new(&all, &tuning, 2, 4).settle(granted(agreed), |_| true)
    };
    assert_eq!(next(-50.0, &["a", "b", "z0", "z1"]), Next::Finish);
    assert_eq!(next(-50.0, &["a", "z0", "z1"]), Next::Rank);
    assert_eq!(next(50.0, &["a", "b", "z0", "z1"]), Next::Rank);
}

proptest! {
    #[test]
    fn spreading_moves_people_within_their_tier_only_and_loses_nobody(
        mutuals in prop::collection::vec(prop::collection::btree_set(0u32..8, 2..5), 0..20),
        refused in prop::collection::hash_set(0usize..20, 0..8),
        limit in 0usize..15,
    ) {
        let best = mutuals.iter().enumerate().map(|(n, mutuals)| {
            let one = prospect(&format!("p{n:02}"), None, &mutuals.iter().copied().collect::<Vec<_>>());
            if n % 5 == 4 { of_tier(Tier::Popular, one) } else { one }
        });
        let all = prospects(best.collect(), 8);
        let names: HashSet<String> = refused.iter().map(|n| format!("p{n:02}")).collect();
        let listed = list(&all, |subject| !names.contains(subject.as_str()), limit);
        let kept = mutuals.len() - refused.iter().filter(|n| **n < mutuals.len()).count();
        prop_assert_eq!(listed.len(), kept.min(limit));
        prop_assert!(listed.is_sorted_by_key(|one| one.rank.tier));
        let best = listed.iter().map(|one| one.rank).min_by(Rank::order);
        prop_assert_eq!(listed.first().map(|one| one.rank), best);
        let mut subjects: Vec<_> = listed.iter().map(|one| &one.subject).collect();
        subjects.sort_unstable();
        prop_assert!(subjects.is_sorted_by(|a, b| a < b));
    }
}
