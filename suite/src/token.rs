//! `assent token`: a token signed by the development key of a suite.

use std::{path::PathBuf, time::Duration};

use proto::options::v1::Role;
use service_kit::{auth::Caller, clock::Clock};

use crate::{client::check_subject_id, data::Data, exit::Error, output::say};

const EXAMPLES: &str = "\
Examples:
  assent token --role user --subject ann
  assent token --role business --business corner-bakery --owner bakery-ltd
  (umask 077; assent token --role admin > admin.token)";

/// Prints a token for a running development suite: `Authorization: Bearer <token>`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Whom the token stands for.
    #[arg(long, value_enum)]
    role: RoleName,
    /// The person (USER), or a name for the caller in logs (the others).
    #[arg(long, required_if_eq("role", "user"), default_value = "developer")]
    subject: String,
    /// The business (BUSINESS).
    #[arg(long, required_if_eq("role", "business"))]
    business: Option<String>,
    /// The legal entity behind the business (BUSINESS); the business itself if not given.
    #[arg(long)]
    owner: Option<String>,
    /// How long it is valid, in hours.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// The suite's directory.
    #[arg(long, value_name = "DIR", default_value = "assent-data")]
    data: PathBuf,
}

/// The roles that a person at a terminal may want to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RoleName {
    /// An end user's app.
    User,
    /// A business.
    Business,
    /// The platform's back ends.
    App,
    /// An ad server.
    AdServer,
    /// An operator.
    Admin,
}

/// Prints the token.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let subject = arguments.subject.as_str();
    let caller = match arguments.role {
        RoleName::User => {
            check_subject_id(subject)?;
            Caller::user(subject)
        }
        RoleName::Business => {
            let business = arguments.business.as_deref();
            let business = business.ok_or_else(|| Error::usage("which business? (--business)"))?;
            Caller::business(business, arguments.owner.as_deref().unwrap_or(business))
        }
        RoleName::App => Caller::named(Role::App, subject),
        RoleName::AdServer => Caller::named(Role::AdServer, subject),
        RoleName::Admin => Caller::named(Role::Admin, subject),
    };
    let issuer = Data::open(&arguments.data)?.development_issuer()?;
    let lifetime = Duration::from_secs(arguments.hours.saturating_mul(3600));
    say!("{}", issuer.issue(&caller, Clock::system().now(), lifetime))
}
