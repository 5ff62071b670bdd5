#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

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
        graph.set_consent(&name(n), i64::MAX, i64::MAX);
        graph.set_keys(&name(n), vec![OwnedKey { key: key(n), since: 1 }]);
    }
    graph
}

fn uploads(graph: &mut Graph, who: u8, contacts: &[u8]) {
    let keys: Vec<MatchKey> = contacts.iter().map(|n| key(*n)).collect();
    graph.set_book(&name(who), 2, &keys);
}

fn adjacent(graph: &Graph, one: u8, other: u8) -> bool {
    let ordinal = |n| graph.ordinal(&name(n)).unwrap();
    let there = |one, other| graph.neighbours(one).any(|found| found == other);
    let (one, other) = (ordinal(one), ordinal(other));
    assert_eq!(there(one, other), there(other, one), "not symmetric");
    assert_eq!(there(one, other), graph.adjacent(one, other));
    there(one, other)
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
    graph.set_consent(&name(1), 100, i64::MAX);
    graph.advance(99);
    assert!(adjacent(&graph, 0, 1) && graph.is_found(&key(1), &name(0)));
    assert!(!graph.lapses_by(99) && graph.lapses_by(100));
    graph.advance(100);
    assert!(!adjacent(&graph, 0, 1) && !adjacent(&graph, 1, 2));
    assert!(!graph.is_found(&key(1), &name(0)));
    graph.set_consent(&name(1), 200, i64::MAX);
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
    graph.set_book(&name(0), 4, &[key(1)]);
    assert!(adjacent(&graph, 0, 2));
}

#[test]
fn nobody_is_remembered_for_what_is_not_there() {
    let mut graph = Graph::default();
    graph.set_block(&name(0), &name(1), false);
    graph.disconnect(&name(2), &name(3));
    graph.set_consent(&name(4), i64::MIN, i64::MIN);
    graph.set_keys(&name(5), vec![]);
    graph.set_book(&name(6), 1, &[]);
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
    BeginMerge,
    FinishMerge(bool),
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
        Just(Event::BeginMerge),
        any::<bool>().prop_map(Event::FinishMerge),
    ]
}

/// What was said last, as a store has it.
#[derive(Debug, Default)]
struct Facts {
    now: i64,
    until: BTreeMap<u8, i64>,
    /// By person: each key and since when.
    keys: BTreeMap<u8, BTreeMap<u8, i64>>,
    books: BTreeMap<u8, (i64, Vec<u8>)>,
    settings: BTreeMap<u8, Settings>,
    connected: BTreeSet<(u8, u8)>,
    blocks: BTreeSet<(u8, u8)>,
}

impl Facts {
    fn live(&self, n: u8) -> bool {
        self.until.get(&n).is_some_and(|until| *until > self.now)
    }

    fn discoverability(&self, n: u8) -> Discoverability {
        self.settings.get(&n).copied().unwrap_or_default().discoverability
    }

    fn holds(&self, one: u8, other: u8) -> bool {
        let Some((synced, book)) = self.books.get(&one) else { return false };
        let Some(keys) = self.keys.get(&other) else { return false };
        keys.iter().any(|(key, since)| since <= synced && book.contains(key))
    }

    fn open_pair(&self, one: u8, other: u8) -> bool {
        let blocked = |a, b| self.blocks.contains(&(a, b));
        self.live(one) && self.live(other) && !blocked(one, other) && !blocked(other, one)
    }

    fn adjacent(&self, one: u8, other: u8) -> bool {
        let opaque = |n| self.discoverability(n) == Discoverability::Nobody;
        one != other
            && self.open_pair(one, other)
            && (self.connected.contains(&(one.min(other), one.max(other)))
                || self.holds(one, other)
                    && self.holds(other, one)
                    && !opaque(one)
                    && !opaque(other))
    }

    fn finds(&self, one: u8, other: u8) -> Option<Contact> {
        if one == other || !self.open_pair(one, other) || !self.holds(one, other) {
            return None;
        }
        match (self.discoverability(other), self.holds(other, one)) {
            (Discoverability::Nobody, _) | (Discoverability::Reciprocal, false) => None,
            (Discoverability::Everyone, false) => Some(Contact::OneWay),
            (_, true) => Some(Contact::Reciprocal),
        }
    }

