//! A new version is rolled out under load, replica by replica; then a replica is lost.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    load::{DEADLINE, Load, SLACK, failures},
    world::{SERVICES, World},
};
use crate::support::connect;

/// How long calls go on between two steps.
const BETWEEN: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_every_replica_is_restarted() {
    let _shared = super::ALONE.read().await;
    let mut world = World::start(2).await;
    let load = Load::start(world.directory.path(), connect(world.url()).await).await;
    for name in SERVICES {
        let begun = Instant::now();
        for replica in 0..2 {
            sleep(BETWEEN).await;
            let World { services, cluster, .. } = &mut world;
            let service = services.iter_mut().find(|one| one.name() == name).unwrap();
            service.terminate(replica);
            service.start_again(replica, cluster);
        }
        sleep(BETWEEN).await;
        tell(&load, &format!("{name}: both replicas restarted"), begun);
    }
    assert_eq!(failed(&load), 0);
    for name in SERVICES {
        let begun = Instant::now();
        let World { services, cluster, .. } = &mut world;
        let service = services.iter_mut().find(|one| one.name() == name).unwrap();
        service.kill(0);
        sleep(BETWEEN).await;
        service.start_again(0, cluster);
        sleep(BETWEEN).await;
        tell(&load, &format!("{name}: one of two replicas killed"), begun);
    }
    let book = load.end().await;
    let slowest = book.calls.iter().map(|call| call.until - call.begun).max().unwrap();
    assert!(slowest < DEADLINE + SLACK);
    println!("RELIABILITY restarts: {} calls, nothing acknowledged was lost", book.calls.len());
}

fn failed(load: &Load) -> usize {
    load.book.lock().unwrap().calls.iter().filter(|call| call.failed.is_some()).count()
}

fn tell(load: &Load, what: &str, begun: Instant) {
    let book = load.book.lock().unwrap();
    let during: Vec<_> = book.calls.iter().filter(|call| call.until > begun).collect();
    let slowest = during.iter().map(|call| call.until - call.begun).max().unwrap();
    println!(
        "RELIABILITY | {what} | {} calls, {} | slowest {} ms",
        during.len(),
        failures(during.iter().copied()),
        slowest.as_millis(),
    );
    for call in during.iter().filter(|call| call.failed.is_some()) {
        println!("  {}: {:?} after {:?}", call.method, call.failed, call.until - call.begun);
    }
}
