//! Twice as many calls as can be done: most of what could be done still is, soon, and the others are
//! told at once when to come again.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use proto::consent::v1::CheckRequest;
use tokio::{
    task::{JoinSet, block_in_place},
    time::{MissedTickBehavior, interval},
};
use tonic::Code;

use super::{
    load::{ADS, Load, Peer},
    world::World,
};
use crate::support::connect;

/// Calls that the gateway does at once, and those that call for as much as it can do: few, since
/// what is not optimised does not do many in a second.
const AT_ONCE: usize = 64;
const CALLERS: usize = 48;

/// Enough that none is full.
const CONNECTIONS: usize = 8;

const LENGTH: Duration = Duration::from_secs(3);

/// What is served is served within this, but for one call in a hundred.
const BOUND: Duration = Duration::from_secs(1);

/// Somebody on each connection.
async fn peers(world: &World) -> (Load, Vec<Peer>) {
    let load = Load::new(world.directory.path(), connect(world.url()).await);
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        peers.push(Peer { channel: connect(world.url()).await, ..load.app() });
    }
    (load, peers)
}

async fn check(peer: &Peer, number: usize) {
    let subject_id = format!("subject-{}", number % 100);
    let check = CheckRequest { subject_id, purpose_id: ADS.to_owned() };
    let mut client = peer.consent();
    peer.call("Check", check, |request| async move { client.check(request).await }).await;
}

/// What callers noticed of it.
struct Seen {
    per_second: f64,
    p50: Duration,
    p99: Duration,
    refused: usize,
    others: usize,
    slowest_refusal: Duration,
}

#[allow(clippy::cast_precision_loss)] // counts of calls are far below 2^53
fn seen(load: &Load, since: Instant) -> Seen {
    let mut book = load.book.lock().unwrap();
    assert!(book.wrong.is_empty(), "{:?}", &book.wrong[..book.wrong.len().min(5)]);
    let calls = std::mem::take(&mut book.calls);
    let took = |code: Option<Code>| {
        let of = calls.iter().filter(move |call| call.failed == code);
        let mut took: Vec<_> = of.map(|call| call.until - call.begun).collect();
        took.sort_unstable();
        took
    };
    let (served, refused) = (took(None), took(Some(Code::ResourceExhausted)));
    let in_time = calls.iter().filter(|call| call.failed.is_none() && call.until < since + LENGTH);
    Seen {
        per_second: in_time.count() as f64 / LENGTH.as_secs_f64(),
        p50: served[served.len() / 2],
        p99: served[served.len() * 99 / 100],
        refused: refused.len(),
        others: calls.len() - served.len() - refused.len(),
        slowest_refusal: refused.last().copied().unwrap_or_default(),
    }
}

/// As many as can be done: callers who call again as soon as they are answered.
async fn maximum(load: &Load, peers: &[Peer]) -> Seen {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let peer = peers[caller % peers.len()].clone();
        callers.spawn(async move {
            let mut number = caller;
            while begun.elapsed() < LENGTH {
                check(&peer, number).await;
                number += CALLERS;
            }
        });
    }
    callers.join_all().await;
    seen(load, begun)
}

/// So many a second, whatever becomes of them.
async fn offer(load: &Load, peers: &[Peer], per_second: f64) -> Seen {
    let peers: Arc<[Peer]> = peers.into();
    let mut calls = JoinSet::new();
    let mut ticks = interval(Duration::from_millis(5));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (begun, mut made) = (Instant::now(), 0);
    while begun.elapsed() < LENGTH {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a small count
        let due = (begun.elapsed().as_secs_f64() * per_second) as usize;
        for number in made..due {
            let peers = peers.clone();
            calls.spawn(async move { check(&peers[number % peers.len()], number).await });
        }
        made = due;
        ticks.tick().await;
    }
    calls.join_all().await;
    seen(load, begun)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_the_load_leaves_most_of_the_goodput() {
    let _alone = super::ALONE.write().await;
    let limit = ("ASSENT_GATEWAY__SERVER__MAX_CONCURRENT_REQUESTS".to_owned(), AT_ONCE.to_string());
    let world = World::start_in(1, None, &[limit]).await;
    // Away from those who call, if there is more than one core: what is measured is the servers'.
    if std::thread::available_parallelism().unwrap().get() > 1 {
        block_in_place(|| {
            for process in world.processes() {
                let mut pin = Command::new("taskset");
                let pinned = pin.args(["-apc", "1", &process.to_string()]).output().unwrap();
                assert!(pinned.status.success());
            }
        });
    }
    let (load, peers) = peers(&world).await;
    load.publish().await;
    maximum(&load, &peers).await;
    let before = maximum(&load, &peers).await;
    let twice = offer(&load, &peers, 2.0 * before.per_second).await;
    let after = maximum(&load, &peers).await;
    // This machine may have become busier, or less so.
    let most = before.per_second.min(after.per_second);
    println!(
        "RELIABILITY | twice the load | maximum {:.0} and {:.0} /s; at 2x: {:.0} /s ({:.0} %), \
         {} refused (slowest {} ms), {} others; served: p50 {} ms, p99 {} ms",
        before.per_second,
        after.per_second,
        twice.per_second,
        100.0 * twice.per_second / most,
        twice.refused,
        twice.slowest_refusal.as_millis(),
        twice.others,
        twice.p50.as_millis(),
        twice.p99.as_millis(),
    );
    assert!(twice.refused > 0, "that was not too much");
    // That it does not collapse; `bench overload` measures it, on a machine that does nothing else.
    assert!(twice.per_second >= 0.5 * most);
    assert!(twice.p99 < BOUND, "{:?}", twice.p99);
    assert_eq!((after.refused, after.others), (0, 0));
}
