use std::time::Duration;

use proto::audience::v1::UploadMode;

use crate::{
    rows::{batch, crowd, crowd_and, external},
    world::{Callers, Engine, World, on_both_stores},
};

on_both_stores!(a_restart_keeps_what_was_acknowledged);

async fn a_restart_keeps_what_was_acknowledged(mut world: World) {
    let callers = world.callers();
    callers.open_business("shop").await;
    callers.gather_crowd().await;
    let audience = callers.create_audience().await;
    let upload = callers.open_upload(&audience, UploadMode::Add).await;
    callers.append(vec![batch(&upload, 0, crowd_and(&["ann"]))]).await.unwrap();
    world.consents.grant_all("ann");
    callers.register_one("ann", vec![external("ann")]).await;
    world.restart().await;

    let callers = world.callers();
    // The first batch is there, and its rows were matched when it came.
    callers.append(vec![batch(&upload, 1, vec![external("bob")])]).await.unwrap();
    callers.commit(&upload, 2).await.unwrap();
    assert!(callers.is_member("crowd-999", &audience).await);
    assert!(!callers.is_member("ann", &audience).await);
    // The index is there again.
    callers.upload(&audience, UploadMode::Replace, crowd_and(&["ann"])).await;
    assert!(callers.is_member("ann", &audience).await);
}

/// Wherever it is looked up, within a second.
async fn soon_a_member(callers: &Callers<'_>, subject: &str, audience: &str) {
    let agree = async {
        while !callers.is_member(subject, audience).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), agree).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_one_database_agree() {
    let world = World::start(Engine::Postgres).await;
    let other = world.replica().await;
    let (here, there) = (world.callers(), world.at(&other));
    here.open_business("shop").await;
    here.gather_crowd().await;
    let audience = here.create_audience().await;
    // Whoever was registered at one is found by uploads to the other.
    there.upload(&audience, UploadMode::Add, crowd()).await;
    for callers in [&here, &there] {
        soon_a_member(callers, "crowd-1", &audience).await;
    }

    // Batches may go to either; identifiers that moved are found where they are now.
    world.consents.grant_all("ann");
    there.register_one("ann", vec![external("crowd-1"), external("ann")]).await;
    let upload = there.open_upload(&audience, UploadMode::Replace).await;
    here.append(vec![batch(&upload, 1, crowd())]).await.unwrap();
    there.append(vec![batch(&upload, 0, vec![external("ann")])]).await.unwrap();
    here.commit(&upload, 2).await.unwrap();
    for callers in [&here, &there] {
        soon_a_member(callers, "ann", &audience).await;
        assert!(!callers.is_member("crowd-1", &audience).await);
    }
    // Ordinals come from one counter.
    world.consents.grant_all("bob");
    here.register_one("bob", vec![external("bob")]).await;
    assert!(!there.is_member("bob", &audience).await);
}
