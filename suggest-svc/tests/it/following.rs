//! What consent-svc tells is done here without being asked: by looking at what is stored.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    suggest::v1::{Discoverability, RegistrationResult},
    types::v1::StorageStatus,
};

use crate::{
    on_both_stores,
    world::{TRANSFER, USE, World, reason, registration},
};

/// ann and dan have the friends bob and cec in common.
const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];

/// As in [`SQUARE`], each with the addresses of all the others.
async fn square(world: &World) {
    let people = ["ann", "bob", "cec", "dan"];
    world.people(&people).await;
    world.connect(&SQUARE).await.unwrap();
    for person in people {
        world.user(person).uploads(&people).await;
    }
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn whoever_withdraws_is_removed_within_a_second(world: World) {
    square(&world).await;
    world.user("dan").settings(Discoverability::Everyone, true).await;
    world.user("dan").blocks("eve").await;
    world.grants.withdraw(TRANSFER, "dan");
    tokio::time::timeout(Duration::from_secs(1), world.until_gone("dan")).await.unwrap();
    assert_eq!(world.column("SELECT subject FROM person ORDER BY 1").await, ["ann", "bob", "cec"]);
    for (table, column) in
        [("identifier", "subject"), ("connection", "subject"), ("connection", "other")]
    {
        let query = format!("SELECT {column} FROM {table} WHERE {column} = 'dan'");
        assert!(world.column(&query).await.is_empty(), "{table}.{column}");
    }
    assert!(
        world.column("SELECT subject FROM address_book WHERE subject = 'dan'").await.is_empty()
    );
    // Their own word stays.
    assert_eq!(world.column("SELECT blocked FROM block WHERE subject = 'dan'").await, ["eve"]);
    assert!(world.column("SELECT subject FROM contact_settings").await.contains(&"dan".to_owned()));
    // Agreeing again brings nothing back: the app has to send it again.
    world.grants.grant(TRANSFER, "dan");
    world.until_heard().await;
    assert!(!world.is_here("dan").await && world.user("ann").suggested().await.is_empty());
    world.connect(&SQUARE[2..]).await.unwrap();
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn whose_consent_lapses_is_removed_within_a_second(world: World) {
    square(&world).await;
    let end = world.clock.now().plus(Duration::from_mins(1));
    world.grants.grant_until(TRANSFER, "dan", end.get());
    world.until_heard().await;
    world.clock.advance(Duration::from_millis(59_999));
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    assert!(world.is_here("dan").await);
    world.clock.advance(Duration::from_millis(1));
    tokio::time::timeout(Duration::from_secs(1), world.until_gone("dan")).await.unwrap();
    assert!(world.is_here("ann").await);
}

async fn whoever_withdraws_from_suggestions_alone_stays_and_that_is_kept(world: World) {
    square(&world).await;
    let uses = "SELECT CAST(suggest_until AS text) FROM person WHERE subject = 'dan'";
    assert_eq!(world.column(uses).await, [i64::MAX.to_string()]);
    world.grants.withdraw(USE, "dan");
    world.until_heard().await;
    assert!(world.is_here("dan").await && world.user("ann").suggested().await.is_empty());
    assert_eq!(world.column(uses).await, [i64::MIN.to_string()]);
    // What is stored of others meanwhile does not touch it.
    world.connect(&SQUARE).await.unwrap();
    assert_eq!(world.column(uses).await, [i64::MIN.to_string()]);
    world.grants.grant(USE, "dan");
    world.until_heard().await;
    assert_eq!(world.column(uses).await, [i64::MAX.to_string()]);
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn an_answer_from_before_a_withdrawal_lets_nobody_in(world: World) {
    world.agreed(&["ann"]);
    let register = async || {
        let answer = world.register(vec![registration("ann", &["ann"])]).await.unwrap();
        answer.results.first().map(RegistrationResult::status)
    };
    let asked = world.grants.checks();
    let held = world.grants.hold_answers().await;
    let withdrawn = async {
        // The answer that ann may be stored is on its way, and the feed is quicker.
        while world.grants.checks() == asked {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.grants.withdraw(TRANSFER, "ann");
        world.until_heard().await;
        drop(held);
    };
    let (status, ()) = tokio::join!(register(), withdrawn);
    assert_eq!(status, Some(StorageStatus::AwaitingConsent));
    assert!(!world.is_here("ann").await);
    world.agreed(&["ann"]);
    assert_eq!(register().await, Some(StorageStatus::Stored));
}

async fn a_change_of_policies_asks_about_everybody_again(world: World) {
    square(&world).await;
    world.grants.change_policy(TRANSFER, "dan");
    world.until_gone("dan").await;
    assert!(world.is_here("ann").await);
    world.grants.change_policy(USE, "bob");
    let uses = "SELECT CAST(suggest_until AS text) FROM person WHERE subject = 'bob'";
    while world.column(uses).await != [i64::MIN.to_string()] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn everybody_is_asked_about_again_once_a_day(world: World) {
    square(&world).await;
    world.grants.deny(TRANSFER, "dan");
    world.until_heard().await;
    assert!(world.is_here("dan").await, "nobody said it");
    world.clock.advance(Duration::from_hours(24));
    world.until_gone("dan").await;
    assert!(world.is_here("ann").await);
}

async fn what_the_feed_has_forgotten_is_made_up_for(mut world: World) {
    square(&world).await;
    world.stop(0).await;
    world.grants.withdraw(TRANSFER, "dan");
    world.grants.purge();
    world.add_replica().await;
    world.until_gone("dan").await;
    assert!(world.is_here("ann").await);
}

async fn what_was_not_heard_while_the_service_was_away_is_heard_later(mut world: World) {
    square(&world).await;
    world.until_heard().await;
    let before = world.column("SELECT CAST(swept_at AS text) FROM feed_position").await;
    world.stop(0).await;
    world.clock.advance(Duration::from_mins(1));
    world.grants.withdraw(TRANSFER, "dan");
    world.add_replica().await;
    world.until_gone("dan").await;
    // From where it was: nobody else was asked about.
    assert_eq!(world.column("SELECT CAST(swept_at AS text) FROM feed_position").await, before);
    let ann = world.user("dan");
    assert_eq!(reason(ann.sync(vec![ann.full(&["ann"])]).await), Reason::ConsentNotGranted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_follows_when_the_one_that_does_is_gone() {
    let mut world = World::on_postgres().await;
    square(&world).await;
    world.add_replica().await;
    assert!(world.grants.streams() > 0);
    for person in ["dan", "cec"] {
        assert!(world.is_here(person).await);
        world.grants.withdraw(TRANSFER, person);
        world.until_gone(person).await;
        // Whichever it was that followed: the first one goes.
        if person == "dan" {
            world.stop(0).await;
        }
    }
    assert!(world.user("bob").suggested().await.is_empty());
}

on_both_stores! {
    whoever_withdraws_is_removed_within_a_second,
    whose_consent_lapses_is_removed_within_a_second,
    whoever_withdraws_from_suggestions_alone_stays_and_that_is_kept,
    an_answer_from_before_a_withdrawal_lets_nobody_in,
    a_change_of_policies_asks_about_everybody_again,
    everybody_is_asked_about_again_once_a_day,
    what_the_feed_has_forgotten_is_made_up_for,
    what_was_not_heard_while_the_service_was_away_is_heard_later,
}
