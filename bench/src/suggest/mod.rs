//! `bench suggest`: how good suggestions are, and how fast.

mod engine;
mod lists;
mod people;
pub mod speed;
mod stage;

use clap::Subcommand;

use crate::{Result, report::Report};

/// What to measure.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// The engine and the service: latencies, rates, memory
    Speed(speed::Options),
}

/// Measures and reports.
pub async fn measure(command: &Command) -> Result<Report> {
    match command {
        Command::Speed(options) => speed::measure(options).await,
    }
}
