//! `assent suggest`: people whom a person may know, and what that person says of it.

mod blocks;
mod explain;
mod list;

use proto::suggest::v1::suggestion_service_client::SuggestionServiceClient;

use crate::{
    client::{Client, Session},
    exit::{Error, Exit},
};

const EXAMPLES: &str = "\
Examples:
  assent suggest list ann
  assent suggest explain ann SUGGESTION
  assent suggest block ann mallory";

/// People whom a person may know, why, and whom not to suggest.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Arguments),
    Explain(explain::Arguments),
    Dismiss(explain::DismissArguments),
    Block(blocks::BlockArguments),
    Unblock(blocks::UnblockArguments),
    Blocked(blocks::Arguments),
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments).await,
        Command::Explain(arguments) => explain::run(arguments).await,
        Command::Dismiss(arguments) => explain::dismiss(arguments).await,
        Command::Block(arguments) => blocks::block(arguments).await,
        Command::Unblock(arguments) => blocks::unblock(arguments).await,
        Command::Blocked(arguments) => blocks::run(arguments).await,
    }
    .map(|()| Exit::Done)
}

fn suggestions(client: &Client) -> SuggestionServiceClient<Session> {
    SuggestionServiceClient::new(client.session())
}
