//! `bench consent`: what consent-svc does, against the empty method and against PostgreSQL's own
//! benchmark, in one run.

mod batch;
mod changes;
pub(crate) mod check;
mod memory;
mod pgbench;
mod required;
pub(crate) mod stage;
mod watch;
mod writes;

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::{Result, machine, report::Report, required::table, schedule::Arrivals};
use stage::Stage;

/// How often each side has its turn.
const ROUNDS: u64 = 5;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Single checks
    Check,
    /// Checks of 10,000 subjects at once
    Batch,
    /// Decisions and withdrawals
    Writes,
    /// Room in Redis and in the database
    Memory,
    /// Following the changes
    Watch,
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Part::value_variants().to_vec())]
    pub only: Vec<Part>,
    /// How many subjects there are
    #[arg(long, default_value_t = 100_000, value_parser = at_least_a_batch)]
    pub subjects: usize,
    /// How many subjects there are while room is measured
    #[arg(long, default_value_t = 200_000, value_parser = at_least_a_batch)]
    pub memory_subjects: usize,
    /// How long each side of each measurement takes
    #[arg(long, default_value_t = 10.0, value_parser = crate::positive)]
    pub seconds: f64,
    /// The share of calls that are writes while single checks are measured
    #[arg(long, default_value_t = 0.0)]
    pub write_share: f64,
    /// Connections to each server
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Callers at the same time while the throughput of checks is measured
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub concurrency: u64,
    /// How calls arrive while latency is measured
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub arrivals: Arrivals,
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

fn at_least_a_batch(text: &str) -> std::result::Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    let least = stage::BATCH;
    if number >= least { Ok(number) } else { Err(format!("less than a batch of {least}")) }
}

/// Measures and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    let mut report = Report::default();
    if options.wants(Part::Memory) {
        memory::measure(options, &mut report).await?;
    }
    if [Part::Check, Part::Batch, Part::Writes, Part::Watch].into_iter().any(|p| options.wants(p)) {
        let redis = stage(options, Stage::redis(options.connections.into()).await?).await?;
        if options.wants(Part::Check) || options.wants(Part::Batch) {
            let own = Stage::in_process(options.connections.into()).await?;
            let own = stage(options, own).await?;
            if options.wants(Part::Check) {
                check::measure(options, (&own, &redis), &mut report).await?;
            }
            if options.wants(Part::Batch) {
                let stages = [
                    (&redis, "batch-check-redis-per-second"),
                    (&own, "batch-check-in-process-per-second"),
                ];
                batch::measure(options, stages, &mut report).await?;
            }
        }
        if options.wants(Part::Watch) {
            watch::measure(options, &redis, &mut report).await?;
        }
        if options.wants(Part::Writes) {
            writes::measure(options, &redis, &mut report).await?;
        }
    }
    eprint!("{}", table(&report, &required::REQUIRED));
    Ok(report)
}

/// A stage with all its subjects, each answer kept.
async fn stage(options: &Options, mut stage: Stage) -> Result<Stage> {
    let begun = std::time::Instant::now();
    stage.seed(options.subjects).await?;
    let seeded = begun.elapsed();
    stage.fill_all().await?;
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let writes = 2.0 * options.subjects as f64 / seeded.as_secs_f64();
    eprintln!("{}: {} subjects ({writes:.0} writes/s), all kept", stage.name, stage.subjects);
    Ok(stage)
}
