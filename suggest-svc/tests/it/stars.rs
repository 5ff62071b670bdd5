//! People whom somebody between them has numbers of, and who do not know each other: a doctor's
//! patients, and the two numbers of one person.

use futures::StreamExt;
use proto::suggest::v1::Discoverability;
use service_kit::clock::Clock;
use suggest_svc::config::{ContactConfig, SuggestConfig};

use crate::{
    engine::Engine,
    on_both_stores,
    society::{Odds, Person, Society, State, Who},
    world::{START, World},
};

const PATIENTS: usize = 500;
/// Calls in flight at once.
const CALLS: usize = 8;

/// A doctor's address book is longer than others of these tests.
fn roomy(config: &mut SuggestConfig) {
    config.contacts = ContactConfig::default();
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{kind}.{n:03}")).collect()
}

fn refs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

async fn all_upload(world: &World, who: &[&str], book: &[&str]) {
    let syncs = who.iter().map(|one| async move { world.user(one).uploads(book).await });
    futures::stream::iter(syncs).buffer_unordered(CALLS).count().await;
}

/// Of all the lists of some people: suggestions of others among them, and of anybody else.
async fn shown_among(world: &World, people: &[&str]) -> (usize, usize) {
    let lists = people.iter().map(|one| async move { world.user(one).suggested().await });
    let lists: Vec<_> = futures::stream::iter(lists).buffer_unordered(CALLS).collect().await;
    let all = lists.iter().map(Vec::len).sum::<usize>();
    let among = lists.iter().flatten().filter(|one| people.contains(&one.as_str())).count();
    (among, all - among)
}

