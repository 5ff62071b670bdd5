//! `assent`: the whole suite in one process, its demonstration, tokens for development,
//! and the client for people at a terminal.

mod account;
mod audience;
mod client;
mod completions;
mod consent;
mod contacts;
mod data;
mod demo;
mod embedded;
mod exit;
mod match_keys;
mod output;
mod people;
mod policy;
mod request;
mod serve;
mod suggest;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::{Error, Exit};

const EXAMPLES: &str = "\
Examples:
  assent                               the whole suite, data in ./assent-data
  assent demo                          the whole story on generated people
  assent consent show ann              what Ann has agreed to
  assent consent show ann --json | jq  the same for machines
  ASSENT_TOKEN=… assent policy list --endpoint https://gateway.example";

/// Shares data about people between apps only as far as each of them has agreed: the whole suite in
/// one process, and a client for any.
#[derive(Debug, Parser)]
#[command(name = "assent", version, max_term_width = 80, after_help = format!("{EXAMPLES}\n\n{}", exit::CODES))]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Policy(policy::Arguments),
    Consent(consent::Arguments),
    Audience(audience::Arguments),
    Contacts(contacts::Arguments),
    Suggest(suggest::Arguments),
    Account(account::Arguments),
    Token(token::Arguments),
    MatchKeys(match_keys::Arguments),
    Completions(completions::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command =
        Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Arguments::default()));
    match run(command).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.report();
            ExitCode::from(&error)
        }
    }
}

async fn run(command: Command) -> Result<Exit, Error> {
    let done = |()| Exit::Done;
    match command {
        Command::Serve(arguments) => serve::run(arguments).await.map(done),
        Command::Demo(arguments) => demo::run(arguments).await.map(done).map_err(Error::from),
        Command::Policy(arguments) => policy::run(&arguments).await,
        Command::Consent(arguments) => consent::run(&arguments).await,
        Command::Suggest(arguments) => suggest::run(&arguments).await,
        Command::Account(arguments) => account::run(&arguments).await,
        Command::Audience(arguments) => audience::run(&arguments).await,
        Command::Contacts(arguments) => contacts::run(&arguments).await,
        Command::Token(arguments) => token::run(&arguments).map(done),
        Command::MatchKeys(arguments) => match_keys::run(&arguments).await,
        Command::Completions(arguments) => completions::run(&arguments).map(done),
    }
}
