//! `assent`: the whole suite in one process, its demonstration, tokens for development,
//! and the client for people at a terminal.

mod client;
mod consent;
mod data;
mod demo;
mod embedded;
mod match_keys;
mod serve;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

// Thousands of small messages a second: measured in docs/benchmarks.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Shares data about people between apps only as far as each of them has agreed.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Token(token::Arguments),
    Consent(consent::Arguments),
    MatchKeys(match_keys::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command =
        Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Arguments::default()));
    let done = match command {
        Command::Serve(arguments) => serve::run(arguments).await.map(succeeded),
        Command::Demo(arguments) => demo::run(arguments).await.map(succeeded),
        Command::Token(arguments) => token::run(&arguments).map(succeeded),
        Command::Consent(arguments) => consent::run(&arguments).map(succeeded),
        Command::MatchKeys(arguments) => match_keys::run(&arguments).await,
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("assent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn succeeded((): ()) -> ExitCode {
    ExitCode::SUCCESS
}
