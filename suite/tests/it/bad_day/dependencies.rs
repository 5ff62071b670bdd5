//! Everything that a call depends on is killed, stands still and is slow, in turn.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::{task::block_in_place, time::sleep};

use super::{
    load::{DEADLINE, Load, SLACK, failures},
    world::{SERVICES, World, signal_family, slow},
};
use crate::support::connect;

/// How long a fault lasts.
const HELD: Duration = Duration::from_secs(3);

/// How much later each answer of something slow comes.
const LATER: Duration = Duration::from_millis(100);

/// After this long without a failure all is well again.
const QUIET: Duration = Duration::from_secs(1);

/// How soon all must be well again: this machine may be busy.
const SOON: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Paused,
    Slow,
}

const FAULTS: [Fault; 3] = [Fault::Killed, Fault::Paused, Fault::Slow];

async fn inflict(world: &mut World, what: &str, fault: Fault) {
    let World { postgres, redis, database, cache, services, cluster, .. } = world;
    match (what, fault) {
        ("PostgreSQL", Fault::Killed) => {
            block_in_place(|| postgres.kill());
            sleep(HELD).await;
            block_in_place(|| postgres.restart());
        }
        ("PostgreSQL", Fault::Paused) => {
            signal_family("STOP", postgres.pid());
            sleep(HELD).await;
            signal_family("CONT", postgres.pid());
        }
        ("Redis", Fault::Killed) => {
            block_in_place(|| redis.kill());
            sleep(HELD).await;
            block_in_place(|| redis.restart());
        }
        ("Redis", Fault::Paused) => {
            signal_family("STOP", redis.pid());
            sleep(HELD).await;
            signal_family("CONT", redis.pid());
        }
        ("PostgreSQL" | "Redis", Fault::Slow) => {
            let link = if what == "Redis" { cache } else { database };
            slow(link, LATER);
            sleep(HELD).await;
            link.heal();
        }
        (service, fault) => {
            let at = SERVICES.iter().position(|name| *name == service).unwrap();
            let service = &mut services[at];
            match fault {
                Fault::Killed => {
                    service.kill(0);
                    sleep(HELD).await;
                    service.start_again(0, cluster);
                }
                Fault::Paused => {
                    service.signal("STOP");
                    sleep(HELD).await;
                    service.signal("CONT");
                }
                Fault::Slow => {
                    service.slow(LATER);
                    sleep(HELD).await;
                    service.heal();
                }
            }
        }
    }
}

/// Returns when all kinds of calls succeed and none has failed for a while: when the last failure
/// ended.
async fn well_again(load: &Load, healed: Instant, what: &str) -> Duration {
    loop {
        sleep(Duration::from_millis(50)).await;
        let now = Instant::now();
        let calls = load.book.lock().unwrap().calls.clone();
        let failed = calls.iter().filter(|call| call.failed.is_some()).map(|call| call.until);
        let last = failed.max().map_or(healed, |last| last.max(healed));
        let mut done: BTreeMap<_, bool> = BTreeMap::new();
        for call in &*calls {
            *done.entry(call.method).or_default() |= call.begun > last && call.failed.is_none();
        }
        if now - last > QUIET && done.values().all(|done| *done) {
            return last - healed;
        }
        let (_, waiting): (Vec<_>, Vec<_>) = done.iter().partition(|(_, done)| **done);
        assert!(now - healed < SOON, "{what}: {:?} ago, {waiting:?}", now - healed);
    }
}

async fn in_turn(whats: &[&str]) {
    let mut world = World::start(1).await;
    let load = Load::start(world.directory.path(), connect(world.url()).await).await;
    let mut rows = Vec::new();
    well_again(&load, Instant::now(), "before anything happened").await;
    for what in whats {
        for fault in FAULTS {
            let begun = Instant::now();
            inflict(&mut world, what, fault).await;
            let healed = Instant::now();
            let name = format!("{what} {}", format!("{fault:?}").to_lowercase());
            let again = well_again(&load, healed, &name).await;
            let calls = load.book.lock().unwrap().calls.clone();
            let during: Vec<_> = calls.iter().filter(|call| call.until > begun).collect();
            let took = during.iter().map(|call| call.until - call.begun).max().unwrap();
            assert!(took < DEADLINE + SLACK, "{name}: a call took {took:?}");
            let failed = during.iter().filter(|call| call.failed.is_some());
            let mut methods: Vec<_> = failed.map(|call| call.method).collect();
            methods.sort_unstable();
            methods.dedup();
            rows.push(format!(
                "RELIABILITY | {name} | {} calls, {} | {methods:?} | slowest {} ms | well after \
                 {} ms",
                during.len(),
                failures(during.iter().copied()),
                took.as_millis(),
                again.as_millis(),
            ));
            println!("{}", rows.last().unwrap());
        }
    }
    let book = load.end().await;
    println!("RELIABILITY {whats:?}: {} calls, nothing acknowledged was lost", book.calls.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_fail_and_nothing_acknowledged_is_lost() {
    let _shared = super::ALONE.read().await;
    in_turn(&["PostgreSQL", "Redis"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_fail_and_nothing_acknowledged_is_lost() {
    let _shared = super::ALONE.read().await;
    in_turn(&SERVICES).await;
}
