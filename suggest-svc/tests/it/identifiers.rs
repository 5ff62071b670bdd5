//! Registering by what people are found.

use proto::{
    errors::v1::Reason,
    suggest::v1::{Discoverability, PutIdentifiersRequest},
    types::v1::{Identifier, IdentifierKind, RejectionReason, StorageStatus, identifier::Value},
};
use service_kit::grpc::request_digest;
use sha2::{Digest, Sha256};

use crate::{
    on_both_stores,
    world::{TRANSFER, USE, World, bad_fields, reason, registration},
};

async fn nobody_is_stored_without_consent_to_the_transfer(world: World) {
    world.people(&["ann"]).await;
    world.grants.grant(USE, "bob");
    let answer = world.register(vec![registration("bob", &["bob"])]).await.unwrap();
    assert_eq!(answer.results[0].status(), StorageStatus::AwaitingConsent);
    world.user("bob").settings(Discoverability::Everyone, true).await;
    world.user("ann").uploads(&["bob"]).await;
    assert!(world.user("ann").suggested().await.is_empty());
    // Consent alone brings nobody in: the app has to send them again.
    world.grants.grant(TRANSFER, "bob");
    world.user("ann").uploads(&["bob"]).await;
    assert!(world.user("ann").suggested().await.is_empty());
    let answer = world.register(vec![registration("bob", &["bob"])]).await.unwrap();
    assert_eq!(answer.results[0].status(), StorageStatus::Stored);
    world.user("ann").uploads(&["bob"]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob"]);
}

async fn a_consent_past_its_end_counts_for_nothing(world: World) {
    world.people(&["ann", "bob"]).await;
    let end = world.clock.now().get() + 1_000;
    world.grants.grant_until(TRANSFER, "bob", end);
    world.register(vec![registration("bob", &["bob"])]).await.unwrap();
    world.user("bob").settings(Discoverability::Everyone, true).await;
    world.user("ann").uploads(&["bob"]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob"]);
    world.clock.advance(std::time::Duration::from_secs(1));
    assert!(world.user("ann").suggested().await.is_empty());
}

async fn identifiers_are_replaced_and_a_number_given_up_finds_nobody(world: World) {
    world.people(&["ann", "bob", "cec"]).await;
    for person in ["bob", "cec"] {
        world.user(person).settings(Discoverability::Everyone, true).await;
    }
    world.user("ann").uploads(&["bob", "new"]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob"]);
    world.register(vec![registration("bob", &["new"])]).await.unwrap();
    assert!(world.user("ann").suggested().await.is_empty(), "bob was not 'new' at the sync");
    // The address is somebody else's now; ann meant bob.
    world.register(vec![registration("cec", &["bob"])]).await.unwrap();
    assert!(world.user("ann").suggested().await.is_empty());
    world.user("ann").uploads(&["bob", "new"]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob", "cec"]);
}

async fn what_is_refused_is_named_and_the_rest_counts(world: World) {
    world.people(&["ann"]).await;
    world.agreed(&["bob"]);
    let mut bob = registration("bob", &["bob"]);
    let bad = Value::Raw("not an address".to_owned());
    bob.identifiers.insert(0, Identifier { kind: IdentifierKind::Email.into(), value: Some(bad) });
    let answer = world.register(vec![bob]).await.unwrap();
    let rejections = &answer.results[0].rejections;
    assert_eq!((rejections.len(), rejections[0].index), (1, 0));
    assert_eq!(rejections[0].reason(), RejectionReason::NotAnEmail);
    assert_eq!(answer.results[0].status(), StorageStatus::Stored);
    world.user("bob").settings(Discoverability::Everyone, true).await;
    world.user("ann").uploads(&["bob"]).await;
    assert_eq!(world.user("ann").suggested().await, ["bob"]);
}

async fn bad_registrations_are_refused_whole_and_every_bad_field_is_named(world: World) {
    world.agreed(&["ann"]);
    let mut odd = registration("ann", &["ann"]);
    "ZZ".clone_into(&mut odd.default_region);
    let message = PutIdentifiersRequest {
        request_id: "r".to_owned(),
        verified: false,
        registrations: vec![registration("ann", &["ann"]), odd],
    };
    let refused = bad_fields(world.put_identifiers(message).await);
    let expected = ["verified", "registrations[1].subject_id", "registrations[1].default_region"];
    assert_eq!(refused, expected);
    let message = PutIdentifiersRequest {
        request_id: "r".to_owned(),
        verified: true,
        registrations: vec![registration("ann", &["ann"]), registration("ann", &["eve"])],
    };
    assert_eq!(bad_fields(world.put_identifiers(message).await), ["registrations[1].subject_id"]);
}

async fn a_request_sent_again_gets_the_same_answer_and_other_content_is_refused(world: World) {
    world.agreed(&["ann"]);
    let message = |found_by: &[&str]| PutIdentifiersRequest {
        request_id: "again".to_owned(),
        verified: true,
        registrations: vec![registration("ann", found_by), registration("bob", &["bob"])],
    };
    let first = world.put_identifiers(message(&["ann"])).await.unwrap();
    world.agreed(&["bob"]);
    assert_eq!(world.put_identifiers(message(&["ann"])).await.unwrap(), first);
    assert_eq!(reason(world.put_identifiers(message(&["eve"])).await), Reason::RequestIdReused);
}

async fn a_number_cannot_be_tried_against_a_stolen_store(world: World) {
    world.agreed(&["ann"]);
    let message = PutIdentifiersRequest {
        request_id: "r".to_owned(),
        verified: true,
        registrations: vec![registration("ann", &["ann"])],
    };
    world.put_identifiers(message.clone()).await.unwrap();
    let ann = world.user("ann");
    let sync = ann.full(&["ann"]);
    ann.sync(vec![sync.clone()]).await.unwrap();
    let stolen = world.stolen_digests().await;
    assert_eq!(stolen.len(), 2);
    let synced = request_digest(&sync);
    let tried = [request_digest(&message), synced, Sha256::digest(synced).into()];
    assert!(tried.iter().all(|tried| !stolen.contains(&tried.to_vec())));
}

on_both_stores! {
    a_number_cannot_be_tried_against_a_stolen_store,
    nobody_is_stored_without_consent_to_the_transfer,
    a_consent_past_its_end_counts_for_nothing,
    identifiers_are_replaced_and_a_number_given_up_finds_nobody,
    what_is_refused_is_named_and_the_rest_counts,
    bad_registrations_are_refused_whole_and_every_bad_field_is_named,
    a_request_sent_again_gets_the_same_answer_and_other_content_is_refused,
}
