//! `assent audience create`, `show`, `list` and `delete`.

use std::{fmt, time::Duration};

use proto::audience::v1::{
    Audience, AudienceState, CreateAudienceRequest, CustomerSource, DeleteAudienceRequest,
    GetAudienceRequest, ListAudiencesRequest,
};

use super::{AsBusiness, size, state};
use crate::{
    exit::Error,
    output::{Output, plain, table, time, words},
    request::RequestId,
};

const CREATE: &str = "\
Examples:
  assent audience create \"Newsletter readers\" --source user
  assent audience create \"Shop customers\" --source both --days 30 --json";

/// Makes an empty audience, which a list of customers can be uploaded to.
#[derive(Debug, clap::Args)]
#[command(after_help = CREATE)]
pub(super) struct Create {
    /// What it is called; for the business.
    name: String,
    /// Where the business has its customers' identifiers from: from themselves, from a partner, or
    /// from both.
    #[arg(long, value_enum, value_name = "WHOM")]
    source: Source,
    /// What it is for; for the business.
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// How long a person stays in it after the upload that added them, in days: 1 to 540.
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    days: u64,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    business: AsBusiness,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Source {
    User,
    Partner,
    Both,
}

const SHOW: &str = "\
Examples:
  assent audience show aud_01
  assent audience show aud_01 --json | jq .size";

/// One audience: what it is doing, how large it is, and what to do next.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW)]
pub(super) struct Show {
    /// Which, by its id.
    audience: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    business: AsBusiness,
}

const LIST: &str = "\
Examples:
  assent audience list
  assent audience list --json | jq -r .audienceId";

/// The business's audiences, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
pub(super) struct List {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    business: AsBusiness,
}

const DELETE: &str = "\
Examples:
  assent audience delete aud_01";

/// Ends an audience: nobody is in it any more, and it is no longer targeted.
#[derive(Debug, clap::Args)]
#[command(after_help = DELETE)]
pub(super) struct Delete {
    /// Which, by its id.
    audience: String,
    #[command(flatten)]
    request_id: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    business: AsBusiness,
}

impl Create {
    pub(super) async fn run(&self) -> Result<(), Error> {
        let mut asked = self.business.open()?;
        let source = match self.source {
            Source::User => CustomerSource::UserProvided,
            Source::Partner => CustomerSource::PartnerProvided,
            Source::Both => CustomerSource::Both,
        };
        let lifetime = Duration::from_secs(self.days.saturating_mul(86_400));
        let too_long = |_| Error::input("nobody stays in an audience for that many days");
        let request = CreateAudienceRequest {
            request_id: self.request_id.get(),
            display_name: self.name.clone(),
            description: self.description.clone(),
            customer_source: source.into(),
            membership_lifetime: Some(lifetime.try_into().map_err(too_long)?),
        };
        let created = asked.api.create_audience(request).await;
        let created = created.map_err(|status| asked.told(&status))?.into_inner();
        let audience = asked.present(created.audience)?;
        self.output.one(&audience, Shown(&audience))
    }
}

impl Show {
    pub(super) async fn run(&self) -> Result<(), Error> {
        let mut asked = self.business.open()?;
        let request = GetAudienceRequest { audience_id: self.audience.clone() };
        let found = asked.api.get_audience(request).await;
        let found = found.map_err(|status| asked.told(&status))?.into_inner();
        let audience = asked.present(found.audience)?;
        self.output.one(&audience, Shown(&audience))
    }
}

impl List {
    pub(super) async fn run(&self) -> Result<(), Error> {
        let mut asked = self.business.open()?;
        let mut audiences = Vec::new();
        let mut request = ListAudiencesRequest { page_size: 200, page_token: String::new() };
        loop {
            let page = asked.api.list_audiences(request.clone()).await;
            let page = page.map_err(|status| asked.told(&status))?.into_inner();
            audiences.extend(page.audiences);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let mut rows = table(["AUDIENCE", "NAME", "STATE", "SIZE", "CHANGED"]);
        for audience in &audiences {
            rows.add_row([
                audience.audience_id.clone(),
                plain(&audience.display_name),
                state(audience).to_owned(),
                size(audience.size.as_ref()),
                time(audience.updated_at.as_ref(), ""),
            ]);
        }
        let empty = "No audience yet: `assent audience create` makes one.";
        self.output.list(&audiences, &rows, empty)
    }
}

impl Delete {
    pub(super) async fn run(&self) -> Result<(), Error> {
        let mut asked = self.business.open()?;
        let request = DeleteAudienceRequest {
            request_id: self.request_id.get(),
            audience_id: self.audience.clone(),
        };
        let deleted = asked.api.delete_audience(request).await;
        let answer = deleted.map_err(|status| asked.told(&status))?.into_inner();
        self.output.one(&answer, format!("{} is ended.", plain(&self.audience)))
    }
}

/// An audience, as people read it.
struct Shown<'a>(&'a Audience);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(audience) = self;
        let days = audience.membership_lifetime.as_ref().map_or(0, |one| one.seconds / 86_400);
        let source = words(audience.customer_source().as_str_name(), "CUSTOMER_SOURCE_");
        writeln!(f, "{}  {}", audience.audience_id, plain(&audience.display_name))?;
        if !audience.description.is_empty() {
            writeln!(f, "{}", plain(&audience.description))?;
        }
        writeln!(f, "state      {}", state(audience))?;
        writeln!(f, "size       {}", size(audience.size.as_ref()))?;
        writeln!(f, "customers  {source}; each stays for {days} days")?;
        writeln!(f, "changed    {}", time(audience.updated_at.as_ref(), "never"))?;
        match audience.state() {
            // What it advises is for programs.
            AudienceState::Empty => write!(
                f,
                "next       assent audience upload FILE {} --may-use-list",
                plain(&audience.audience_id)
            ),
            _ => write!(f, "next       {}", plain(&audience.advice)),
        }
    }
}
