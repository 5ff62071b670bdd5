//! `assent match-keys`: from one secret of audience-svc's match keys to the next.

mod new_secret;
mod pace;
mod progress;
mod retire;
mod rotation;

use std::process::ExitCode;

use proto::audience::v1::{
    ListMatchKeyVersionsRequest, directory_service_client::DirectoryServiceClient,
};
use tonic::Status;

use crate::client::{Client, Session};
use rotation::Rotation;

/// Replaces the secret of audience-svc's match keys, step by step.
#[derive(Debug, clap::Args)]
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
pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::NewSecret(_) => new_secret::run(),
        Command::Progress(arguments) => progress::run(arguments).await,
        Command::Retire(arguments) => retire::run(arguments).await,
    }
}

fn directory(client: &Client) -> anyhow::Result<DirectoryServiceClient<Session>> {
    Ok(DirectoryServiceClient::new(client.admin()?))
}

/// How far it has come; the inner error is the suite's.
async fn rotation(client: &Client) -> anyhow::Result<Result<Rotation, Status>> {
    let mut directory = directory(client)?;
    let asked = directory.list_match_key_versions(ListMatchKeyVersionsRequest {}).await;
    Ok(asked.map(|answer| Rotation::new(answer.into_inner())))
}
