//! `assent contacts`: a person's address book, and who may find them by it.

mod book;
mod settings;
mod sync;

use proto::{
    errors::v1::Reason,
    status::reason,
    suggest::v1::{DeleteContactsRequest, contact_service_client},
};
use tonic::Status;

use self::book::Books;
use crate::{
    client::{Client, Connection, Session},
    exit::{Error, Exit},
    output::{Output, plain},
    people::StateArguments,
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent contacts sync contacts.vcf ann --region DE
  assent contacts settings show ann
  assent contacts delete ann";

/// A person's address book: sent, forgotten, and who may find them by it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Sync(sync::Arguments),
    Delete(Delete),
    Settings(settings::Arguments),
}

const DELETE: &str = "\
Examples:
  assent contacts delete ann";

/// Forgets a person's contacts, here and in the service.
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE)]
struct Delete {
    /// Whose.
    subject: String,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    state: StateArguments,
    #[command(flatten)]
    connection: Connection,
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::Sync(arguments) => sync::run(arguments).await,
        Command::Delete(arguments) => arguments.run().await,
        Command::Settings(arguments) => settings::run(arguments).await,
    }
    .map(|()| Exit::Done)
}

impl Delete {
    async fn run(&self) -> Result<(), Error> {
        let mut asked = Asked::open(&self.connection, &self.subject)?;
        let books = Books::open(&self.state, &self.connection, &self.subject)?;
        let request = DeleteContactsRequest { request_id: self.request_id.get() };
        let deleted = asked.api.delete_contacts(request).await;
        let answer = deleted.map_err(|status| asked.told(&status))?.into_inner();
        books.forget();
        self.output.one(&answer, format!("The contacts of {} are forgotten.", plain(&self.subject)))
    }
}

/// The suite, asked as somebody's app.
struct Asked {
    client: Client,
    api: contact_service_client::ContactServiceClient<Session>,
}

impl Asked {
    fn open(connection: &Connection, subject: &str) -> Result<Self, Error> {
        let client = connection.as_user(subject)?;
        let api = contact_service_client::ContactServiceClient::new(client.session());
        Ok(Self { client, api })
    }

    /// What a failed call means for a person.
    fn told(&self, status: &Status) -> Error {
        let told = self.client.told(status);
        match reason(status) {
            Some(Reason::ConsentNotGranted) => told.with_next(
                "contacts are taken only of who has agreed to it: `assent consent show SUBJECT`",
            ),
            _ => told,
        }
    }
}
