//! `assent contacts settings`.

use std::fmt;

use proto::suggest::v1::{
    ContactSettings, Discoverability, GetContactSettingsRequest, UpdateContactSettingsRequest,
};

use super::Asked;
use crate::{client::Connection, exit::Error, output::Output, request::RequestId};

const EXAMPLES: &str = "\
Examples:
  assent contacts settings show ann
  assent contacts settings set ann --found-by nobody";

/// Who may find a person by a number or address that they have.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(Show),
    Set(Set),
}

const SHOW: &str = "\
Examples:
  assent contacts settings show ann";

/// The settings in force.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW)]
struct Show {
    /// Whose.
    subject: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

const SET: &str = "\
Examples:
  assent contacts settings set ann --found-by nobody
  assent contacts settings set ann --found-by reciprocal --mutual no";

/// Changes the settings that are given; the others stay as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = SET)]
struct Set {
    /// Whose.
    subject: String,
    /// Who finds the person: everyone who has their number or address, only people whose number or
    /// address the person has too, or nobody.
    #[arg(long, value_enum, value_name = "WHO", required_unless_present = "mutual")]
    found_by: Option<FoundBy>,
    /// Whether the person may be named as the connection between two others.
    #[arg(long, value_enum, value_name = "WHETHER")]
    mutual: Option<YesNo>,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FoundBy {
    Everyone,
    Reciprocal,
    Nobody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum YesNo {
    Yes,
    No,
}

/// Shows or sets them.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    match &arguments.command {
        Command::Show(Show { subject, output, connection }) => {
            let settings = Asked::open(connection, subject)?.settings().await?;
            output.one(&settings, Shown(&settings))
        }
        Command::Set(arguments) => arguments.run().await,
    }
}

impl Set {
    async fn run(&self) -> Result<(), Error> {
        let mut asked = Asked::open(&self.connection, &self.subject)?;
        let mut settings = asked.settings().await?;
        if let Some(found_by) = self.found_by {
            settings.set_discoverability(match found_by {
                FoundBy::Everyone => Discoverability::Everyone,
                FoundBy::Reciprocal => Discoverability::Reciprocal,
                FoundBy::Nobody => Discoverability::Nobody,
            });
        }
        if let Some(mutual) = self.mutual {
            settings.may_be_mutual_connection = mutual == YesNo::Yes;
        }
        let request = UpdateContactSettingsRequest {
            request_id: self.request_id.get(),
            settings: Some(settings),
        };
        let updated = asked.api.update_contact_settings(request).await;
        let updated = updated.map_err(|status| asked.told(&status))?.into_inner();
        let settings = updated.settings.unwrap_or(settings);
        self.output.one(&settings, Shown(&settings))
    }
}

impl Asked {
    async fn settings(&mut self) -> Result<ContactSettings, Error> {
        let found = self.api.get_contact_settings(GetContactSettingsRequest {}).await;
        let found = found.map_err(|status| self.told(&status))?.into_inner();
        let incomplete = || Error::failed("the service answered without settings");
        found.settings.ok_or_else(incomplete)
    }
}

/// The settings, as people read them.
struct Shown<'a>(&'a ContactSettings);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(settings) = self;
        let found_by = match settings.discoverability() {
            Discoverability::Unspecified => "unknown",
            Discoverability::Everyone => "everyone who has their number or address",
            Discoverability::Reciprocal => "people whose number or address the person has too",
            Discoverability::Nobody => "nobody",
        };
        let mutual = if settings.may_be_mutual_connection { "yes" } else { "no" };
        writeln!(f, "found by            {found_by}")?;
        write!(f, "mutual connection   {mutual}")
    }
}
