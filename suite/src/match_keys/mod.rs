//! `assent match-keys`: from one secret of audience-svc's match keys to the next.

mod new_secret;
mod pace;
mod progress;
mod retire;
mod rotation;

use proto::audience::v1::{
    ListMatchKeyVersionsRequest, directory_service_client::DirectoryServiceClient,
};
use tonic::Status;

use crate::{
    client::{Client, Session},
    exit::{Error, Exit},
};
use rotation::Rotation;

const EXAMPLES: &str = "\
Examples:
  (umask 077; assent match-keys new-secret > match-key-2)
  assent match-keys progress --watch
  assent match-keys retire 1";

/// Replaces the secret of audience-svc's match keys, step by step.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    NewSecret(new_secret::Arguments),
    Progress(progress::Arguments),
    Retire(retire::Arguments),
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::NewSecret(_) => new_secret::run().map(|()| Exit::Done),
        Command::Progress(arguments) => progress::run(arguments).await,
        Command::Retire(arguments) => retire::run(arguments).await.map(|()| Exit::Done),
    }
}

fn directory(client: &Client) -> DirectoryServiceClient<Session> {
    DirectoryServiceClient::new(client.session())
}

/// How far it has come.
async fn rotation(client: &Client) -> Result<Rotation, Status> {
    let asked = directory(client).list_match_key_versions(ListMatchKeyVersionsRequest {}).await?;
    Ok(Rotation::new(asked.into_inner()))
}
