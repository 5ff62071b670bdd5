//! The wall clock of all services steps, forwards and back, under load.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tokio::{task::block_in_place, time::sleep};

use super::{
    load::{DEADLINE, Load, SLACK, failures},
    world::World,
};
use crate::support::connect;

/// How long the clock is off.
const HELD: Duration = Duration::from_secs(3);

/// How soon all must be well again.
const SOON: Duration = Duration::from_secs(10);

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/bad_day/clock_offset.c");

/// Builds what is preloaded, with the compiler that Rust links with.
fn build(directory: &Path) -> String {
    let library = directory.join("clock_offset.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(SOURCE);
    assert!(compiler.status().unwrap().success());
    library.display().to_string()
}

fn step(offset: &Path, seconds: i64) {
    let beside = offset.with_extension("new");
    std::fs::write(&beside, seconds.to_string()).unwrap();
    std::fs::rename(beside, offset).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_steps_grants_nothing_and_loses_nothing() {
    let _shared = super::ALONE.read().await;
    let directory = tempfile::tempdir().unwrap();
    let offset = directory.path().join("offset");
    step(&offset, 0);
    let library = block_in_place(|| build(directory.path()));
    let environment = [
        ("LD_PRELOAD".to_owned(), library),
        ("CLOCK_OFFSET_FILE".to_owned(), offset.display().to_string()),
    ];
    let world = World::start_in(1, None, &environment).await;
    let load = Load::start(world.directory.path(), connect(world.url()).await).await;
    sleep(Duration::from_secs(1)).await;
    for (seconds, what) in [
        (600, "10 minutes forwards"),
        (0, "10 minutes back, to what is right"),
        (-20, "20 s back"),
        (0, "20 s forwards, to what is right"),
    ] {
        let begun = Instant::now();
        step(&offset, seconds);
        // The processes have noticed: a token that is valid for minutes is believed, or no more.
        let asking = Load::new(world.directory.path(), connect(world.url()).await);
        assert_eq!(asking.believed(Duration::from_mins(5)).await, seconds < 300);
        sleep(HELD).await;
        let calls = load.book.lock().unwrap().calls.clone();
        let during: Vec<_> = calls.iter().filter(|call| call.until > begun).collect();
        let last = during.iter().filter(|call| call.failed.is_some()).map(|call| call.until).max();
        let slowest = during.iter().map(|call| call.until - call.begun).max().unwrap();
        assert!(slowest < DEADLINE + SLACK);
        println!(
            "RELIABILITY | clock of all services: {what} | {} calls, {} | slowest {} ms | last \
             failure after {:?}",
            during.len(),
            failures(during.iter().copied()),
            slowest.as_millis(),
            last.map(|last| last - begun),
        );
    }
    let healed = Instant::now();
    let well = || {
        let calls = load.book.lock().unwrap().calls.clone();
        let mut since = calls.iter().filter(|call| call.begun > healed).peekable();
        since.peek().is_some() && since.all(|call| call.failed.is_none())
    };
    while !well() {
        assert!(healed.elapsed() < SOON);
        sleep(Duration::from_millis(50)).await;
    }
    let book = load.end().await;
    println!("RELIABILITY clock: {} calls, nothing acknowledged was lost", book.calls.len());
}
