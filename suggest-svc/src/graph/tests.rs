#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{build::Builder, *};
use crate::domain::Discoverability;

fn name(n: u8) -> Subject {
    Subject::from(format!("p{n}"))
}

fn key(n: u8) -> MatchKey {
    MatchKey::from_bytes([n; 16])
}

fn settings(n: u8) -> Settings {
    let discoverability =
        [Discoverability::Everyone, Discoverability::Reciprocal, Discoverability::Nobody];
    Settings {
        discoverability: discoverability[usize::from(n % 3)],
        may_be_mutual: n.is_multiple_of(2),
    }
}

/// Everyone can be found by the key of their own number.
fn society(people: u8) -> Graph {
    let mut graph = Graph::default();
    for n in 0..people {
        graph.set_consent(&name(n), i64::MAX);
        graph.set_keys(&name(n), vec![OwnedKey { key: key(n), since: 1 }]);
    }
    graph
}

fn uploads(graph: &mut Graph, who: u8, contacts: &[u8]) {
    graph.set_book(&name(who), 2, contacts.iter().map(|n| key(*n)).collect());
}

fn adjacent(graph: &Graph, one: u8, other: u8) -> bool {
    let ordinal = |n| graph.ordinal(&name(n)).unwrap();
    let there = contains(graph.neighbours(ordinal(one)), ordinal(other));
    assert_eq!(there, contains(graph.neighbours(ordinal(other)), ordinal(one)), "not symmetric");
    there
}

fn finds(graph: &Graph, one: u8, other: u8) -> Option<Contact> {
    let ordinal = |n| graph.ordinal(&name(n)).unwrap();
    let mut found = graph.findable(ordinal(one)).into_iter();
    found.find(|(person, _)| *person == ordinal(other)).map(|(_, contact)| contact)
}

#[test]
fn a_one_way_upload_is_no_edge_and_a_reciprocal_one_is() {
    let mut graph = society(2);
    uploads(&mut graph, 0, &[1]);
    assert!(!adjacent(&graph, 0, 1));
    uploads(&mut graph, 1, &[0]);
    assert!(adjacent(&graph, 0, 1));
    uploads(&mut graph, 0, &[]);
    assert!(!adjacent(&graph, 0, 1));
}

#[test]
fn who_finds_whom_by_number_follows_the_other_ones_setting() {
    for (setting, one_way, mutual) in [
        (0, Some(Contact::OneWay), Some(Contact::Reciprocal)),
        (1, None, Some(Contact::Reciprocal)),
        (2, None, None),
    ] {
        let mut graph = society(2);
        graph.set_settings(&name(1), settings(setting));
        uploads(&mut graph, 0, &[1]);
        assert_eq!(finds(&graph, 0, 1), one_way, "{setting}");
        uploads(&mut graph, 1, &[0]);
        assert_eq!(finds(&graph, 0, 1), mutual, "{setting}");
        assert_eq!(adjacent(&graph, 0, 1), mutual.is_some());
        uploads(&mut graph, 0, &[]);
        assert_eq!(finds(&graph, 0, 1), None, "only 1 holds a number");
    }
}

#[test]
fn a_block_by_either_ends_the_edge_and_the_finding() {
    for (blocker, blocked) in [(0, 1), (1, 0)] {
        let mut graph = society(2);
        uploads(&mut graph, 0, &[1]);
        uploads(&mut graph, 1, &[0]);
        graph.connect(&name(0), &name(1));
        graph.set_block(&name(blocker), &name(blocked), true);
        assert!(!adjacent(&graph, 0, 1));
        assert_eq!(finds(&graph, 0, 1), None);
        graph.set_block(&name(blocker), &name(blocked), false);
        assert!(adjacent(&graph, 0, 1));
    }
}

#[test]
fn whose_consent_has_lapsed_counts_for_nothing_from_that_instant_on() {
    let mut graph = society(3);
    graph.connect(&name(0), &name(1));
    graph.connect(&name(1), &name(2));
    graph.set_consent(&name(1), 100);
    graph.advance(99);
    assert!(adjacent(&graph, 0, 1) && graph.is_found(&key(1), &name(0)));
    assert!(!graph.lapses_by(99) && graph.lapses_by(100));
    graph.advance(100);
    assert!(!adjacent(&graph, 0, 1) && !adjacent(&graph, 1, 2));
    assert!(!graph.is_found(&key(1), &name(0)));
    graph.set_consent(&name(1), 200);
    assert!(adjacent(&graph, 0, 1) && graph.is_found(&key(1), &name(0)));
}

