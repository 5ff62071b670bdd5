//! What consent-svc tells is done here without being asked: by looking at what is stored.

use std::time::Duration;

use proto::audience::v1 as wire;

use crate::{
    consent::{ADS, TRANSFER},
    rows::{crowd_and, external, fresh},
    world::{Engine, World, on_both_stores},
};

on_both_stores!(
    whoever_withdraws_is_removed_within_a_second,
    whoever_withdraws_from_ads_alone_stays,
    whoever_is_erased_is_removed_and_that_is_acknowledged,
    a_change_of_policies_asks_about_everybody_again,
    what_the_feed_has_forgotten_is_made_up_for,
    erasures_that_the_feed_has_forgotten_are_made_up_for,
    an_erasure_is_acknowledged_when_no_key_is_left_in_the_log,
    what_was_not_heard_while_the_service_was_away_is_heard_later,
);

async fn with_ann(world: &World) -> String {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann-7")]).await;
    let audience = callers.create_audience().await;
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(callers.is_member("ann", &audience).await);
    audience
}

async fn whoever_withdraws_is_removed_within_a_second(world: World) {
    let audience = with_ann(&world).await;
    let callers = world.callers();
    world.consents.withdraw("ann", TRANSFER);
    tokio::time::timeout(Duration::from_secs(1), world.until_gone("ann")).await.unwrap();
    // Agreeing again brings nothing back: the app has to send her identifiers again.
    world.consents.grant_all("ann");
    assert!(!callers.is_member("ann", &audience).await);
    callers.upload(&audience, wire::UploadMode::Replace, crowd_and(&["ann-7"])).await;
    assert!(!callers.is_member("ann", &audience).await);
    assert!(callers.is_member("crowd-1", &audience).await);
}

async fn whoever_withdraws_from_ads_alone_stays(world: World) {
    let audience = with_ann(&world).await;
    world.consents.withdraw("ann", ADS);
    world.consents.erase("nobody");
    world.until_heard("nobody").await;
    assert!(world.is_stored("ann").await);
    world.consents.grant("ann", ADS);
    assert!(world.callers().is_member("ann", &audience).await);
}

async fn whoever_is_erased_is_removed_and_that_is_acknowledged(world: World) {
    with_ann(&world).await;
    world.consents.erase("ann");
    world.until_acknowledged("ann").await;
    assert!(!world.is_stored("ann").await);
    assert!(world.is_stored("crowd-1").await);
}

async fn a_change_of_policies_asks_about_everybody_again(world: World) {
    with_ann(&world).await;
    world.consents.change_policy("ann", TRANSFER);
    world.until_gone("ann").await;
    assert!(world.is_stored("crowd-1").await);
}

async fn what_the_feed_has_forgotten_is_made_up_for(mut world: World) {
    with_ann(&world).await;
    world.stop().await;
    world.consents.withdraw_and_purge("ann", TRANSFER);
    world.restart().await;
    world.until_gone("ann").await;
    assert!(world.is_stored("crowd-1").await);
}

async fn erasures_that_the_feed_has_forgotten_are_made_up_for(mut world: World) {
    with_ann(&world).await;
    // Of bob nothing is kept but that he has left.
    for subject in ["ann", "bob"] {
        let leave = wire::LeaveBusinessRequest {
            request_id: fresh("leave"),
            business_id: "shop".to_owned(),
        };
        world.callers().person(subject).leave_business(leave).await.unwrap();
    }
    world.stop().await;
    for subject in ["ann", "bob"] {
        world.consents.erase(subject);
    }
    world.consents.purge();
    world.restart().await;
    for subject in ["ann", "bob"] {
        world.until_acknowledged(subject).await;
        assert!(!world.is_in_store(subject).await, "{subject}");
    }
    assert!(world.is_stored("crowd-1").await);
}

async fn an_erasure_is_acknowledged_when_no_key_is_left_in_the_log(world: World) {
    with_ann(&world).await;
    world.consents.erase("ann");
    world.until_heard("ann").await;
    assert!(!world.is_stored("ann").await);
    let log = async || world.rows("SELECT 1 FROM directory_change", []).await;
    assert!(log().await > 0 && !world.is_acknowledged("ann"));
    world.until_acknowledged("ann").await;
    assert_eq!(log().await, 0);
}

async fn what_was_not_heard_while_the_service_was_away_is_heard_later(mut world: World) {
    with_ann(&world).await;
    world.stop().await;
    world.consents.withdraw("ann", TRANSFER);
    world.restart().await;
    world.until_gone("ann").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_follows_when_the_one_that_does_is_gone() {
    let mut world = World::start(Engine::Postgres).await;
    with_ann(&world).await;
    let _other = world.replica().await;
    for subject in ["ann", "crowd-2"] {
        assert!(world.is_stored(subject).await);
        world.consents.withdraw(subject, TRANSFER);
        world.until_gone(subject).await;
        // Whichever it was: the first one goes.
        world.stop().await;
    }
}