    /// A graph built from these at once.
    fn built(&self, mut builder: Builder) -> Graph {
        for (n, until) in &self.until {
            builder.consent(&name(*n), *until, *until);
        }
        for (n, settings) in &self.settings {
            builder.settings(&name(*n), *settings);
        }
        for (n, keys) in &self.keys {
            for (k, since) in keys {
                builder.key(&name(*n), OwnedKey { key: key(*k), since: *since });
            }
        }
        for (n, (synced, book)) in &self.books {
            builder.book(&name(*n), *synced, book.iter().map(|k| key(*k)).collect());
        }
        for (one, other) in &self.blocks {
            builder.block(&name(*one), &name(*other));
        }
        builder.finish(self.now)
    }

    /// The same with connections in whatever order.
    fn whole(&self) -> Graph {
        let mut builder = Builder::default();
        for (one, other) in self.connected.iter().rev() {
            builder.connection(&name(*one), &name(*other));
            builder.connection(&name(*other), &name(*one));
        }
        self.built(builder)
    }

    fn check(&self, graph: &Graph) -> Result<(), TestCaseError> {
        for one in 0..PEOPLE {
            let Some(ordinal) = graph.ordinal(&name(one)) else { continue };
            let others = |found: &mut dyn Iterator<Item = Ordinal>| -> BTreeSet<String> {
                found.map(|other| graph.subject(other).to_owned()).collect()
            };
            let expected: BTreeSet<String> = (0..PEOPLE)
                .filter(|other| self.adjacent(one, *other))
                .map(|other| name(other).to_string())
                .collect();
            let found = others(&mut graph.neighbours(ordinal));
            prop_assert_eq!(&found, &expected, "neighbours of {}", one);
            prop_assert_eq!(graph.degree(ordinal), expected.len(), "degree of {}", one);
            let mut folded = 0;
            graph.neighbours(ordinal).for_each(|_| folded += 1);
            prop_assert_eq!(folded, expected.len());
            prop_assert!(graph.neighbours(ordinal).is_sorted_by(|a, b| a < b));
            for other in 0..PEOPLE {
                prop_assert_eq!(
                    graph.ordinal(&name(other)).and_then(|_| finds(graph, one, other)),
                    self.finds(one, other),
                    "{} finds {}",
                    one,
                    other
                );
            }
        }
        Ok(())
    }
}

