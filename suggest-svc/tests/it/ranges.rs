//! The budget of a range of phone numbers. In this world 30 contacts of each range of 10,000 may be
//! newly found in 30 days, by all accounts together.

use std::time::Duration;

use proto::{
    suggest::v1::{Discoverability, Registration, SyncContactsRequest, SyncContactsResponse},
    types::v1::{Identifier, IdentifierKind},
};

use crate::{
    on_both_stores,
    world::{TRANSFER, World, address, hashed, phone},
};

const PEOPLE: usize = 20;
const DAY: Duration = Duration::from_hours(24);

fn number(n: usize) -> String {
    format!("+1650253{n:04}")
}

fn raw(n: usize) -> Identifier {
    phone(&number(n))
}

fn hash(n: usize) -> Identifier {
    hashed(IdentifierKind::Phone, &number(n))
}

const FORMS: [fn(usize) -> Identifier; 2] = [raw, hash];

/// Twenty people of one range of numbers, and one of another, whom everyone finds who has the
/// number. Two accounts have found all twenty.
async fn swept(world: &World) -> Vec<String> {
    let names: Vec<_> = (0..PEOPLE).map(|n| format!("p{n:02}")).collect();
    let other = ("other".to_owned(), vec![phone("+1 212 555 2368"), address("other")]);
    let people = names.iter().cloned().zip((0..PEOPLE).map(|n| vec![raw(n)])).chain([other]);
    let mut registrations = Vec::new();
    for (subject_id, identifiers) in people {
        world.agreed(&[&subject_id]);
        world.user(&subject_id).settings(Discoverability::Everyone, true).await;
        let default_region = String::new();
        registrations.push(Registration { subject_id, identifiers, default_region });
    }
    world.register(registrations).await.unwrap();
    world.agreed(&["one", "two", "three", "four"]);
    sync(world, "one", (0..PEOPLE).map(raw)).await;
    sync(world, "two", (0..PEOPLE).map(hash)).await;
    for account in ["one", "two"] {
        assert_eq!(sorted(world, account).await, names);
    }
    until_closed(world, 0).await;
    names
}

async fn sync(
    world: &World,
    account: &str,
    added: impl Iterator<Item = Identifier>,
) -> SyncContactsResponse {
    let user = world.user(account);
    let request = SyncContactsRequest { added: added.collect(), ..user.full(&[]) };
    user.sync(vec![request]).await.unwrap()
}

async fn sorted(world: &World, account: &str) -> Vec<String> {
    let mut suggested = world.user(account).suggested().await;
    suggested.sort_unstable();
    suggested
}

/// Counting is done beside the calls: waits until an account that is new does not find the last of
/// the people.
async fn until_closed(world: &World, replica: usize) {
    for n in 0..1_000 {
        world.clock.advance(Duration::from_secs(1));
        let name = format!("probe-{replica}-{n}");
        world.agreed(&[&name]);
        let user = world.at(replica, &name);
        let request = SyncContactsRequest { added: vec![hash(PEOPLE - 1)], ..user.full(&[]) };
        user.sync(vec![request]).await.unwrap();
        if user.suggested().await.is_empty() {
            return;
        }
    }
    panic!("the range is still open");
}

async fn over_its_budget_nobody_is_newly_found_in_a_range(world: World) {
    swept(&world).await;
    let misses = sync(&world, "three", (500..520).map(raw)).await;
    for form in FORMS {
        let told = sync(&world, "three", (0..PEOPLE).map(form)).await;
        let sync_token = told.sync_token.clone();
        assert_eq!(told, SyncContactsResponse { sync_token, ..misses.clone() });
        assert!(sorted(&world, "three").await.is_empty());
    }
    // In other ranges, and by what has none, people are.
    for other in [phone("+1 212 555 2368"), address("other")] {
        sync(&world, "three", [other, raw(0)].into_iter()).await;
        assert_eq!(sorted(&world, "three").await, ["other"]);
    }
    let sizes = "SELECT length(entries) FROM address_book WHERE subject = 'three'";
    assert_eq!(world.stolen::<i32>(sizes).await, [32]);
}

async fn whom_an_account_found_before_it_finds_still(world: World) {
    let names = swept(&world).await;
    for form in FORMS {
        sync(&world, "one", (0..PEOPLE).map(form)).await;
        assert_eq!(sorted(&world, "one").await, names);
        world.user("one").deletes_contacts().await;
        assert!(sorted(&world, "one").await.is_empty());
    }
    let token = sync(&world, "one", (0..PEOPLE).map(raw)).await.sync_token;
    assert_eq!(sorted(&world, "one").await, names);
    // In a delta too.
    let one = world.user("one");
    let delta =
        SyncContactsRequest { removed: vec![raw(0), raw(1)], ..one.delta(&token, &[], &[]) };
    let token = one.sync(vec![delta]).await.unwrap().sync_token;
    assert_eq!(sorted(&world, "one").await, names[2..]);
    let delta = SyncContactsRequest { added: vec![hash(1)], ..one.delta(&token, &[], &[]) };
    one.sync(vec![delta]).await.unwrap();
    assert_eq!(sorted(&world, "one").await, names[1..]);
}

async fn what_was_withheld_is_found_when_there_is_room_and_counts_then(world: World) {
    let names = swept(&world).await;
    sync(&world, "three", (0..PEOPLE).map(raw)).await;
    assert!(sorted(&world, "three").await.is_empty());
    // The first time that anybody is found all are.
    for _ in 0..1_000 {
        world.clock.advance(DAY);
        sync(&world, "three", (0..PEOPLE).map(raw)).await;
        if !sorted(&world, "three").await.is_empty() {
            break;
        }
    }
    assert_eq!(sorted(&world, "three").await, names);
    // They count: so does another account's, and the range closes again.
    sync(&world, "four", (0..PEOPLE).map(raw)).await;
    until_closed(&world, 0).await;
}

async fn every_replica_counts_and_closes(mut world: World) {
    world.add_replica().await;
    swept(&world).await;
    until_closed(&world, 1).await;
    world.restart_all().await;
    until_closed(&world, 0).await;
}

async fn nothing_is_left_of_ranges_whose_people_are_gone_or_whose_bucket_is_empty(world: World) {
    swept(&world).await;
    let people = "SELECT DISTINCT subject FROM number_range";
    assert_eq!(world.stolen::<String>(people).await.len(), PEOPLE + 1);
    // Without numbers, and without consent.
    world.grants.deny(TRANSFER, "p01");
    for gone in ["p00", "p01"] {
        let gone = Registration { subject_id: gone.to_owned(), ..Registration::default() };
        world.register(vec![gone]).await.unwrap();
    }
    assert_eq!(world.stolen::<String>(people).await.len(), PEOPLE - 1);
    let buckets = "SELECT empty_at FROM range_budget";
    assert_eq!(world.stolen::<i64>(buckets).await.len(), 1);
    world.clock.advance(60 * DAY);
    for _ in 0..1_000 {
        world.clock.advance(Duration::from_mins(10));
        sync(&world, "three", std::iter::empty()).await;
        if world.stolen::<i64>(buckets).await.is_empty() {
            return;
        }
    }
    panic!("an empty bucket is still there");
}

on_both_stores! {
    over_its_budget_nobody_is_newly_found_in_a_range,
    whom_an_account_found_before_it_finds_still,
    what_was_withheld_is_found_when_there_is_room_and_counts_then,
    every_replica_counts_and_closes,
    nothing_is_left_of_ranges_whose_people_are_gone_or_whose_bucket_is_empty,
}
