//! consent-svc as a process of this program, so that it has the same allocator and was built with
//! the same options as the empty method that it is compared with: `bench serve-consent`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use consent_svc::{ConsentService, config::ConsentConfig};
use service_kit::{
    boot::{Process, Service},
    clock::Clock,
    config::{self, Config},
};

use crate::Result;

/// What the process is told, as `consent-svc` itself would be.
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
pub async fn serve(options: ServeOptions) -> Result<()> {
    let name = ConsentService::NAME;
    let config: Config<ConsentConfig> =
        config::load(name, Some(&options.config), std::env::vars())?;
    if options.action == Action::Migrate {
        return Ok(ConsentService::migrate(&config.service).await?);
    }
    let process = Process::start(name, &config.telemetry, Clock::system())?;
    let running = process.serve::<ConsentService>(config).await?;
    Ok(process.finish(vec![running]).await?)
}