proptest! {
    /// What is kept current event by event, and what a start builds from the same facts, is what
    /// the facts say; a base in the making changes nothing of it.
    #[test]
    fn a_graph_is_what_was_said_of_people(events in prop::collection::vec(event(), 0..60)) {
        let (mut graph, mut facts, mut merging) = (Graph::default(), Facts::default(), None);
        for (sequence, event) in (1..).zip(events) {
            match event {
                Event::Consent(a, for_ever) => {
                    let until = if for_ever { i64::MAX } else { facts.now + 2 };
                    facts.until.insert(a, until);
                    graph.set_consent(&name(a), until, until);
                }
                Event::Keys(a, keys) => {
                    // A key that stays is theirs since it came.
                    let before = facts.keys.remove(&a).unwrap_or_default();
                    let since = |key| before.get(&key).copied().unwrap_or(sequence);
                    let keys: BTreeMap<u8, i64> =
                        keys.into_iter().map(|key| (key, since(key))).collect();
                    let owned = keys.iter().map(|(k, since)| OwnedKey { key: key(*k), since: *since });
                    graph.set_keys(&name(a), owned.collect());
                    facts.keys.insert(a, keys);
                }
                Event::Book(a, keys) => {
                    let book: Vec<MatchKey> = keys.iter().map(|n| key(*n)).collect();
                    graph.set_book(&name(a), sequence, &book);
                    facts.books.insert(a, (sequence, keys));
                }
                Event::Settings(a, n) => {
                    facts.settings.insert(a, settings(n));
                    graph.set_settings(&name(a), settings(n));
                }
                Event::Connect(a, b, true) => {
                    facts.connected.insert((a.min(b), a.max(b)));
                    graph.connect(&name(a), &name(b));
                }
                Event::Connect(a, b, false) => {
                    facts.connected.remove(&(a.min(b), a.max(b)));
                    graph.disconnect(&name(a), &name(b));
                }
                Event::Block(a, b, on) => {
                    if on { facts.blocks.insert((a, b)); } else { facts.blocks.remove(&(a, b)); }
                    graph.set_block(&name(a), &name(b), on);
                }
                Event::Advance => {
                    facts.now += 1;
                    graph.advance(facts.now);
                }
                Event::BeginMerge => merging = graph.begin_merge().or(merging),
                Event::FinishMerge(gives_up) => match merging.take() {
                    Some(_) if gives_up => graph.give_up_merge(),
                    Some(merging) => graph.finish_merge(merging.in_memory()),
                    None => {}
                },
            }
            facts.check(&graph)?;
        }
        facts.check(&facts.whole())?;
    }

    /// A start from a snapshot and what came after it is a start from everything.
    #[test]
    fn a_snapshot_and_what_came_since_is_everything(
        before in prop::collection::btree_set((0..PEOPLE, 0..PEOPLE), 0..15),
        since in prop::collection::vec((0..PEOPLE, 0..PEOPLE, any::<bool>()), 0..15),
    ) {
        let ordered = |(a, b): (u8, u8)| (a.min(b), a.max(b));
        let mut facts = Facts::default();
        facts.connected.extend(before.into_iter().map(ordered).filter(|(a, b)| a != b));
        let mut graph = facts.whole();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph.snapshot");
        let position = Position { sequence: 7, mark: [3; 16] };
        let merging = graph.begin_merge().unwrap();
        let names = |naming: Naming<'_>| {
        graph.names(naming);
        Some(())
    };
        let merged = merging.in_file(&path, position, names).unwrap();
        graph.finish_merge(merged);
        (0..PEOPLE).for_each(|n| { facts.until.insert(n, i64::MAX); });
        (0..PEOPLE).for_each(|n| graph.set_consent(&name(n), i64::MAX, i64::MAX));
        facts.check(&graph)?;

        let snapshot = Snapshot::open(&path).unwrap();
        prop_assert_eq!(snapshot.position, position);
        let mut builder = Builder::with(snapshot);
        for (a, b, on) in since.into_iter().filter(|(a, b, _)| a != b) {
            builder.change_connection(&name(a), &name(b), on);
            if on {
                facts.connected.insert(ordered((a, b)));
            } else {
                facts.connected.remove(&ordered((a, b)));
            }
        }
        facts.check(&facts.built(builder))?;
    }
}

#[test]
fn a_snapshot_in_which_a_byte_was_changed_is_refused_or_cut_off() {
    let mut graph = society(5);
    graph.connect(&name(0), &name(1));
    graph.connect(&name(1), &name(4));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("graph.snapshot");
    let merging = graph.begin_merge().unwrap();
    let names = |naming: Naming<'_>| {
        graph.names(naming);
        Some(())
    };
    drop(merging.in_file(&path, Position::default(), names).unwrap());
    let good = std::fs::read(&path).unwrap();
    let opens = |bytes: &[u8]| {
        // A new file: the old one may be mapped.
        let path = directory.path().join("changed");
        std::fs::write(&path, bytes).unwrap();
        Snapshot::open(&path).is_ok()
    };
    assert!(opens(&good));
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(!opens(&bad), "byte {at}");
        assert!(!opens(&good[..at]), "{at} bytes");
    }
    assert!(!opens(&[&good[..], &[0; 8]].concat()));
}

#[test]
fn who_is_gone_is_not_named_in_a_snapshot() {
    let mut graph = society(3);
    graph.connect(&name(0), &name(1));
    graph.disconnect(&name(0), &name(1));
    graph.set_keys(&name(1), vec![]);
    graph.set_consent(&name(1), i64::MIN, i64::MIN);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("graph.snapshot");
    let merging = graph.begin_merge().unwrap();
    let names = |naming: Naming<'_>| {
        graph.names(naming);
        Some(())
    };
    graph.finish_merge(merging.in_file(&path, Position::default(), names).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    let has = |name: &str| bytes.windows(name.len()).any(|some| some == name.as_bytes());
    assert!(has("p0") && has("p2") && !has("p1"));
    let anew = Builder::with(Snapshot::open(&path).unwrap()).finish(0);
    assert_eq!((anew.ordinal(&name(2)), anew.ordinal(&name(1))), (Some(2), None));
}

