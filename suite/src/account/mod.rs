//! `assent account`: what concerns a whole account, across the services.

mod erase;
mod export;
mod identifiers;
mod register;

use proto::gateway::v1::account_service_client::AccountServiceClient;

use crate::{
    client::{Client, Session},
    exit::{Error, Exit},
};

const EXAMPLES: &str = "\
Examples:
  assent account register ann --jurisdiction DE --app messenger --app social
  assent account export ann --out ann.jsonl
  assent account erase ann --yes";

/// Accounts: made known, exported and erased, across all services.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Register(register::Arguments),
    Export(export::Arguments),
    Erase(erase::Arguments),
    Erasure(erase::ErasureArguments),
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let done = |()| Exit::Done;
    match &arguments.command {
        Command::Register(arguments) => register::run(arguments).await.map(done),
        Command::Export(arguments) => export::run(arguments).await.map(done),
        Command::Erase(arguments) => erase::run(arguments).await.map(done),
        Command::Erasure(arguments) => erase::erasure(arguments).await,
    }
}

fn accounts(client: &Client) -> AccountServiceClient<Session> {
    AccountServiceClient::new(client.session())
}
