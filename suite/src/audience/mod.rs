//! `assent audience`: a business's lists of customers.

mod business;
mod estimate;
mod lists;
mod upload;

use proto::{
    audience::v1::{Audience, AudienceState, ReachEstimate, audience_service_client},
    errors::v1::Reason,
    status::reason,
};
use tonic::Status;

use crate::{
    client::{Client, Connection, Session},
    exit::{Error, Exit},
};

const EXAMPLES: &str = "\
Examples:
  assent audience create \"Newsletter readers\" --source user
  assent audience upload customers.csv aud_01 --may-use-list --region DE
  assent audience list";

/// Customer lists of a business: made, filled from files, sized, ended.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(lists::Create),
    Upload(upload::Arguments),
    Show(lists::Show),
    List(lists::List),
    Estimate(estimate::Arguments),
    Delete(lists::Delete),
    Business(business::Arguments),
}

/// As which business the suite is asked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Business")]
struct AsBusiness {
    /// The business to ask as, where the development key signs; a token of its own names its
    /// business itself.
    #[arg(long, env = "ASSENT_BUSINESS", value_name = "ID", default_value = "example-business")]
    business: String,
    /// Its legal owner, where the development key signs.
    #[arg(long, env = "ASSENT_OWNER", value_name = "ID", default_value = "example-owner")]
    owner: String,
    #[command(flatten)]
    connection: Connection,
}

type AudienceServiceClient = audience_service_client::AudienceServiceClient<Session>;

impl AsBusiness {
    fn open(&self) -> Result<Asked, Error> {
        let client = self.connection.as_business(&self.business, &self.owner)?;
        Ok(Asked { api: AudienceServiceClient::new(client.session()), client })
    }
}

/// The suite, asked as a business.
#[derive(Debug)]
struct Asked {
    client: Client,
    api: AudienceServiceClient,
}

impl Asked {
    /// What a failed call means for a business.
    fn told(&self, status: &Status) -> Error {
        let told = self.client.told(status);
        match reason(status) {
            Some(Reason::BusinessUnknown) => told.with_next(
                "an operator makes a business known: `assent audience business ID --owner OWNER \
                 --name NAME`",
            ),
            Some(Reason::AudienceUnknown) => {
                told.with_next("`assent audience list` shows the audiences of the business")
            }
            _ => told,
        }
    }

    /// An answer that has to have something in it.
    fn present<T>(&self, answer: Option<T>) -> Result<T, Error> {
        let incomplete = || self.client.told(&Status::internal("an incomplete answer"));
        answer.ok_or_else(incomplete)
    }
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::Create(arguments) => arguments.run().await,
        Command::Upload(arguments) => upload::run(arguments).await,
        Command::Show(arguments) => arguments.run().await,
        Command::List(arguments) => arguments.run().await,
        Command::Estimate(arguments) => estimate::run(arguments).await,
        Command::Delete(arguments) => arguments.run().await,
        Command::Business(arguments) => business::run(arguments).await,
    }
    .map(|()| Exit::Done)
}

/// What a business is told of a size.
fn size(size: Option<&ReachEstimate>) -> String {
    match size {
        None => "not released yet".to_owned(),
        Some(size) if size.below_minimum => format!("below {}", size.upper_bound),
        Some(size) => format!("{} to {}", size.lower_bound, size.upper_bound),
    }
}

fn state(audience: &Audience) -> &'static str {
    match audience.state() {
        AudienceState::Unspecified => "unknown",
        AudienceState::Empty => "empty",
        AudienceState::Ready if audience.targetable => "ready",
        AudienceState::Ready => "not targetable",
    }
}
