//! Fences whose owners died, or seem to have: after a minute they are cleared, and no sooner.

use std::time::Duration;

use service_kit::{
    clock::{Clock, UnixMillis},
    config::Span,
    test_util::{Postgres, Redis},
};

use crate::{calls::*, harness::*, inside::*};

const NOW: &str = "(extract(epoch FROM statement_timestamp()) * 1000)::bigint";

/// Upkeep looks at fences once a second of the service's clock, and goes by the database's.
fn a_second_passes(world: &World) {
    world.clock.advance(Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_of_a_dead_writer_is_cleared_after_a_minute() {
    let world = World::on_redis().await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    world.agreed("bert", &policy).await;
    let db = world.database().await;
    let fence = format!("INSERT INTO fence VALUES ('anna', '\\x0102030405060708', {NOW} - 50000)");
    // Its columns stand in an order of their own.
    let fence = fence.replace("fence VALUES", "fence (subject_id, token, set_at) VALUES");
    assert_eq!(run(&db, &fence).await, 1);
    world.kept("bert").await;
    // While it stands, answers are right, and not kept.
    for _ in 0..20 {
        a_second_passes(&world);
        let (granted, found) = world.asked("anna").await;
        assert!(granted && found != HIT, "{found:?}");
        tokio::task::yield_now().await;
    }
    let standing = "SELECT subject_id FROM fence";
    assert_eq!(rows(&db, standing).await.len(), 1, "not before its time");
    run(&db, &format!("UPDATE fence SET set_at = {NOW} - 60001")).await;
    until("it is cleared", || async {
        a_second_passes(&world);
        rows(&db, standing).await.is_empty()
    })
    .await;
    world.kept("anna").await;
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!world.ask("anna").await.unwrap());
}

/// Somebody else's fence hinders no write either, however young it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_takes_over_the_fence_of_a_dead_writer() {
    let world = World::on_redis().await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    let db = world.database().await;
    let columns = "subject_id, token, set_at";
    run(&db, &format!("INSERT INTO fence ({columns}) VALUES ('anna', '\\x01', {NOW})")).await;
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!world.ask("anna").await.unwrap());
    world.kept("anna").await;
    assert!(rows(&db, "SELECT 1 AS one FROM fence").await.is_empty());
}

/// A writer that was only slow finds its fence gone, starts over, and is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_whose_fence_was_cleared_starts_over() {
    let redis = Redis::start();
    let clock = Clock::manual(UnixMillis::new(START));
    let url = Postgres::shared().database();
    let mut world = World::begin(url, &[redis.url()], None, clock).await;
    // Redis is going to be slow.
    world.reconfigure(|config| config.cache.timeout = Span::from_secs(10)).await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    world.kept("anna").await;
    let (keys, db) = (world.redis_keys().await, world.database().await);
    let restarts = async || world.count("consent_write_restarts_total", "cause=\"fence\"").await;
    assert_eq!(restarts().await, 0);
    let _: () = keys.run(redis::cmd("CLIENT").arg("PAUSE").arg(20_000).arg("WRITE")).await;
    let clears = async {
        until("it is cleared", || async { run(&db, "DELETE FROM fence").await == 1 }).await;
        let _: () = keys.run(redis::cmd("CLIENT").arg("UNPAUSE")).await;
    };
    let (withdrawn, ()) = tokio::join!(world.withdraw("anna", &[ADS]), clears);
    withdrawn.unwrap();
    assert!(!world.ask("anna").await.unwrap());
    assert_eq!(restarts().await, 1);
    assert!(rows(&db, "SELECT 1 AS one FROM fence").await.is_empty());
    world.kept("anna").await;
}
