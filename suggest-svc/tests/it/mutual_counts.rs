//! Counts of mutual connections are told from 3 up and in ranges: whoever adds and removes a
//! contact to see whether a count moves learns nothing below 3 and nothing within a range.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng, rngs::StdRng};
use suggest_svc::domain::{Settings, Subject};

use crate::{
    engine::Engine,
    on_both_stores,
    society::{Person, Society, State, Who, told},
    village,
    world::World,
};

/// Where a range begins.
const STARTS: [usize; 5] = [3, 6, 11, 21, 51];

const U: Who = 0;
const V: Who = 1;

/// u, v, and people between them, to whom neither has an edge.
fn strangers(between: usize) -> Society {
    let person = Person {
        transfer: State::Granted,
        suggestions: State::Granted,
        settings: Settings::default(),
        book: BTreeSet::new(),
    };
    Society {
        people: vec![person; between + 2],
        connected: BTreeSet::new(),
        blocks: BTreeSet::new(),
    }
}

/// Whether two people are connected, or each has the other's number.
fn is_edge(society: &Society, one: Who, other: Who) -> bool {
    society.is_connected(one, other) || society.holds(one, other) && society.holds(other, one)
}

fn count(society: &Society) -> usize {
    let between = 2..society.len();
    between.filter(|z| is_edge(society, U, *z) && is_edge(society, *z, V)).count()
}

/// One thing that is added or removed: a connection, or a contact of one of two people.
#[derive(Debug, Clone, Copy)]
enum Toggle {
    Connection(Who, Who),
    Contact(Who, Who),
}

impl Toggle {
    fn draw(rng: &mut StdRng, people: usize) -> Self {
        let (end, z) = (rng.random_range(0..2), rng.random_range(2..people));
        match rng.random_range(0..3) {
            0 => Self::Connection(end, z),
            1 => Self::Contact(end, z),
            _ => Self::Contact(z, end),
        }
    }

    fn apply(self, society: &mut Society, engine: &mut Engine) {
        match self {
            Self::Connection(one, other) => {
                let (a, b) = (&engine.names[one], &engine.names[other]);
                if society.connected.remove(&(one, other)) {
                    engine.graph.disconnect(a, b);
                } else {
                    society.connected.insert((one, other));
                    engine.graph.connect(a, b);
                }
            }
            Self::Contact(one, other) => {
                if !society.people[one].book.remove(&other) {
                    society.people[one].book.insert(other);
                }
                engine.upload(one, society);
            }
        }
    }
}

/// What moved when one contact or connection was added or removed.
#[derive(Debug, Default)]
struct Moves {
    toggles: u64,
    /// The number was another one.
    counts: u64,
    /// And it was seen.
    seen: u64,
    below_three: u64,
}

#[test]
fn a_toggled_contact_moves_what_is_told_only_from_range_to_range() {
    let mut moves = Moves::default();
    let mut places = BTreeSet::new();
    for seed in 0..100 {
        let rng = &mut StdRng::seed_from_u64(seed);
        // From about where a range begins.
        let start = STARTS[rng.random_range(0..STARTS.len())] + rng.random_range(0..2) - 1;
        let mut society = strangers(start + 4);
        society.connected.extend((2..start + 2).flat_map(|z| [(U, z), (V, z)]));
        let mut engine = Engine::following(&society);
        let (mut before, mut told_before) = (start, told(start));
        for _ in 0..200 {
            let toggle = Toggle::draw(rng, society.len());
            toggle.apply(&mut society, &mut engine);
            let after = count(&society);
            assert!(after.abs_diff(before) <= 1);
            let shown = engine.shown(U, |_| true).get(&V).copied();
            let told_now = shown.map_or(0, |(_, told)| told);
            assert_eq!(shown.is_some(), after >= 2, "seed {seed}, {toggle:?}: {after}");
            assert_eq!(told_now, told(after), "seed {seed}, {toggle:?}: {after}");
            moves.toggles += 1;
            moves.counts += u64::from(after != before);
            moves.below_three += u64::from(after < 3);
            if told_now != told_before {
                // The greater of the two numbers is the first of a range.
                let start = after.max(before);
                assert!(STARTS.contains(&start), "seed {seed}, {toggle:?}: {before} → {after}");
                places.insert(start);
                moves.seen += 1;
            }
            (before, told_before) = (after, told_now);
        }
    }
    println!(
        "mutual counts, engine: {} toggles, the number moved by {}, what is told by {}, at \
         {places:?}; with fewer than 3, of {}, nothing was told",
        moves.toggles, moves.counts, moves.seen, moves.below_three
    );
    assert!(moves.counts > 3 * moves.seen && moves.seen > 100, "{moves:?}");
    assert_eq!(places, STARTS.into());
}

