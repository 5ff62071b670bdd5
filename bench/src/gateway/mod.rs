//! `bench gateway`: what the gateway costs, against the service behind it and against nginx in
//! the same place, with the same client, in one run.

mod idle;
mod kill;
mod nginx;
mod required;
mod sink;
pub(crate) mod stage;
mod unary;
mod upload;

use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Result, machine, report::Report, required::table, schedule::Arrivals};
pub use sink::{Sink, SinkConfig};
use stage::Stage;
use unary::Places;

/// How often each side has its turn.
const ROUNDS: u64 = 5;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Single calls: how many a second, and what is added to their latency
    Unary,
    /// Streams of batches to audience-svc
    Upload,
    /// Streams of batches to a service that only reads
    Sink,
    /// Connections on which nothing happens
    Idle,
    /// One of two replicas is killed
    Kill,
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::value_variants().to_vec())]
    pub only: Vec<Part>,
    /// How long each side is measured for throughput, and again for latency
    #[arg(long, default_value_t = 10.0, value_parser = crate::positive)]
    pub seconds: f64,
    /// Calls a second while latency is measured [default: half of the gateway's own maximum]
    #[arg(long, value_parser = crate::positive)]
    pub rate: Option<f64>,
    /// Connections to each side
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Callers at the same time while throughput is measured
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub concurrency: u64,
    /// How calls arrive while latency is measured
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub arrivals: Arrivals,
    /// How many people there are in the directory of audience-svc
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(10_000..100_000_000))]
    pub people: u32,
    /// How many rows a list has
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: usize,
    /// How many connections are idle; with fewer than 10,000 the figure does not count
    #[arg(long, default_value_t = idle::CONNECTIONS, value_parser = some_connections)]
    pub idle: usize,
    /// How often a replica is killed
    #[arg(long, default_value_t = 6)]
    pub kills: u32,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// One turn: how long it is measured, and how long before that it warms up.
    fn turn(&self) -> Result<(Duration, Duration)> {
        #[allow(clippy::cast_precision_loss)] // a handful of rounds
        let measured = Duration::try_from_secs_f64(self.seconds / ROUNDS as f64)?;
        Ok((measured, measured / 4))
    }

    fn wants(&self, part: Part) -> bool {
        self.only.contains(&part)
    }
}

fn some_connections(text: &str) -> std::result::Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    let allowed = 1..=15_000;
    allowed.contains(&number).then_some(number).ok_or_else(|| format!("not in {allowed:?}"))
}

/// Measures and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    let (mut report, stage) = (Report::default(), Stage::new()?);
    if options.wants(Part::Unary) {
        let places = Places::open(&stage, options).await?;
        let most = unary::throughput(options, &places, &mut report).await?;
        unary::latency(options, &places, most, &mut report).await?;
    }
    if options.wants(Part::Upload) {
        upload::measure(options, &mut report).await?;
    }
    if options.wants(Part::Sink) {
        upload::to_sink(options, &stage, &mut report).await?;
    }
    if options.wants(Part::Idle) {
        allow_files(options.idle)?;
        idle::measure(options, &stage, &mut report).await?;
    }
    if options.wants(Part::Kill) {
        kill::measure(options, &stage, &mut report).await?;
    }
    eprint!("{}", table(&report, &required::REQUIRED));
    Ok(report)
}

/// Lets this process, and those that it starts from now on, have as many connections open, and
/// some files besides.
fn allow_files(connections: usize) -> Result<()> {
    let needed = connections as u64 + 1_000;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let why = format!("{needed} files open in a process are needed, see `ulimit -Hn`");
        return Err(why.into());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(needed), ..limit })?)
}
