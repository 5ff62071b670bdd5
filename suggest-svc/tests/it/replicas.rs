//! Two replicas on one PostgreSQL.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use proto::{errors::v1::Reason, suggest::v1::Discoverability};
use rand::{Rng, SeedableRng, rngs::StdRng};
use suggest_svc::domain::Subject;

use crate::{
    society::{Odds, Rule, Society, State, Who, names},
    village,
    world::{TRANSFER, USE, World, reason},
};

const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];

async fn two_replicas() -> World {
    let mut world = World::on_postgres().await;
    world.add_replica().await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_acknowledged_the_other_answers_by() {
    let world = two_replicas().await;
    world.people(&["ann", "bob", "cec", "dan"]).await;
    world.connect(&SQUARE).await.unwrap();
    assert_eq!(world.at(1, "ann").suggested().await, ["dan"]);
    world.at(1, "dan").blocks("ann").await;
    assert!(world.at(0, "ann").suggested().await.is_empty());
    world.at(0, "dan").unblocks("ann").await;
    assert_eq!(world.at(1, "ann").suggested().await, ["dan"]);
    world.disconnect(&SQUARE[2..]).await;
    assert!(world.at(1, "ann").suggested().await.is_empty());
    let token = world.at(0, "ann").uploads(&["dan"]).await;
    world.at(1, "dan").settings(Discoverability::Everyone, true).await;
    assert_eq!(world.at(0, "ann").suggested().await, ["dan"]);
    let other = world.at(1, "ann");
    other.sync(vec![other.delta(&token, &[], &["dan"])]).await.unwrap();
    assert!(world.at(0, "ann").suggested().await.is_empty());
    let first = world.at(0, "ann");
    assert_eq!(
        reason(first.sync(vec![first.delta(&token, &[], &[])]).await),
        Reason::SyncTokenUnknown
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_at_once_on_both_leave_both_with_the_same_answers() {
    let world = two_replicas().await;
    let names: Vec<String> = (0..24).map(|n| format!("person-{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.people(&names).await;
    let writes = (0..names.len()).map(|n| {
        let (world, names) = (&world, &names);
        async move {
            let next = |step: usize| names[(n + step) % names.len()];
            world.connect(&[(names[n], next(1)), (names[n], next(5))]).await.unwrap();
            world.at(n % 2, names[n]).uploads(&[next(2), next(22)]).await;
            if n % 6 == 0 {
                world.at((n + 1) % 2, names[n]).blocks(next(3)).await;
            }
        }
    });
    futures::future::join_all(writes).await;
    let mut total = 0;
    for name in &names {
        let answers = [world.at(0, name).answer(50).await, world.at(1, name).answer(50).await];
        assert_eq!(answers[0], answers[1], "{name}");
        total += answers[0].suggestions.len();
    }
    assert!(total > names.len(), "{total}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_started_later_ranks_alike() {
    let mut world = World::on_postgres().await;
    world.people(&["ann", "bob", "cec", "dan", "eve"]).await;
    world.connect(&[SQUARE.as_slice(), &[("eve", "bob"), ("eve", "cec")]].concat()).await.unwrap();
    world.add_replica().await;
    let answers = [world.at(0, "ann").bytes().await, world.at(1, "ann").bytes().await];
    assert_eq!(answers[0], answers[1]);
    assert_eq!(world.at(1, "ann").suggested().await, ["dan", "eve"]);
}

const ODDS: Odds = Odds {
    people: (10, 10),
    connected: 0.4,
    uploaded: 0.4,
    blocked: 0.02,
    transfer: 1.0,
    suggestions: 1.0,
    settings: 0.3,
};
/// How long after its acknowledgement every replica may need to answer by what was said.
const AGREED_WITHIN: Duration = Duration::from_secs(1);
const WORDS: usize = 150;

/// Something happens at one of the replicas, to the service and to the facts; its name.
async fn happens(
    world: &World,
    rng: &mut StdRng,
    society: &mut Society,
    names: &[Subject],
) -> &'static str {
    let replica = rng.random_range(0..3);
    let one = rng.random_range(0..society.len());
    let other = (one + rng.random_range(1..society.len())) % society.len();
    let user = world.at(replica, names[one].as_str());
    let pair = [(names[one].as_str(), names[other].as_str())];
    match rng.random_range(0..20) {
        0..6 => {
            let edge = (one.min(other), one.max(other));
            let both = society.is_live(one) && society.is_live(other);
            if society.connected.remove(&edge) {
                world.disconnect(&pair).await;
                "edge gone"
            } else {
                world.connect(&pair).await.unwrap();
                both.then(|| society.connected.insert(edge));
                "edge"
            }
        }
        6..9 if society.is_live(one) => {
            let person = &mut society.people[one];
            if !person.book.remove(&other) {
                person.book.insert(other);
            }
            let book: Vec<_> = person.book.iter().map(|who| names[*who].as_str()).collect();
            user.uploads(&book).await;
            // Those who are not here are found by nothing, and not remembered for later.
            let is_live: Vec<bool> = (0..names.len()).map(|who| society.is_live(who)).collect();
            society.people[one].book.retain(|who| is_live[*who]);
            "contacts"
        }
        9..11 => {
            if society.blocks.remove(&(one, other)) {
                user.unblocks(names[other].as_str()).await;
                "block ended"
            } else {
                user.blocks(names[other].as_str()).await;
                society.blocks.insert((one, other));
                "block"
            }
        }
        11..15 => {
            let anew = Society::draw(rng.random(), Odds { settings: 1.0, ..ODDS });
            society.people[one].settings = anew.people[one].settings;
            village::set(&user, society.people[one].settings).await;
            "settings"
        }
        15..19 => {
            let person = &mut society.people[one];
            if person.suggestions == State::Granted {
                world.grants.deny(USE, names[one].as_str());
                person.suggestions = State::Withdrawn;
            } else {
                world.grants.grant(USE, names[one].as_str());
                person.suggestions = State::Granted;
            }
            "suggestions"
        }
        _ if society.is_live(one) => {
            world.grants.deny(TRANSFER, names[one].as_str());
            let denied = user.sync(vec![user.full(&[])]).await;
            assert_eq!(reason(denied), Reason::ConsentNotGranted);
            forget(society, one);
            "transfer withdrawn"
        }
        _ => {
            world.people(&[names[one].as_str()]).await;
            society.people[one].transfer = State::Granted;
            // As are they to suggestions, by whom it is said here.
            society.people[one].suggestions = State::Granted;
            "transfer anew"
        }
    }
}

/// Nothing is left of somebody but their word: settings and blocks.
fn forget(society: &mut Society, who: Who) {
    society.people[who].transfer = State::Withdrawn;
    society.connected.retain(|(one, other)| *one != who && *other != who);
    for person in &mut society.people {
        person.book.remove(&who);
    }
    society.people[who].book.clear();
}

async fn until_written(world: &World, snapshot: &Path) {
    while !snapshot.exists() {
        world.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_agree_within_a_second_also_one_that_started_from_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("first.snapshot");
    let mut world = World::on_postgres().await;
    let keep = |path: &Path| {
        let path = path.to_owned();
        move |config: &mut suggest_svc::config::SuggestConfig| config.graph.snapshot = Some(path)
    };
    world.add_replica_with(keep(&snapshot)).await;
    let mut society = Society::draw(7, ODDS);
    let names = names("someone", society.len());
    // At most six blocks each, by the configuration of these tests.
    village::settle(&world, &[(&society, &names)]).await;
    until_written(&world, &snapshot).await;
    let rng = &mut StdRng::seed_from_u64(7);
    // What the snapshot does not have.
    let (one, other) = (names[0].as_str(), names[1].as_str());
    if society.connected.remove(&(0, 1)) {
        world.disconnect(&[(one, other)]).await;
    } else {
        world.connect(&[(one, other)]).await.unwrap();
        society.connected.insert((0, 1));
    }
    let copy = directory.path().join("third.snapshot");
    std::fs::copy(&snapshot, &copy).unwrap();
    world.add_replica_with(keep(&copy)).await;

    let (mut kinds, mut lists, mut shown, mut slowest) = (BTreeMap::new(), 0, 0, Duration::ZERO);
    for word in 0..WORDS {
        let kind = happens(&world, rng, &mut society, &names).await;
        let began = Instant::now();
        for (viewer, name) in names.iter().enumerate() {
            let looks = (0..3).map(|replica| {
                let user = world.at(replica, name.as_str());
                let names = &names;
                async move { village::shown(&user, names).await }
            });
            for (replica, seen) in futures::future::join_all(looks).await.into_iter().enumerate() {
                assert!(
                    society.agrees_with(viewer, &seen, Rule::Right),
                    "word {word}, {kind}: replica {replica} shows {viewer} {seen:?}, not {:?}: {society:?}",
                    society.expected(viewer, Rule::Right)
                );
                lists += 1;
                shown += seen.len();
            }
        }
        slowest = slowest.max(began.elapsed());
        *kinds.entry(kind).or_insert(0) += 1;
    }
    println!(
        "replicas: three agree with the facts in {lists} lists ({shown} shown) after {WORDS} words \
         {kinds:?}; all 30 lists after one took {slowest:?} at most"
    );
    assert!(slowest < AGREED_WITHIN, "{slowest:?}");
    assert!(kinds.len() >= 8 && shown > lists / 2, "{kinds:?}, {shown}");
}

/// Behind the service's back every connection is taken out of the store: whoever reads them from
/// there has none, and a replica that starts from the snapshot has them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_starts_from_a_snapshot_has_its_connections_from_there() {
    let directory = tempfile::tempdir().unwrap();
    let snapshot = directory.path().join("first.snapshot");
    let mut world = World::on_postgres().await;
    world.add_replica_with(|config| config.graph.snapshot = Some(snapshot.clone())).await;
    world.people(&["ann", "bob", "cec", "dan"]).await;
    world.connect(&SQUARE).await.unwrap();
    world.user("bob").blocks("cec").await;
    until_written(&world, &snapshot).await;
    world.behind_its_back("DELETE FROM connection").await;
    let copy = directory.path().join("third.snapshot");
    std::fs::copy(&snapshot, &copy).unwrap();
    world.add_replica_with(|config| config.graph.snapshot = Some(copy)).await;
    world.add_replica().await;
    assert_eq!(world.at(1, "ann").suggested().await, ["dan"]);
    assert_eq!(world.at(2, "ann").suggested().await, ["dan"]);
    assert!(world.at(3, "ann").suggested().await.is_empty(), "it has read the store");
    // A block from before the start, by whom the snapshot says nothing of, holds as well.
    assert!(world.at(2, "bob").suggested().await.is_empty());
}
