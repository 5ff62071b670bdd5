//! `bench`: measurements of Assent. See docs/benchmarks.md.

use std::process::ExitCode;

use ::gateway::Gateway;
use audience_svc::AudienceService;
use bench::{
    audience, consent, consent_faults, consent_model, empty, gateway, overload, suggest,
    svc::{self, ServeOptions},
};
use clap::{Parser, Subcommand};
use consent_svc::ConsentService;
use suggest_svc::SuggestService;
use tokio::runtime;

/// Measurements of Assent: figures on standard output, everything else on standard error.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// An empty method behind all layers, against the same on a bare tonic server
    Empty(empty::Options),
    /// consent-svc against the empty method and against PostgreSQL's own benchmark
    Consent(consent::Options),
    /// audience-svc: its index, uploads, registration and look-ups
    Audience(audience::Options),
    /// suggest-svc: the quality of its ranking, its engine, lists over gRPC
    #[command(subcommand)]
    Suggest(suggest::Command),
    /// The gateway, against the service itself and against nginx in its place
    Gateway(gateway::Options),
    /// What is served when more is asked than can be done
    Overload(overload::Options),
    /// Looks for stale answers of consent-svc while everything around it fails
    ConsentFaults(consent_faults::Options),
    /// Searches the model of consent-svc's strict cache for a stale answer, and its mutants
    ConsentModel(consent_model::Options),
    /// The servers that `empty` measures
    #[command(hide = true)]
    ServeEmpty(empty::ServeOptions),
    /// The gateway that `gateway` measures
    #[command(hide = true)]
    ServeGateway(ServeOptions),
    /// The service behind it
    #[command(hide = true)]
    ServeSink(ServeOptions),
    /// The servers that `consent` measures
    #[command(hide = true)]
    ServeConsent(ServeOptions),
    /// The server that `audience` measures
    #[command(hide = true)]
    ServeAudience(ServeOptions),
    /// The server that `suggest` measures
    #[command(hide = true)]
    ServeSuggest(ServeOptions),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> bench::Result<ExitCode> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Empty(options) => Ok(runtime.block_on(empty::measure(&options))?.finish()),
        Command::Consent(options) => Ok(runtime.block_on(consent::measure(&options))?.finish()),
        Command::Audience(options) => Ok(runtime.block_on(audience::measure(&options))?.finish()),
        Command::Suggest(command) => runtime.block_on(suggest::measure(&command)),
        Command::Overload(options) => Ok(runtime.block_on(overload::measure(&options))?.finish()),
        Command::Gateway(options) => Ok(runtime.block_on(gateway::measure(&options))?.finish()),
        Command::ServeGateway(options) => {
            ::gateway::use_small_pages();
            runtime.block_on(svc::serve::<Gateway>(options)).map(|()| ExitCode::SUCCESS)
        }
        Command::ServeSink(options) => {
            runtime.block_on(svc::serve::<gateway::Sink>(options)).map(|()| ExitCode::SUCCESS)
        }
        Command::ServeSuggest(options) => {
            runtime.block_on(svc::serve::<SuggestService>(options)).map(|()| ExitCode::SUCCESS)
        }
        Command::ServeConsent(options) => {
            runtime.block_on(svc::serve::<ConsentService>(options)).map(|()| ExitCode::SUCCESS)
        }
        Command::ServeAudience(options) => {
            runtime.block_on(svc::serve::<AudienceService>(options)).map(|()| ExitCode::SUCCESS)
        }
        Command::ConsentFaults(options) => {
            Ok(runtime.block_on(consent_faults::measure(&options))?.finish())
        }
        Command::ConsentModel(options) => Ok(consent_model::measure(&options)?.finish()),
        Command::ServeEmpty(options) => {
            runtime.block_on(empty::serve(options)).map(|()| ExitCode::SUCCESS)
        }
    }
}
