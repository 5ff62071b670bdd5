//! `assent suggest`: people whom a person may know, and what that person says of it.

mod blocks;
mod explain;
mod list;

use proto::suggest::v1::{
    ListSuggestionsRequest, Suggestion, suggestion_service_client::SuggestionServiceClient,
};

use crate::{
    client::{Client, Session},
    exit::{Error, Exit},
};

const EXAMPLES: &str = "\
Examples:
  assent suggest list ann
  assent suggest explain ann bob
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

/// The most that are suggested at once.
const MOST: u32 = 50;
/// No subject id is longer; ids of suggestions are.
const LONGEST_SUBJECT_ID: usize = 128;

async fn listed(client: &Client, limit: u32) -> Result<Vec<Suggestion>, Error> {
    let answer = suggestions(client).list_suggestions(ListSuggestionsRequest { limit }).await;
    Ok(answer.map_err(|status| client.told(&status))?.into_inner().suggestions)
}

/// The id of the suggestion of this person; or what was given, which is such an id itself.
async fn find(client: &Client, given: &str) -> Result<String, Error> {
    if given.len() > LONGEST_SUBJECT_ID {
        return Ok(given.to_owned());
    }
    let of = listed(client, MOST).await?.into_iter().find(|one| one.subject_id == given);
    of.map(|one| one.suggestion_id).ok_or_else(|| {
        Error::not_found(format!("{given} is not suggested, or not any more"))
            .with_next("see `assent suggest list`")
    })
}
