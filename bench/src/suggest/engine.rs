//! The engine alone: how long a ranking takes, and how fast connections come in meanwhile.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{RwLock, RwLockWriteGuard};
use rand::{Rng, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use suggest_svc::{
    domain::{
        Subject,
        ranking::{self, Beside},
    },
    graph::{Graph, Ordinal},
};

use crate::{
    Result,
    consent::stage::id,
    recorder::Durations,
    report::{Report, Unit},
};

/// Rankings before anything is recorded, and after.
const WARM_UP: usize = 2_000;
const RANKINGS: usize = 50_000;
/// Prospects of a ranking: what the service asks for first for a list of ten.
const FIRST: usize = 15;
/// Connections put in while rankings are made.
const CONNECTIONS: usize = 4_000_000;
/// Of them, those that are put in at once, as the service does.
const AT_ONCE: usize = 2_000;

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Times rankings of people drawn at random who know anybody, on one thread.
pub(super) fn kernel(graph: &Graph, seed: u64, report: &mut Report) -> Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let people = u32::try_from(graph.len())?;
    let tuning = suggest_svc::config::SuggestConfig::default().tuning()?;
    let mut scratch = ranking::Scratch::default();
    let (mut times, mut found) = (Durations::default(), 0);
    for number in 0..WARM_UP + RANKINGS {
        let viewer = loop {
            let person: Ordinal = rng.random_range(0..people);
            if graph.degree(person) > 0 {
                break person;
            }
        };
        let begun = Instant::now();
        let prospects =
            ranking::prospects(graph, viewer, &tuning, Beside::default(), &mut scratch, FIRST);
        if number >= WARM_UP {
            times.record(begun.elapsed());
        }
        found += prospects.best.len();
    }
    eprintln!("rankings of {people} people: {times}; {found} candidates");
    report.figure("kernel-p50-ms", milliseconds(times.quantile(0.5)), Unit::Milliseconds);
    report.figure("kernel-p99-ms", milliseconds(times.quantile(0.99)), Unit::Milliseconds);
    Ok(())
}

/// Puts connections in while another thread ranks as fast as it can.
pub(super) fn ingest(graph: Graph, seed: u64, report: &mut Report) -> Result<Graph> {
    let people = graph.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 1);
    let pairs: Vec<(Subject, Subject, bool)> = (0..CONNECTIONS)
        .map(|_| {
            let pair = index::sample(&mut rng, people, 2);
            (id(pair.index(0)).into(), id(pair.index(1)).into(), true)
        })
        .collect();
    let tuning = suggest_svc::config::SuggestConfig::default().tuning()?;
    let (graph, done) = (RwLock::new(graph), AtomicBool::new(false));
    let count = u32::try_from(people)?;
    let (took, served) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 2);
            let (mut scratch, mut times) = (ranking::Scratch::default(), Durations::default());
            while !done.load(Ordering::Relaxed) {
                let viewer = rng.random_range(0..count);
                let begun = Instant::now();
                let graph = graph.read();
                let beside = Beside::default();
                ranking::prospects(&graph, viewer, &tuning, beside, &mut scratch, FIRST);
                drop(graph);
                times.record(begun.elapsed());
            }
            times
        });
        let begun = Instant::now();
        for some in pairs.chunks(AT_ONCE) {
            let mut graph = graph.write();
            graph.change_connections(some);
            RwLockWriteGuard::unlock_fair(graph);
        }
        let took = begun.elapsed();
        done.store(true, Ordering::Relaxed);
        (took, reader.join())
    });
    let served = served.map_err(|_| "a ranking panicked")?;
    eprintln!("{CONNECTIONS} connections put in within {took:.2?}; rankings meanwhile: {served}");
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let rate = CONNECTIONS as f64 / took.as_secs_f64();
    report.figure("ingest-edges-per-second", rate, Unit::PerSecond);
    Ok(graph.into_inner())
}
