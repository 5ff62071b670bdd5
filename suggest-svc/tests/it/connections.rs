//! The app's connections.

use proto::{errors::v1::Reason, suggest::v1::PutConnectionsRequest};

use crate::{
    on_both_stores,
    world::{TRANSFER, World, bad_fields, connections, reason},
};

/// ann and dan have the friends bob and cec in common.
const SQUARE: [(&str, &str); 4] = [("ann", "bob"), ("ann", "cec"), ("dan", "bob"), ("dan", "cec")];

async fn a_connection_awaits_the_consent_of_both_its_ends(world: World) {
    world.agreed(&["ann", "bob", "cec"]);
    let answer = world.connect(&SQUARE).await.unwrap();
    assert_eq!((answer.stored, answer.awaiting_consent), (2, vec![2, 3]));
    assert!(world.user("ann").suggested().await.is_empty());
    world.agreed(&["dan"]);
    let answer = world.connect(&SQUARE).await.unwrap();
    assert_eq!((answer.stored, answer.awaiting_consent), (4, vec![]));
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn a_removed_connection_connects_nobody(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    world.connect(&SQUARE).await.unwrap();
    world.disconnect(&[("bob", "ann"), ("eve", "ann")]).await;
    assert!(world.user("ann").suggested().await.is_empty());
    world.connect(&[("bob", "ann")]).await.unwrap();
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn nobody_knows_themselves_and_nothing_of_a_bad_message_is_stored(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    let mut pairs = SQUARE.to_vec();
    pairs.push(("ann", "ann"));
    assert_eq!(bad_fields(world.connect(&pairs).await), ["connections[4].other_subject_id"]);
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn a_denial_seen_in_passing_takes_a_person_out_at_once(world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    world.connect(&SQUARE).await.unwrap();
    world.grants.deny(TRANSFER, "dan");
    let answer = world.connect(&[("ann", "dan")]).await.unwrap();
    assert_eq!(answer.awaiting_consent, [0]);
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn a_consent_given_anew_brings_back_nothing(mut world: World) {
    world.people(&["ann", "bob", "cec", "dan"]).await;
    world.connect(&SQUARE).await.unwrap();
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    world.grants.deny(TRANSFER, "dan");
    // dan's own app is what tells.
    let dan = world.user("dan");
    assert_eq!(reason(dan.sync(vec![dan.full(&["ann"])]).await), Reason::ConsentNotGranted);
    world.grants.grant(TRANSFER, "dan");
    world.user("dan").uploads(&["ann"]).await;
    assert!(world.user("ann").suggested().await.is_empty());
    world.restart().await;
    assert!(world.user("ann").suggested().await.is_empty());
    world.connect(&SQUARE[2..]).await.unwrap();
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
}

async fn connections_sent_again_are_answered_alike_and_survive_a_restart(mut world: World) {
    world.agreed(&["ann", "bob", "cec", "dan"]);
    let message = PutConnectionsRequest {
        request_id: "again".to_owned(),
        // Once more the other way round: it is the same connection.
        connections: connections(&[SQUARE.as_slice(), &[("bob", "ann")]].concat()),
    };
    let first = world.put_connections(message.clone()).await.unwrap();
    assert_eq!(first.stored, 5);
    let before = world.user("ann").bytes().await;
    world.restart().await;
    assert_eq!(world.user("ann").bytes().await, before);
    assert_eq!(world.user("ann").suggested().await, ["dan"]);
    assert_eq!(world.put_connections(message).await.unwrap(), first);
    let other = PutConnectionsRequest {
        request_id: "again".to_owned(),
        connections: connections(&SQUARE[..1]),
    };
    assert_eq!(reason(world.put_connections(other).await), Reason::RequestIdReused);
}

async fn ten_thousand_connections_are_one_message(world: World) {
    let names: Vec<String> = (0..10_001).map(|n| format!("p{n}x")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.agreed(&names);
    let pairs: Vec<_> = names[1..].iter().map(|other| (names[0], *other)).collect();
    let answer = world.connect(&pairs).await.unwrap();
    assert_eq!((answer.stored, answer.awaiting_consent.len()), (10_000, 0));
    world.connect(&[("p10000x", "p3x")]).await.unwrap();
    // One mutual connection is not enough, however many people it has.
    assert!(world.user("p1x").suggested().await.is_empty());
    world.disconnect(&pairs).await;
}

on_both_stores! {
    a_consent_given_anew_brings_back_nothing,
    a_connection_awaits_the_consent_of_both_its_ends,
    a_removed_connection_connects_nobody,
    nobody_knows_themselves_and_nothing_of_a_bad_message_is_stored,
    a_denial_seen_in_passing_takes_a_person_out_at_once,
    connections_sent_again_are_answered_alike_and_survive_a_restart,
    ten_thousand_connections_are_one_message,
}