#[test]
fn a_number_that_changes_hands_is_nobodys_contact_until_the_next_sync() {
    let mut graph = society(3);
    uploads(&mut graph, 0, &[1]);
    uploads(&mut graph, 1, &[0]);
    uploads(&mut graph, 2, &[0]);
    graph.set_keys(&name(1), vec![]);
    assert!(!adjacent(&graph, 0, 1));
    graph.set_keys(&name(2), vec![OwnedKey { key: key(1), since: 3 }]);
    assert!(!adjacent(&graph, 0, 2));
    graph.set_book(&name(0), 4, vec![key(1)]);
    assert!(adjacent(&graph, 0, 2));
}

#[test]
fn nobody_is_remembered_for_what_is_not_there() {
    let mut graph = Graph::default();
    graph.set_block(&name(0), &name(1), false);
    graph.disconnect(&name(2), &name(3));
    graph.set_consent(&name(4), i64::MIN);
    graph.set_keys(&name(5), vec![]);
    graph.set_book(&name(6), 1, vec![]);
    assert!(graph.is_empty());
    graph.set_block(&name(0), &name(1), true);
    assert_eq!(graph.len(), 2);
}

#[derive(Debug, Clone)]
enum Event {
    Consent(u8, bool),
    Keys(u8, Vec<u8>),
    Book(u8, Vec<u8>),
    Settings(u8, u8),
    Connect(u8, u8, bool),
    Block(u8, u8, bool),
    Advance,
}

const PEOPLE: u8 = 6;

fn event() -> impl Strategy<Value = Event> {
    let who = 0..PEOPLE;
    let keys = || prop::collection::vec(0u8..8, 0..5);
    prop_oneof![
        (who.clone(), any::<bool>()).prop_map(|(a, for_ever)| Event::Consent(a, for_ever)),
        (who.clone(), keys()).prop_map(|(a, keys)| Event::Keys(a, keys)),
        (who.clone(), keys()).prop_map(|(a, keys)| Event::Book(a, keys)),
        (who.clone(), 0u8..6).prop_map(|(a, n)| Event::Settings(a, n)),
        (who.clone(), who.clone(), any::<bool>())
            .prop_filter("two people", |(a, b, _)| a != b)
            .prop_map(|(a, b, on)| Event::Connect(a, b, on)),
        (who.clone(), who, any::<bool>())
            .prop_filter("two people", |(a, b, _)| a != b)
            .prop_map(|(a, b, on)| Event::Block(a, b, on)),
        Just(Event::Advance),
    ]
}

proptest! {
    /// What is kept current event by event is what a restart would build from the same facts.
    #[test]
    fn a_graph_kept_current_equals_one_built_anew(
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut graph = Graph::default();
        let mut now = 0;
        for (sequence, event) in (1..).zip(events) {
            match event {
                Event::Consent(a, for_ever) => {
                    graph.set_consent(&name(a), if for_ever { i64::MAX } else { now + 2 });
                }
                Event::Keys(a, mut keys) => {
                    keys.sort_unstable();
                    keys.dedup();
                    let keys = keys.iter().map(|n| OwnedKey { key: key(*n), since: sequence });
                    graph.set_keys(&name(a), keys.collect());
                }
                Event::Book(a, keys) => {
                    graph.set_book(&name(a), sequence, keys.iter().map(|n| key(*n)).collect());
                }
                Event::Settings(a, n) => graph.set_settings(&name(a), settings(n)),
                Event::Connect(a, b, true) => graph.connect(&name(a), &name(b)),
                Event::Connect(a, b, false) => graph.disconnect(&name(a), &name(b)),
                Event::Block(a, b, on) => graph.set_block(&name(a), &name(b), on),
                Event::Advance => {
                    now += 1;
                    graph.advance(now);
                }
            }
        }
        let anew = rebuilt(&graph, now);
        for person in &graph.people {
            let names = |graph: &Graph| {
                let ordinal = graph.ordinal(&person.subject);
                let mut names: Vec<Subject> = ordinal
                    .map(|o| graph.neighbours(o).iter().map(|n| graph.subject(*n).clone()).collect())
                    .unwrap_or_default();
                names.sort();
                let mut found: Vec<_> = ordinal
                    .map(|o| graph.findable(o))
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(n, contact)| (graph.subject(n).clone(), format!("{contact:?}")))
                    .collect();
                found.sort();
                (names, found)
            };
            prop_assert_eq!(names(&graph), names(&anew), "{}", &person.subject);
        }
    }
}

fn rebuilt(graph: &Graph, now: i64) -> Graph {
    let mut builder = Builder::default();
    // Backwards, so that ordinals differ.
    for person in graph.people.iter().rev() {
        let subject = &person.subject;
        builder.consent(subject, person.consent_until);
        builder.settings(subject, person.settings);
        for key in &person.keys {
            builder.key(subject, *key);
        }
        builder.book(subject, person.book.synced, person.book.keys.clone());
        for other in &person.connections {
            builder.connection(subject, graph.subject(*other));
        }
        for other in &person.blocks {
            builder.block(subject, graph.subject(*other));
        }
    }
    builder.finish(now)
}
