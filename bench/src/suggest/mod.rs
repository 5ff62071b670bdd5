//! `bench suggest`: how good suggestions are, how fast, and what they are on a graph of one's own.

mod baselines;
mod engine;
mod fit;
mod graph;
mod lists;
mod people;
mod quality;
mod rank;
mod required;
pub mod speed;
mod split;
mod stage;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use crate::{Result, machine, report::Report, required::table};

/// What can be measured.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Hides some edges and counts how many of them are suggested
    Quality(QualityOptions),
    /// The engine and the service: latencies, rates, memory
    Speed(speed::Options),
    /// Prints whom the shipped ranker suggests to some people: `user<TAB>rank<TAB>candidate<TAB>score`
    Rank(RankOptions),
}

/// How to measure quality.
#[derive(Debug, Clone, Args)]
pub struct QualityOptions {
    /// Edges, one a line: two names, and whatever; lines that begin with # are skipped
    #[arg(long)]
    pub edges: PathBuf,
    /// The share of edges that is hidden
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub hide: f64,
    /// What is drawn from: the edges to hide, the people to look at, the order of ties
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// The most people whose lists are looked at
    #[arg(long, default_value_t = 1_000)]
    pub users: usize,
    /// How long a list is
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub top: u16,
    /// A file of weights; those that are shipped if there is none. With --fit, where to write
    #[arg(long)]
    pub weights: Option<PathBuf>,
    /// Fit the weights, on edges hidden once more among those that are left, before measuring
    #[arg(long, requires = "weights")]
    pub fit: bool,
}

/// What to rank.
#[derive(Debug, Clone, Args)]
pub struct RankOptions {
    /// Edges, one a line: two names
    #[arg(long)]
    pub edges: PathBuf,
    /// Whom to suggest to, a name a line
    #[arg(long)]
    pub users: PathBuf,
    /// How long a list is
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub top: u16,
    /// A file of weights; those that are shipped if there is none
    #[arg(long)]
    pub weights: Option<PathBuf>,
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    let is_share = number > 0.0 && number < 1.0;
    if is_share { Ok(number) } else { Err("not between 0 and 1".to_owned()) }
}

/// Measures and reports, or prints a ranking.
pub async fn measure(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Speed(options) => Ok(speed::measure(options).await?.finish()),
        Command::Quality(options) => {
            eprintln!("{}; {options:?}", machine::description());
            let mut report = Report::default();
            quality::measure(options, &mut report)?;
            eprint!("{}", table(&report, &required::REQUIRED));
            Ok(report.finish())
        }
        Command::Rank(options) => rank::print(options).map(|()| ExitCode::SUCCESS),
    }
}
