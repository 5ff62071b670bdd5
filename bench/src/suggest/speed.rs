//! `bench suggest speed`: the engine alone, and the service as its callers have it.

use std::{path::PathBuf, process, time::Instant};

use clap::{Args, ValueEnum};

use super::{
    engine, lists,
    people::{People, Synthetic},
    stage::Stage,
};
use crate::{
    Result, machine,
    report::{Report, Unit},
    required::{
        Bound::{self, AtLeast, AtMost},
        table,
    },
};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Rankings on one thread, and memory
    Kernel,
    /// Connections into the engine while it ranks
    Ingest,
    /// The service: connections stored, lists, and how soon one shows in the other
    Service,
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Who knows whom: a line for each pair
    #[arg(long, conflicts_with = "synthetic")]
    edges: Option<PathBuf>,
    /// People and how many connections each has on average, drawn with a power law
    #[arg(long, value_name = "USERS,DEGREE", default_value = "68000,79")]
    synthetic: Synthetic,
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kernel,ingest,service")]
    only: Vec<Part>,
    /// How long lists are measured, each time
    #[arg(long, default_value_t = 15.0, value_parser = crate::positive)]
    seconds: f64,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What the figures must reach.
const REQUIRED: [(&str, Bound); 7] = [
    ("kernel-p50-ms", AtMost(0.08)),
    ("kernel-p99-ms", AtMost(0.3)),
    ("ingest-edges-per-second", AtLeast(1_000_000.0)),
    ("durable-edges-per-second", AtLeast(50_000.0)),
    ("lists-per-second", AtLeast(2_500.0)),
    ("lists-p99-ms", AtMost(8.0)),
    ("edge-visible-p99-ms", AtMost(1_000.0)),
];

/// Measures and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    let mut report = Report::default();
    let wants = |part| options.only.contains(&part);
    let people = || match &options.edges {
        Some(path) => People::read(path),
        None => Ok(People::draw(options.synthetic, options.seed)),
    };
    if wants(Part::Kernel) || wants(Part::Ingest) {
        let begun = Instant::now();
        let people = people()?;
        eprintln!(
            "{} people, {} entries in {:.0?}",
            people.len(),
            people.entries(),
            begun.elapsed()
        );
        let mut graph = people.graph();
        eprintln!("the graph: {} MB, built in {:.0?}", graph.bytes() >> 20, begun.elapsed());
        if wants(Part::Kernel) {
            engine::kernel(&graph, options.seed, &mut report)?;
            resident(process::id(), "engine-resident-mb", &mut report)?;
        }
        if wants(Part::Ingest) {
            graph = engine::ingest(graph, options.seed, &mut report)?;
        }
        drop(graph);
    }
    if wants(Part::Service) {
        service(options, &people()?, &mut report).await?;
    }
    eprint!("{}", table(&report, &REQUIRED));
    Ok(report)
}

async fn service(options: &Options, people: &People, report: &mut Report) -> Result<()> {
    let stage = Stage::new(people.len() + lists::STRANGERS).await?;
    let pairs: Vec<(usize, usize)> = shuffled(people, options.seed);
    let begun = Instant::now();
    stage.connect(&pairs).await?;
    let took = begun.elapsed();
    eprintln!("{} connections stored in {took:.1?}", pairs.len());
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let rate = pairs.len() as f64 / took.as_secs_f64();
    report.figure("durable-edges-per-second", rate, Unit::PerSecond);
    lists::measure(&stage, people, options.seconds, options.seed, report).await?;
    lists::visible(&stage, people.len(), report).await?;
    resident(stage.service.id(), "resident-mb", report)
}

/// All connections, in an order that is nobody's.
fn shuffled(people: &People, seed: u64) -> Vec<(usize, usize)> {
    use rand::{SeedableRng, seq::SliceRandom};
    let mut pairs: Vec<(usize, usize)> = people.pairs().collect();
    pairs.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
    pairs
}

#[allow(clippy::cast_precision_loss)] // far below 2^53
fn resident(process: u32, name: &'static str, report: &mut Report) -> Result<()> {
    let bytes = machine::memory(process)?;
    report.figure(name, bytes as f64 / 1e6, Unit::Megabytes);
    Ok(())
}
