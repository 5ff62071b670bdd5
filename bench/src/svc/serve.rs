//! Services as processes of this program, so that they have the same allocator and were built with
//! the same options as what they are compared with: `bench serve-consent` and others.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use service_kit::{
    boot::{Process, Service},
    clock::Clock,
    config::{self, Config},
};

use crate::Result;

/// What the process is told, as the service itself would be.
#[derive(Debug, Clone, Args)]
pub struct ServeOptions {
    /// The configuration
    #[arg(long)]
    config: PathBuf,
    /// What to do
    #[arg(value_enum, default_value_t = Action::Serve)]
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    Serve,
    Migrate,
}

/// Serves until it is killed, or brings the schema up to date.
pub async fn serve<S: Service>(options: ServeOptions) -> Result<()> {
    let name = S::NAME;
    let config: Config<S::Config> = config::load(name, Some(&options.config), std::env::vars())?;
    if options.action == Action::Migrate {
        return Ok(S::migrate(&config.service).await?);
    }
    let process = Process::start(name, &config.telemetry, Clock::system())?;
    let running = process.serve::<S>(config).await?;
    Ok(process.finish(vec![running]).await?)
}
