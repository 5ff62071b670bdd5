//! What the cache counts: each count moves when that of which it tells happens, and by as much.

use std::time::{Duration, Instant};

use proto::consent::v1::PolicyRef;
use service_kit::{
    clock::{Clock, UnixMillis},
    config::Span,
    test_util::{Postgres, Redis},
};

use crate::{calls::*, harness::*, inside::*};

const FILLS: &str = "consent_cache_fills_total";
const FENCES: &str = "consent_fences_total";
const RESTARTS: &str = "consent_write_restarts_total";
const GENERATIONS: &str = "consent_cache_generations_total";
const LEASE_AGE: &str = "consent_lease_age_seconds";

/// A lease that does not run out while a test looks at something.
const LONG: Span = Span::from_secs(10);

/// A policy with consents of ten days, to which two have agreed.
async fn agreed(world: &World) -> PolicyRef {
    let mut spec = opt_out();
    for purpose in &mut spec.purposes {
        purpose.consent_lifetime = Some(days(10));
    }
    let policy = world.announce("sharing", spec).await;
    for id in ["anna", "bert"] {
        world.agreed(id, &policy).await;
    }
    policy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_by_what_they_found_and_fills() {
    let mut world = World::on_redis().await;
    agreed(&world).await;
    world.kept("anna").await;
    world.reconfigure(|config| config.cache.lease = LONG).await;
    // Not before it has read the rows.
    world.kept("anna").await;
    let stored = world.count(FILLS, "stored").await;
    assert_eq!(world.asked("bert").await, (true, MISS));
    until("it is stored", || async { world.count(FILLS, "stored").await == stored + 1 }).await;
    for _ in 0..3 {
        assert_eq!(world.asked("bert").await, (true, HIT));
    }
    assert_eq!(world.asked("nobody").await, (false, MISS));
    assert_eq!(world.count(FILLS, "stored").await, stored + 1, "strangers are not kept");
    world.advance_to(START + 10 * DAY);
    assert_eq!(world.asked("bert").await, (false, EXPIRED));
    until("it is stored", || async { world.count(FILLS, "stored").await == stored + 2 }).await;
    assert_eq!(world.asked("bert").await, (false, HIT));
    assert_eq!(world.count(FILLS, "discarded").await, 0);
}

/// As docs/redis.md says what to do when something is wrong: it stays closed until it is opened by
/// hand, whatever else happens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_while_the_cache_is_closed_by_hand() {
    let world = World::on_redis().await;
    agreed(&world).await;
    world.kept("anna").await;
    let db = world.database().await;
    let close = "UPDATE cache_primary SET open = 0, held_until = 9e15";
    assert_eq!(run(&db, close).await, 1);
    until("it is closed", || async { world.asked("anna").await.1 == UNUSABLE }).await;
    stays_unused(&world).await;
    world.withdraw("bert", &[ADS]).await.unwrap();
    stays_unused(&world).await;
    // Publishing opens a new generation otherwise.
    let other = world.announce("other", opt_out()).await;
    world.retire(other).await.unwrap();
    stays_unused(&world).await;
    run(&db, "UPDATE cache_primary SET held_until = 0").await;
    world.kept("anna").await;
}

/// For longer than it would take to open it.
async fn stays_unused(world: &World) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(400) {
        assert_eq!(world.asked("anna").await.1, UNUSABLE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_of_those_whose_answers_change() {
    let world = World::on_redis().await;
    agreed(&world).await;
    let fences = world.count(FENCES, "").await;
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert_eq!(world.count(FENCES, "").await, fences + 1);
    world.link(&["anna", "bert"]).await.unwrap();
    assert_eq!(world.count(FENCES, "").await, fences + 3);
    world.object("bert", true).await;
    assert_eq!(world.count(FENCES, "").await, fences + 5, "who is linked, too");
    assert_eq!(world.count(RESTARTS, "").await, 0);
}

/// A reader announces its fill; before it has read the database, what it announced is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fill_that_comes_too_late_is_discarded() {
    let world = World::on_redis().await;
    agreed(&world).await;
    world.kept("anna").await;
    let (keys, db) = (world.redis_keys().await, world.database().await);
    let discarded = world.count(FILLS, "discarded").await;
    let lock = locked(&db, "subject").await;
    let forgets = async {
        until("a fill is announced", || async {
            keys.entry("bert").await.is_some_and(|(_, value)| value.starts_with(b"n"))
        })
        .await;
        let (key, _) = keys.entry("bert").await.unwrap();
        assert_eq!(keys.run::<u64>(redis::cmd("DEL").arg(key)).await, 1);
        lock.rollback().await.unwrap();
    };
    let (granted, ()) = tokio::join!(world.ask("bert"), forgets);
    assert!(granted.unwrap());
    let late = || async { world.count(FILLS, "discarded").await == discarded + 1 };
    until("it is discarded", late).await;
    assert_eq!(keys.entry("bert").await, None);
    world.kept("bert").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_and_restarts_when_redis_ends_and_is_back() {
    let redis = Redis::start();
    let clock = Clock::manual(UnixMillis::new(START));
    let url = Postgres::shared().database();
    let mut world = World::begin(url, &[redis.url()], None, clock).await;
    world.reconfigure(|config| config.cache.reopen_after = Span::from_millis(300)).await;
    let db = world.database().await;
    let open = "SELECT number FROM cache_primary WHERE open = 1";
    until("it is open", || async { rows(&db, open).await.len() == 1 }).await;
    let [opened, closed] = generations(&world).await;
    agreed(&world).await;
    // Publishing closes it, and opens it again.
    until("it is open", || async { generations(&world).await == [opened + 1, closed + 1] }).await;
    world.kept("anna").await;
    assert_eq!(world.count(RESTARTS, "").await, 0);
    redis.kill();
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert_eq!(world.count(RESTARTS, "cause=\"cache\"").await, 1);
    assert_eq!(generations(&world).await, [opened + 1, closed + 2]);
    assert_eq!(world.asked("anna").await, (false, UNUSABLE));
    // It is closed already.
    world.withdraw("bert", &[ADS]).await.unwrap();
    assert_eq!(world.count(RESTARTS, "cause=\"cache\"").await, 1);
    redis.restart();
    world.kept("anna").await;
    assert_eq!(generations(&world).await, [opened + 2, closed + 2]);
    assert_eq!(world.count(RESTARTS, "cause=\"fence\"").await, 0);
}

async fn generations(world: &World) -> [u64; 2] {
    [world.count(GENERATIONS, "opened").await, world.count(GENERATIONS, "closed").await]
}

/// While the rows cannot be read leases get old, and nobody uses them any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_age_of_the_oldest_lease() {
    let world = World::on_redis().await;
    agreed(&world).await;
    world.kept("anna").await;
    let age = || async { world.metric(LEASE_AGE, "").await.unwrap() };
    until("it is young", || async { age().await < 0.2 }).await;
    let db = world.database().await;
    let lock = locked(&db, "cache_primary").await;
    until("it is old", || async { age().await > 0.7 }).await;
    assert_eq!(world.asked("anna").await, (true, UNUSABLE));
    lock.rollback().await.unwrap();
    until("it is young again", || async { age().await < 0.2 }).await;
    world.kept("anna").await;
}
