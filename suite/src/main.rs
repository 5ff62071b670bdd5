//! `assent`: the whole suite in one process, its demonstration, tokens for development,
//! and the client for people at a terminal.

mod consent;
mod data;
mod demo;
mod embedded;
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
}

#[tokio::main]
async fn main() -> ExitCode {
    let command =
        Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Arguments::default()));
    let done = match command {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Demo(arguments) => demo::run(arguments).await,
        Command::Token(arguments) => token::run(&arguments),
        Command::Consent(arguments) => consent::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("assent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
