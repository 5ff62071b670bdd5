use std::time::Duration;

use proto::{
    audience::v1 as wire,
    errors::v1::Reason,
    types::v1::{IdentifierKind, RejectionReason, StorageStatus},
};

use crate::{
    consent::{ADS, TRANSFER},
    rows::{crowd_and, email, external, fresh, person, raw, reason},
    world::{World, on_both_stores},
};

on_both_stores!(
    nobody_is_stored_before_they_agree,
    whoever_withdraws_is_removed_when_sent_again,
    identifiers_are_refused_by_index,
    later_identifiers_replace_earlier_ones,
    an_identifier_finds_whoever_verified_it_last,
    ordinals_are_given_to_nobody_else,
    a_consent_that_has_run_out_counts_for_nothing,
    whoever_agrees_again_is_new_to_lists_made_before,
    registrations_are_done_once,
    without_consent_svc_nothing_is_stored,
);

async fn shop_with_crowd(world: &World) -> String {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    callers.create_audience().await
}

async fn nobody_is_stored_before_they_agree(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    let register = || callers.register(vec![person("ann", vec![external("ann-7")])]);
    assert_eq!(register().await.unwrap()[0].status(), StorageStatus::AwaitingConsent);
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    world.consents.grant_all("ann");
    assert!(!callers.is_member("ann", &audience).await);

    assert_eq!(register().await.unwrap()[0].status(), StorageStatus::Stored);
    // The list that was matched before does not find her; the next one does.
    assert!(!callers.is_member("ann", &audience).await);
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);
}

async fn whoever_withdraws_is_removed_when_sent_again(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann-7")]).await;
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);

    world.consents.withdraw("ann", TRANSFER);
    let results = callers.register(vec![person("ann", vec![external("ann-7")])]).await.unwrap();
    assert_eq!(results[0].status(), StorageStatus::AwaitingConsent);
    world.consents.grant_all("ann");
    assert!(!callers.is_member("ann", &audience).await);
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(!callers.is_member("ann", &audience).await);
}

async fn identifiers_are_refused_by_index(world: World) {
    let callers = world.callers();
    world.consents.grant_all("ann");
    let identifiers = vec![
        email("not an address"),
        external("ann-7"),
        raw(IdentifierKind::Phone, "030 901820"),
        raw(IdentifierKind::Unspecified, "x"),
        external("line\u{b}break"),
        external(&"x".repeat(5_000)),
    ];
    let results = callers.register(vec![person("ann", identifiers)]).await.unwrap();
    assert_eq!(results[0].status(), StorageStatus::Stored);
    let refused: Vec<_> =
        results[0].rejections.iter().map(|one| (one.index, one.reason())).collect();
    assert_eq!(
        refused,
        [
            (0, RejectionReason::NotAnEmail),
            (2, RejectionReason::RegionNeeded),
            (3, RejectionReason::KindUnknown),
            (4, RejectionReason::NotAnExternalId),
            (5, RejectionReason::WrongLength),
        ]
    );
    let twice = vec![person("ann", vec![]), person("ann", vec![])];
    let refused = callers.register(twice).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::FieldsInvalid);
    assert!(refused.message().contains("registrations[1].subject_id"), "{}", refused.message());
}

async fn later_identifiers_replace_earlier_ones(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("old"), external("same")]).await;
    callers.register_one("ann", vec![external("same"), external("new")]).await;
    for (id, found) in [("old", false), ("same", true), ("new", true)] {
        callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&[id])).await;
        assert_eq!(callers.is_member("ann", &audience).await, found, "{id}");
    }
    // What is all refused changes nothing.
    let results = callers.register(vec![person("ann", vec![email("nobody")])]).await.unwrap();
    assert_eq!(results[0].rejections.len(), 1);
    assert!(callers.is_member("ann", &audience).await);
    // The list made with `new` still has her while she is registered.
    callers.register_one("ann", vec![]).await;
    assert!(!callers.is_member("ann", &audience).await);
}

async fn an_identifier_finds_whoever_verified_it_last(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    for subject in ["ann", "bob"] {
        world.consents.grant_all(subject);
        callers.register_one(subject, vec![external("number")]).await;
    }
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["number"])).await;
    assert!(!callers.is_member("ann", &audience).await);
    assert!(callers.is_member("bob", &audience).await);
}

async fn ordinals_are_given_to_nobody_else(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann-7")]).await;
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);

    callers.register_one("ann", vec![]).await;
    for subject in ["bob", "cid", "ann"] {
        world.consents.grant_all(subject);
        callers.register_one(subject, vec![external(subject)]).await;
        assert!(!callers.is_member(subject, &audience).await, "{subject}");
    }
}

async fn a_consent_that_has_run_out_counts_for_nothing(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    // Before the housekeeping comes by: it only clears away what counts for nothing already.
    let until = world.clock.now().plus(Duration::from_secs(30)).get();
    world.consents.grant_until("ann", TRANSFER, until);
    world.consents.grant("ann", ADS);
    callers.register_one("ann", vec![external("ann-7")]).await;
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    world.advance(Duration::from_millis(29_999));
    assert!(callers.is_member("ann", &audience).await);
    world.advance(Duration::from_millis(1));
    assert!(!callers.is_member("ann", &audience).await);
}

async fn whoever_agrees_again_is_new_to_lists_made_before(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    let until = world.clock.now().plus(Duration::from_secs(30)).get();
    world.consents.grant_until("ann", TRANSFER, until);
    world.consents.grant("ann", ADS);
    callers.register_one("ann", vec![external("ann-7")]).await;
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);
    world.advance(Duration::from_secs(30));

    world.consents.grant("ann", TRANSFER);
    callers.register_one("ann", vec![external("ann-7")]).await;
    assert!(!callers.is_member("ann", &audience).await);
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);
}

async fn registrations_are_done_once(world: World) {
    let callers = world.callers();
    world.consents.grant_all("ann");
    let message = wire::PutIdentifiersRequest {
        request_id: fresh("reg"),
        verified: true,
        registrations: vec![person("ann", vec![external("ann-7"), email("?")])],
    };
    let both = [message.clone(), message.clone()];
    let mut answers =
        callers.app().put_identifiers(tokio_stream::iter(both)).await.unwrap().into_inner();
    let first = answers.message().await.unwrap().unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), first);
    assert_eq!(first.request_id, message.request_id);

    let mut other = message;
    other.registrations[0].identifiers.pop();
    let mut answers =
        callers.app().put_identifiers(tokio_stream::iter([other])).await.unwrap().into_inner();
    let refused = answers.message().await.unwrap_err();
    assert_eq!(reason(&refused), Reason::RequestIdReused);
}

async fn without_consent_svc_nothing_is_stored(world: World) {
    let audience = shop_with_crowd(&world).await;
    let callers = world.callers();
    world.consents.grant_all("ann");
    world.consents.set_down(true);
    let refused = callers.register(vec![person("ann", vec![external("ann-7")])]).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::DependencyUnavailable);
    world.consents.set_down(false);
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(!callers.is_member("ann", &audience).await);
}
