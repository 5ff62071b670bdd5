//! `bench consent-faults`: does an acknowledged withdrawal ever get a stale yes? Real processes
//! (replicas of consent-svc, PostgreSQL, Redis) on a network that is [ours](service_kit::test_util::Proxy), with everything
//! going wrong again and again, and every answer judged by an exact [`history`].

mod cache_use;
mod checkers;
mod faults;
mod governor;
pub mod history;
pub mod mutants;
mod primary;
mod replica;
mod run;
mod setup;
pub mod tally;
mod trouble;
mod world;
mod writers;

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::{
    Result, machine,
    report::{Report, Unit},
    svc::Program,
};
use consent_svc::mutant::ALL;
use history::Wrong;
use mutants::Outcome;
pub use run::{Plan, Run, WritesAt};

/// What to do, and for how long.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long faults are inflicted, in minutes
    #[arg(long, default_value_t = 1.0, value_parser = crate::positive)]
    pub minutes: f64,
    /// What all draws come from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Replicas of consent-svc
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub replicas: u16,
    /// Redis primaries over which subjects are spread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub primaries: u16,
    /// Subjects
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(64..))]
    pub subjects: u32,
    /// Of these, accounts that are linked to another
    #[arg(long, default_value_t = 400)]
    pub linked: u32,
    /// Subjects in one `BatchCheck`
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: u32,
    /// Writers at the same time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub writers: u32,
    /// How long a replica may rely on what it read of the cache, in milliseconds
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..))]
    pub lease_ms: u64,
    /// The executable of consent-svc [default: the one beside this program]
    #[arg(long)]
    pub binary: Option<PathBuf>,
    /// Run the deliberate faults of the protocol instead, each until it is found
    #[arg(long)]
    pub mutants: bool,
    /// The executable of a consent-svc that was built with the feature `mutants` [default: this
    /// program, if it was]
    #[arg(long)]
    pub mutant_binary: Option<PathBuf>,
    /// Only these of the deliberate faults
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// How long one of them may take until it is found, in seconds
    #[arg(long, default_value_t = 120.0, value_parser = crate::positive)]
    pub mutant_seconds: f64,
    /// Run all replicas as this mutant, under the faults that are drawn
    #[arg(long, conflicts_with = "mutants")]
    pub as_mutant: Option<String>,
    /// Where the replicas' logs are kept [default: nowhere]
    #[arg(long)]
    pub logs: Option<PathBuf>,
}

impl Options {
    /// The executable of consent-svc.
    fn program(&self) -> Result<Program> {
        if let Some(name) = &self.as_mutant {
            let known = ALL.iter().find(|(known, _)| known == name);
            let (mutant, _) = known.ok_or_else(|| format!("there is no mutant {name}"))?;
            return Ok(Program { mutant: Some(mutant), ..self.mutant_program()? });
        }
        self.binary.clone().map_or_else(Program::beside, |path| Ok(Program::at(path)))
    }

    fn mutant_program(&self) -> Result<Program> {
        let Some(path) = self.mutant_binary.clone() else {
            if cfg!(feature = "mutants") {
                return Program::this("serve-consent");
            }
            return Err(format!("this program has no mutants: {BUILD_MUTANTS}").into());
        };
        let program = Program::at(path);
        if program.has_mutants()? {
            return Ok(program);
        }
        let path = program.path.display();
        Err(format!("{path} was not built with the feature mutants: {BUILD_MUTANTS}").into())
    }

    fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            replicas: self.replicas.into(),
            primaries: self.primaries.into(),
            subjects: self.subjects as usize,
            linked: self.linked.min(self.subjects) as usize,
            batch: self.batch as usize,
            writers: self.writers as usize,
            lease: Duration::from_millis(self.lease_ms),
            logs: self.logs.clone(),
            ..Plan::default()
        }
    }
}

/// How a consent-svc with deliberate faults is built.
const BUILD_MUTANTS: &str =
    "cargo run --release -p bench --features mutants -- consent-faults --mutants";

/// Runs each mutant and reports.
async fn measure_mutants(options: &Options) -> Result<Report> {
    let program = options.mutant_program()?;
    let within = Duration::try_from_secs_f64(options.mutant_seconds)?;
    let mut report = Report::default();
    let mut caught = 0;
    for (mutant, _) in ALL {
        if !options.only.is_empty() && !options.only.iter().any(|only| only == mutant) {
            continue;
        }
        let scenario = mutants::scenario(mutant, options.seed, options.logs.as_deref())?;
        let outcome = scenario.run(&program, within).await?;
        let Outcome { caught: found, wrong, audited, faults, took, .. } = outcome;
        let seen = format!(
            "{} s, {audited} answers and {faults} faults: {wrong}",
            took.as_secs_f64().ceil()
        );
        if found {
            caught += 1;
            let without = scenario.control(&program, took).await?;
            eprintln!(
                "MUTANT {mutant}: caught after {seen}; without it, none in {without} answers"
            );
        } else {
            report.invalid(format!("{mutant} was not caught in {seen}"));
        }
    }
    report.figure("mutants-caught", f64::from(caught), Unit::Count);
    Ok(report)
}

/// Runs it and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    if options.mutants {
        return measure_mutants(options).await;
    }
    let length = Duration::try_from_secs_f64(options.minutes * 60.0)?;
    let run = Run::start(&options.program()?, options.plan()).await?;
    run.inflict(length).await?;
    let ended = run.end().await?;
    let mut report = Report::default();
    for (wrong, count) in ended.all_wrong() {
        eprintln!("{wrong:?}: {count}");
    }
    if let Some(why) = ended.broken() {
        report.invalid(why);
    }
    let lies = ended.count(Wrong::StaleYes) + ended.inversions();
    if lies > 0 {
        report.invalid(format!("{lies} answers were stale"));
    }
    if ended.hits() == 0 {
        report.invalid("no lookup found anything in the cache: nothing was tried");
    }
    #[allow(clippy::cast_precision_loss)] // counts are far below 2^53
    let mut count = |name, count: u64| report.figure(name, count as f64, Unit::Count);
    count("stale-yes", ended.count(Wrong::StaleYes));
    count("stale-no", ended.count(Wrong::StaleNo) + ended.count(Wrong::Behind));
    count("inversions", ended.inversions());
    count("audited-checks", ended.audited());
    count("faults", ended.faults());
    Ok(report)
}