#[test]
fn who_has_not_agreed_or_does_not_allow_it_is_in_no_count() {
    let (mut cases, mut differ) = (0, 0);
    for seed in 0..400 {
        let rng = &mut StdRng::seed_from_u64(seed);
        let mut society = strangers(rng.random_range(2..60));
        for z in 2..society.len() {
            society.connected.extend([(U, z), (V, z)]);
            society.people[z].settings.may_be_mutual = rng.random_bool(0.8);
            if rng.random_bool(0.2) {
                society.people[z].suggestions = State::Withdrawn;
            }
        }
        let counts = |z: &Who| {
            let person = &society.people[*z];
            person.suggestions == State::Granted && person.settings.may_be_mutual
        };
        let count = (2..society.len()).filter(counts).count();
        let agreed = |who: Who| society.people[who].suggestions == State::Granted;
        let shown = Engine::following(&society).shown(U, agreed).get(&V).copied();
        assert_eq!(shown.map(|(_, told)| told), (count >= 2).then(|| told(count)), "seed {seed}");
        cases += 1;
        differ += u64::from(told(count) != told(society.len() - 2));
    }
    println!(
        "mutual counts, engine: {cases} counts of those who agreed and allow it; counting \
         everybody would differ in {differ}"
    );
    assert!(differ > 0);
}

async fn an_answer_changes_only_where_a_range_begins(world: World) {
    const BETWEEN: usize = 52;
    // v is connected to all of them, and half of them have u's number.
    let mut society = strangers(BETWEEN);
    for z in 2..society.len() {
        society.connected.insert((V, z));
        if z % 2 == 0 {
            society.people[z].book.insert(U);
        }
    }
    let names = crate::society::names("between", society.len());
    village::settle(&world, &[(&society, &names)]).await;
    let u = world.user(names[U].as_str());
    // One after the other becomes a mutual connection: by a connection, or by u's own contact; then
    // ceases to be one, the first first.
    let mut book: Vec<&str> = Vec::new();
    let (mut looks, mut changes) = (0, [Vec::new(), Vec::new()]);
    let mut before = u.bytes().await;
    for (turn, changes) in changes.iter_mut().enumerate() {
        for (n, z) in names[2..].iter().map(Subject::as_str).enumerate() {
            match (turn, n % 2) {
                (0, 0) => book.push(z),
                (_, 0) => book.retain(|one| *one != z),
                (0, _) => drop(world.connect(&[(names[U].as_str(), z)]).await.unwrap()),
                (_, _) => world.disconnect(&[(names[U].as_str(), z)]).await,
            }
            if n % 2 == 0 {
                u.uploads(&book).await;
            }
            let answer = u.answer(50).await;
            // Whom u holds is shown as a contact, and so are people behind them: only v is looked at.
            let shown =
                answer.suggestions.into_iter().find(|one| one.subject_id == names[V].as_str());
            let after = shown.map_or(Vec::new(), |one| prost::Message::encode_to_vec(&one));
            looks += 1;
            if after != before {
                changes.push(if turn == 0 { n + 1 } else { BETWEEN - n });
            }
            before = after;
        }
    }
    println!("mutual counts, service: {looks} answers, changed at {changes:?} mutual connections");
    let starts = [&[2], STARTS.as_slice()].concat();
    let back: Vec<usize> = starts.iter().rev().copied().collect();
    assert_eq!(changes, [starts, back]);
}

on_both_stores! {
    an_answer_changes_only_where_a_range_begins,
}