/// The doctors' patients: who uploaded whom, and how many of 500 patients are shown to each other.
async fn patients_are_not_each_others_acquaintances(world: World) {
    let patients = names("patient", PATIENTS);
    let patients = refs(&patients);
    for some in patients.chunks(250) {
        world.people(some).await;
    }
    world.people(&["doctor", "nurse"]).await;
    for one in ["doctor", "nurse"] {
        world.user(one).settings(Discoverability::Everyone, true).await;
    }
    let mut told = Vec::new();

    all_upload(&world, &patients, &["doctor"]).await;
    told.push(("patients uploaded", shown_among(&world, &patients).await));
    assert_eq!(told[0].1, (0, PATIENTS), "each sees the doctor, nobody another patient");

    world.user("doctor").uploads(&patients).await;
    told.push(("each uploaded the other", shown_among(&world, &patients).await));
    assert_eq!(told[1].1, (0, PATIENTS), "one mutual connection is not enough");

    all_upload(&world, &patients, &[]).await;
    told.push(("the doctor uploaded", shown_among(&world, &patients).await));
    assert_eq!(told[2].1, (0, 0));

    world.user("nurse").uploads(&patients).await;
    told.push(("doctor and nurse uploaded", shown_among(&world, &patients).await));
    assert_eq!(told[3].1, (0, 0), "two who uploaded are no mutual connections either");
    // They uploaded only the nurse: still there is one between them, not two.
    all_upload(&world, &patients, &["nurse"]).await;
    told.push(("and patients the nurse", shown_among(&world, &patients).await));
    assert_eq!(told[4].1, (0, PATIENTS));

    // With two between them who hold their numbers and whose numbers they hold, they are.
    let few = &patients[..20];
    all_upload(&world, few, &["doctor", "nurse"]).await;
    let control = shown_among(&world, few).await;
    assert_eq!(control, (20 * 19, 2 * 20), "else nothing was proved");
    for one in ["doctor", "nurse"] {
        world.user(one).settings(Discoverability::Everyone, false).await;
    }
    assert_eq!(shown_among(&world, few).await, (0, 2 * 20), "they do not allow it");
    println!(
        "star of {PATIENTS} patients, (patients, others) shown: {told:?}; control with two \
         reciprocal contacts of 20: {control:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patients_are_not_each_others_acquaintances_on_sqlite() {
    patients_are_not_each_others_acquaintances(
        World::on_sqlite_with(Clock::manual(START), roomy).await,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patients_are_not_each_others_acquaintances_on_postgres() {
    patients_are_not_each_others_acquaintances(
        World::on_postgres_with(Clock::manual(START), roomy).await,
    )
    .await;
}

const OWNERS: usize = 30;

async fn two_numbers_of_one_person_are_not_suggested_to_each_other(world: World) {
    let owners = names("owner", OWNERS);
    let owners = refs(&owners);
    let numbers = ["private", "work"];
    world.people(&owners).await;
    world.people(&numbers).await;
    let crossed = async || {
        let mut crossed = 0;
        for (one, other) in [(0, 1), (1, 0)] {
            let suggested = world.user(numbers[one]).suggested().await;
            crossed += usize::from(suggested.iter().any(|who| who == numbers[other]));
        }
        crossed
    };
    all_upload(&world, &owners, &numbers).await;
    let mut looks = 0;
    for found_by in
        [Discoverability::Everyone, Discoverability::Reciprocal, Discoverability::Nobody]
    {
        for who in owners.iter().chain(&numbers) {
            world.user(who).settings(found_by, true).await;
        }
        // Nobody has uploaded back; one number has; the other has.
        for (private, work) in [(&[][..], &[][..]), (&owners, &[]), (&[], &owners)] {
            world.user("private").uploads(private).await;
            world.user("work").uploads(work).await;
            assert_eq!(crossed().await, 0, "{found_by:?}, {}, {}", private.len(), work.len());
            looks += 2;
        }
    }
    // Linked by connections: one is not enough, two are.
    world.connect(&[("private", "owner.000"), ("work", "owner.000")]).await.unwrap();
    assert_eq!(crossed().await, 0);
    world.connect(&[("private", "owner.001"), ("work", "owner.001")]).await.unwrap();
    assert_eq!(crossed().await, 2, "else nothing was proved");
    println!(
        "two numbers of one person, uploaded by {OWNERS}: 0 cross-suggestions in {looks} lists; \
         control with two connections: 2 in 2"
    );
}

on_both_stores! {
    two_numbers_of_one_person_are_not_suggested_to_each_other,
}

/// Random societies in which everybody has uploaded 0 and 1, who have no edge to any two of the
/// same people: never are they shown to each other.
#[test]
fn who_shares_only_owners_of_address_books_is_not_suggested() {
    const SOCIETIES: u64 = 5_000;
    let odds = Odds {
        people: (6, 12),
        connected: 0.4,
        uploaded: 0.5,
        blocked: 0.0,
        transfer: 1.0,
        suggestions: 1.0,
        settings: 0.5,
    };
    let (mut linked, mut shown) = (0, 0);
    for seed in 0..SOCIETIES {
        let mut society = Society::draw(seed, odds);
        let is_linked = seed % 5 == 0;
        for (who, person) in society.people.iter_mut().enumerate().skip(2) {
            person.book.extend([0, 1]);
            if is_linked && who < 4 {
                person.settings.may_be_mutual = true;
            }
        }
        // The two have uploaded nobody, or one of them everybody; neither has the other's number.
        let all: Vec<Who> = (2..society.len()).collect();
        let uploads =
            |person: &mut Person, all: &[Who]| person.book = all.iter().copied().collect();
        uploads(&mut society.people[0], if seed % 2 == 0 { &all } else { &[] });
        uploads(&mut society.people[1], &[]);
        society.connected.retain(|(one, _)| *one > 1);
        if is_linked {
            society.connected.extend([(0, 2), (0, 3), (1, 2), (1, 3)]);
        }
        let mut engine = Engine::following(&society);
        for (one, other) in [(0, 1), (1, 0)] {
            let everybody = |who: Who| society.people[who].suggestions == State::Granted;
            let is_shown = engine.shown(one, everybody).contains_key(&other);
            assert_eq!(is_shown, is_linked, "seed {seed}: {society:?}");
            shown += usize::from(is_shown);
        }
        linked += u64::from(is_linked);
    }
    println!(
        "two numbers of one person, engine: 0 cross-suggestions in {} societies; control: {shown} \
         in the {linked} where two people are connected to both",
        SOCIETIES - linked
    );
}
