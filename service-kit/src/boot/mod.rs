//! The life of a process, the same for every service.
//!
//! A service's own process is [`run`]: arguments → configuration → telemetry → signals → the
//! service's stores → health → serve → drain. Several services in one process, or a test, do the
//! same by hand with a [`Process`]. Nothing of a service is global to the process.
//!
//! A drain: SIGTERM or SIGINT → not ready, health NOT_SERVING → `server.drain_delay` (new calls
//! are still taken) → [`Context::shutdown`], no new connections, GOAWAY on the open ones → calls
//! that were taken are finished → [`Context::drained`] → background tasks end → telemetry is sent
//! → exit code 0. What is not finished after `server.drain_deadline` is cut. A second signal ends
//! the process at once.

mod app;
mod error;
mod process;
mod serve;

use std::{env, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use serde::{Serialize, de::DeserializeOwned};

pub use app::{App, Edge};
pub use error::BootError;
pub use process::{Process, Running};

use crate::{
    clock::Clock,
    config::{self, Config},
    context::Context,
};

/// A service of Assent: how it is built from its configuration. Everything else is the kit's.
pub trait Service: Sized + Send + 'static {
    /// Its name, as in `consent-svc`: in logs, metrics and traces, and in the variables that
    /// configure it (`ASSENT_CONSENT__…`).
    const NAME: &'static str;

    /// Its own configuration.
    type Config: DeserializeOwned + Serialize + Default + Send + Sync + 'static;

    /// Opens stores, registers readiness probes, and returns what to serve.
    fn build(
        ctx: &Context,
        config: Self::Config,
    ) -> impl Future<Output = Result<App, BootError>> + Send;

    /// Brings the store's schema up to date.
    fn migrate(config: &Self::Config) -> impl Future<Output = Result<(), BootError>> + Send;
}

#[derive(Parser)]
#[command(disable_help_subcommand = true)]
struct Args {
    /// TOML file with the configuration; variables ASSENT_<SERVICE>__<KEY> override it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default).
    Serve,
    /// Bring the store's schema up to date, and exit.
    Migrate,
    /// Check the configuration, print it with secrets hidden, and exit.
    CheckConfig,
}

/// The main function of a service's binary.
pub fn run<S: Service>() -> ExitCode {
    let args = Args::parse();
    match start::<S>(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may not have been set up yet.
            eprintln!("{}: {error}", S::NAME);
            ExitCode::FAILURE
        }
    }
}

fn start<S: Service>(args: &Args) -> Result<(), BootError> {
    let config: Config<S::Config> = config::load(S::NAME, args.config.as_deref(), env::vars())?;
    let command = args.command.unwrap_or(Command::Serve);
    if command == Command::CheckConfig {
        println!("{}", config.effective());
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let process = Process::start(S::NAME, &config.telemetry, Clock::system())?;
        let stop = process.stop().clone();
        if command == Command::Migrate {
            return tokio::select! {
                migrated = S::migrate(&config.service) => migrated,
                () = stop.cancelled() => Err(BootError::other("stopped before it was done")),
            };
        }
        let running = tokio::select! {
            running = process.serve::<S>(config) => running?,
            () = stop.cancelled() => return Ok(()),
        };
        process.finish(vec![running]).await
    })
}