/// Else a start from that file could not take the row away: nobody would know whose it is.
#[test]
fn who_leaves_while_a_snapshot_is_written_is_named_in_it_if_their_row_is() {
    let mut graph = society(3);
    graph.connect(&name(0), &name(1));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("graph.snapshot");
    let merging = graph.begin_merge().unwrap();
    graph.disconnect(&name(0), &name(1));
    graph.set_keys(&name(1), vec![]);
    graph.set_consent(&name(1), i64::MIN, i64::MIN);
    let names = |naming: Naming<'_>| {
        graph.names(naming);
        Some(())
    };
    drop(merging.in_file(&path, Position::default(), names).unwrap());
    let mut builder = Builder::with(Snapshot::open(&path).unwrap());
    builder.change_connection(&name(0), &name(1), false);
    let anew = builder.finish(0);
    assert_eq!(anew.len(), 3);
    assert!(!anew.connected(anew.ordinal(&name(0)).unwrap(), anew.ordinal(&name(1)).unwrap()));
}

/// A file whose checksums are right and whose rows are none, as something else may write it.
#[test]
fn a_snapshot_whose_rows_are_not_rows_is_refused() {
    let file = |names: [&str; 3], rows: [&[u32]; 3]| {
        let entries: Vec<u32> = rows.concat();
        let mut body: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        body.resize(body.len().next_multiple_of(8), 0);
        let ends = |lengths: [usize; 3]| {
            let ends = lengths.into_iter().scan(0, |sum, length| {
                *sum += length as u64;
                Some(sum.to_le_bytes())
            });
            ends.flatten().collect::<Vec<_>>()
        };
        body.extend(ends(rows.map(<[u32]>::len)));
        body.extend(ends(names.map(str::len)));
        body.extend(names.concat().as_bytes());
        let mut file = b"assentgr".to_vec();
        let counts = [3, entries.len() as u64, names.concat().len() as u64];
        file.extend([1_u64, 5, 0, 0].into_iter().chain(counts).flat_map(u64::to_le_bytes));
        file.extend(xxhash_rust::xxh3::xxh3_64(&body).to_le_bytes());
        file.extend(xxhash_rust::xxh3::xxh3_64(&file).to_le_bytes());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph");
        std::fs::write(&path, [file, body].concat()).unwrap();
        Snapshot::open(&path)
    };
    let to = |person: u32| person << 2 | 3;
    let names = ["ann", "bob", "cy"];
    assert!(file(names, [&[to(1), to(2)], &[to(0)], &[to(0)]]).is_ok());
    let bad: [[&[u32]; 3]; 5] = [
        // In one of the two rows alone: who takes the edge away would count below zero.
        [&[to(1), to(2)], &[to(0)], &[]],
        // Not in order, twice, to oneself, and not an edge.
        [&[to(2), to(1)], &[to(0)], &[to(0)]],
        [&[to(1), to(1)], &[to(0), to(0)], &[]],
        [&[to(0)], &[], &[]],
        [&[4 | 1], &[1], &[]],
    ];
    for rows in bad {
        assert!(matches!(file(names, rows), Err(SnapshotError::Damaged)), "{rows:?}");
    }
    // A name that comes twice leaves everybody else where they are.
    let twice = file(["ann", "ann", "cy"], [&[to(2)], &[], &[to(0)]]).unwrap();
    let mut builder = Builder::with(twice);
    for name in ["ann", "cy"] {
        builder.consent(&Subject::from(name), i64::MAX, i64::MAX);
    }
    let graph = builder.finish(0);
    let ordinal = |name: &str| graph.ordinal(&Subject::from(name)).unwrap();
    assert_eq!((graph.len(), graph.adjacent(ordinal("ann"), ordinal("cy"))), (3, true));
}
