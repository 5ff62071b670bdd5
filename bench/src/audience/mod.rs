//! `bench audience`: what audience-svc does, from the index alone to whole processes.

mod index;
mod keys;
pub(crate) mod people;
mod register;
mod required;
mod serving;
pub(crate) mod stage;
mod start;
pub(crate) mod uploads;

use clap::{Args, ValueEnum};

use crate::{Result, machine, report::Report, required::table};
use stage::{Kept, Stage};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Making match keys
    Keys,
    /// The index alone, with 10^8 keys or as many as are asked for: 1.3 GB
    Index,
    /// Start and memory of the service
    Start,
    /// Uploads, on SQLite
    Uploads,
    /// Look-ups
    Serving,
    /// Uploads, on PostgreSQL
    UploadsPostgresql,
    /// Registration of identifiers, on PostgreSQL
    Register,
    /// The index alone, with 10^9 keys: 15 GB of memory
    Billion,
}

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "keys,index,start,uploads,serving,uploads-postgresql,register"
    )]
    pub only: Vec<Part>,
    /// How many keys the index has while it is measured alone
    #[arg(long, default_value_t = 100_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000_000))]
    pub identifiers: u64,
    /// How many people there are in the service's directory, each with a phone number and an email
    /// address: 10^7 need 2 GB of memory and some minutes
    #[arg(long, default_value_t = 10_000_000, value_parser = some_people)]
    pub people: usize,
    /// How many rows a list has
    #[arg(long, default_value_t = 1_000_000)]
    pub rows: usize,
    /// The share of rows that are someone's
    #[arg(long, default_value_t = 0.5, value_parser = share)]
    pub match_rate: f64,
    /// How many people are registered
    #[arg(long, default_value_t = 100_000)]
    pub register: usize,
    /// How long look-ups are measured
    #[arg(long, default_value_t = 20.0, value_parser = crate::positive)]
    pub seconds: f64,
    /// What everything is drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    fn wants(&self, part: Part) -> bool {
        self.only.contains(&part)
    }
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("not between 0 and 1".to_owned()) }
}

fn some_people(text: &str) -> std::result::Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    let allowed = 10_000..=99_999_999;
    allowed.contains(&number).then_some(number).ok_or_else(|| format!("not in {allowed:?}"))
}

/// Measures and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    let mut report = Report::default();
    if options.wants(Part::Keys) {
        keys::measure(&mut report)?;
    }
    if options.wants(Part::Index) {
        index::measure(options.identifiers, options.match_rate, options.seed, &mut report)?;
    }
    if [Part::Start, Part::Uploads, Part::Serving].into_iter().any(|part| options.wants(part)) {
        let mut stage = Stage::new(Kept::Sqlite).await?;
        stage.fill(options.people).await?;
        if options.wants(Part::Start) {
            start::measure(options, &mut stage, &mut report).await?;
        } else {
            stage.start()?;
        }
        if options.wants(Part::Uploads) {
            uploads::measure(options, &stage, &mut report).await?;
        }
        if options.wants(Part::Serving) {
            serving::measure(options, &mut stage, &mut report).await?;
        }
    }
    if options.wants(Part::UploadsPostgresql) {
        let mut stage = Stage::new(Kept::Postgresql).await?;
        stage.fill(options.people).await?;
        stage.start()?;
        uploads::measure(options, &stage, &mut report).await?;
    }
    if options.wants(Part::Register) {
        let mut stage = Stage::new(Kept::Postgresql).await?;
        register::measure(options, &mut stage, &mut report).await?;
    }
    if options.wants(Part::Billion) {
        index::billion(options.match_rate, options.seed, &mut report)?;
    }
    eprint!("{}", table(&report, &required::REQUIRED));
    Ok(report)
}
