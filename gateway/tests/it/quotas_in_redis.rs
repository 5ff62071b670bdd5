//! Quotas that replicas count together, and what becomes of them without Redis.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use gateway::Rate;
use redis::aio::MultiplexedConnection;
use service_kit::{
    auth::Caller,
    config::{Secret, Span},
    test_util::Redis,
};

use crate::{
    quotas::{checked, told_to_wait},
    world::{PATIENCE, World, user},
};

/// How many calls a person may make, here: none come back while a test runs.
const BURST: u32 = 10;

/// A gateway of two that count together.
async fn replica(url: &str) -> World {
    patient_replica(url, Span::from_secs(1)).await
}

async fn patient_replica(url: &str, redis_timeout: Span) -> World {
    let world = World::start_with(|config| {
        let quota = &mut config.service.quota;
        quota.redis_url = Secret::new(url);
        quota.redis_timeout = redis_timeout;
        quota.replicas = 2;
        quota.user.check = Rate { rate: 0.001, burst: BURST };
    })
    .await;
    until_redis_counts(&world, true).await;
    world
}

/// What the gateway says of a metric without labels of its own.
async fn metric(world: &World, name: &str) -> f64 {
    let page = world.metrics().await;
    let line = page.lines().find(|line| line.split('{').next() == Some(name));
    line.and_then(|line| line.rsplit(' ').next()).map_or(0.0, |value| value.parse().unwrap())
}

async fn until_redis_counts(world: &World, up: bool) {
    let wanted = f64::from(u8::from(up));
    let waiting = async {
        while (metric(world, "gateway_quota_redis_up").await - wanted).abs() > 0.5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("Redis was never up, or down");
}

/// How many calls pass, one after the other at each gateway in turn, until all refuse.
async fn passed(worlds: &[&World], caller: &Caller) -> u32 {
    let mut passed = 0;
    loop {
        let before = passed;
        for world in worlds {
            match checked(world, caller).await {
                Ok(()) => passed += 1,
                Err(refused) => assert!(told_to_wait(&refused) > Duration::from_mins(10)),
            }
        }
        assert!(passed <= 10 * BURST, "there is no limit");
        if passed == before {
            return passed;
        }
    }
}

async fn connection(redis: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn two_gateways_on_one_redis_share_a_quota() {
    let url = Redis::shared().database();
    let (one, other) = (replica(&url).await, replica(&url).await);
    assert_eq!(passed(&[&one, &other], &user()).await, BURST);
    assert_eq!(passed(&[&other], &Caller::user("bob")).await, BURST);
    assert_eq!(passed(&[&one], &Caller::user("bob")).await, 0);
    for world in [&one, &other] {
        assert!(metric(world, "gateway_quota_by_share_total").await.abs() < 0.5);
    }
}

#[tokio::test]
async fn waiting_as_redis_told_is_enough() {
    let url = Redis::shared().database();
    let world = World::start_with(|config| {
        config.service.quota.redis_url = Secret::new(url);
        config.service.quota.user.check = Rate { rate: 4.0, burst: 1 };
    })
    .await;
    until_redis_counts(&world, true).await;
    checked(&world, &user()).await.unwrap();
    let wait = told_to_wait(&checked(&world, &user()).await.unwrap_err());
    assert!(wait <= Duration::from_millis(250), "{wait:?}");
    tokio::time::sleep(wait).await;
    checked(&world, &user()).await.unwrap();
}

#[tokio::test]
async fn redis_ends_and_comes_back() {
    let redis = Redis::start();
    let (one, other) = (replica(&redis.url()).await, replica(&redis.url()).await);
    for round in 0..2 {
        // A person who has not called yet, so that nothing is left of what came before.
        let caller = Caller::user(&format!("caller-{round}"));
        redis.kill();
        assert_eq!(passed(&[&one], &caller).await, BURST / 2, "a replica's own share");
        assert_eq!(passed(&[&other], &caller).await, BURST / 2);
        assert!(metric(&one, "gateway_quota_by_share_total").await > 4.5);
        redis.restart();
        for world in [&one, &other] {
            until_redis_counts(world, true).await;
        }
        // It has forgotten everything, and what the replicas counted is their own.
        assert_eq!(passed(&[&one, &other], &caller).await, BURST);
    }
}

/// Sends the server a signal.
fn signal(redis: &Redis, name: &str) {
    let sent = Command::new("kill").args([name, &redis.pid().to_string()]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn redis_stands_still_and_goes_on() {
    let redis = Redis::start();
    let world = replica(&redis.url()).await;
    signal(&redis, "-STOP");
    let begun = Instant::now();
    assert_eq!(passed(&[&world], &user()).await, BURST / 2);
    for _ in 0..100 {
        told_to_wait(&checked(&world, &user()).await.unwrap_err());
    }
    // One call waited for it, and not each.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    until_redis_counts(&world, false).await;
    signal(&redis, "-CONT");
    until_redis_counts(&world, true).await;
    assert_eq!(passed(&[&world], &Caller::user("bob")).await, BURST);
}

#[tokio::test]
async fn nobodys_deadline_is_lost_by_waiting_for_redis() {
    let redis = Redis::start();
    // Longer than the deadline of a check.
    let world = patient_replica(&redis.url(), Span::from_secs(4)).await;
    signal(&redis, "-STOP");
    assert_eq!(passed(&[&world], &user()).await, BURST / 2);
    // None of these has waited for as long as Redis may take: it is noticed all the same.
    until_redis_counts(&world, false).await;
    signal(&redis, "-CONT");
    until_redis_counts(&world, true).await;
}

#[tokio::test]
async fn a_restart_that_nobody_noticed_and_flushed_scripts() {
    let redis = Redis::start();
    let world = replica(&redis.url()).await;
    checked(&world, &user()).await.unwrap();
    let flushed =
        redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut connection(&redis).await).await;
    let () = flushed.unwrap();
    // Redis still knows of the first.
    assert_eq!(passed(&[&world], &user()).await, BURST - 1);
    assert!(metric(&world, "gateway_quota_by_share_total").await.abs() < 0.5);

    redis.restart();
    for _ in 0..BURST / 2 {
        checked(&world, &Caller::user("bob")).await.unwrap();
    }
    until_redis_counts(&world, true).await;
    assert_eq!(passed(&[&world], &Caller::user("carl")).await, BURST);
}

#[tokio::test]
async fn what_stands_in_redis_names_nobody_goes_by_itself_and_needs_few_rights() {
    let redis = Redis::start();
    let mut connection = connection(&redis).await;
    // As docs/quotas.md has it.
    let rights = "on >secret +script|load +evalsha +eval +time +get +set ~quota:*";
    let mut limited = redis::cmd("ACL");
    limited.arg("SETUSER").arg("gateway").arg(rights.split(' ').collect::<Vec<_>>());
    limited.query_async::<()>(&mut connection).await.unwrap();
    let world = replica(&redis.url().replace("//", "//gateway:secret@")).await;
    checked(&world, &user()).await.unwrap();
    let keys: Vec<Vec<u8>> =
        redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let calls: Vec<_> = keys.into_iter().filter(|key| key != b"quota:probe").collect();
    assert_eq!(calls.len(), 1);
    assert!(calls[0].starts_with(b"quota:") && !calls[0].windows(4).any(|part| part == b"anna"));
    let expiry = redis::cmd("PTTL").arg(&calls[0]).query_async(&mut connection).await;
    let left: u64 = expiry.unwrap();
    // One call at 0.001 a second.
    assert!((900_000..=1_000_000).contains(&left), "{left}");
}
