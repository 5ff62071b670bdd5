//! `assent account register`.

use identifiers::Region;
use prost_types::Timestamp;
use proto::{
    consent::v1::{AgeBand, GetConsentRequest, consent_service_client::ConsentServiceClient},
    gateway::v1::RegisterAccountRequest,
    types::v1::StorageStatus,
};
use service_kit::clock::Clock;
use tonic::Code;

use super::{accounts, identifiers::Identifiers};
use crate::{
    client::{Client, Connection},
    exit::Error,
    output::{Output, instant, table, words},
    people::service_says,
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent account register ann --jurisdiction DE --identifiers ann.txt
  assent account register bob --jurisdiction US-CA --age-band under-age

People register before they decide: audience-svc and suggest-svc store nothing
until they agree. Once they have, run it again.

As: APP";

/// Makes an account known to every service, or replaces what is known of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The account.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Whose law applies: a country, or a part of it (`US-CA`).
    #[arg(long, value_name = "PLACE")]
    jurisdiction: String,
    /// Whether a guardian decides.
    #[arg(long, value_enum, default_value = "adult")]
    age_band: Age,
    /// When the account was opened, as RFC 3339; without it: as is known of it, or now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    created_at: Option<Timestamp>,
    /// An app in which the person has an account; can be repeated.
    #[arg(long = "app", value_name = "APP")]
    apps: Vec<String>,
    /// The country of phone numbers without a country code, as in DE.
    #[arg(long, value_name = "COUNTRY")]
    region: Option<Region>,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    identifiers: Identifiers,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Age {
    /// Decides alone.
    Adult,
    /// A guardian decides.
    UnderAge,
}

/// Registers the account. Identifiers that were refused make it fail, though the others count.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_app()?;
    let (places, identifiers): (Vec<_>, Vec<_>) = arguments.identifiers.read()?.into_iter().unzip();
    let age_band = match arguments.age_band {
        Age::Adult => AgeBand::Adult,
        Age::UnderAge => AgeBand::UnderAge,
    };
    let created_at = match arguments.created_at {
        Some(at) => at,
        None => known_since(&client, &arguments.subject_id).await?,
    };
    let request = RegisterAccountRequest {
        request_id: arguments.request.get(),
        subject_id: arguments.subject_id.clone(),
        jurisdiction: arguments.jurisdiction.clone(),
        age_band: age_band.into(),
        account_created_at: Some(created_at),
        apps: arguments.apps.clone(),
        identifiers,
        default_region: arguments.region.map(|region| region.to_string()).unwrap_or_default(),
    };
    let made = accounts(&client).register_account(request).await;
    let made = made.map_err(|status| client.told(&status))?.into_inner();
    let mut people = table(["SERVICE", "DATA"]);
    let services = [
        ("consent-svc", made.consent()),
        ("audience-svc", made.audience()),
        ("suggest-svc", made.suggest()),
    ];
    for (service, status) in services {
        let data = words(StorageStatus::as_str_name(&status), "STORAGE_STATUS_");
        people.add_row([service.to_owned(), data]);
    }
    arguments.output.one(&made, people.trim_fmt())?;
    if made.rejections.is_empty() {
        return Ok(());
    }
    let what = "the account is registered, without the identifiers that were refused";
    let error = Error::input(what).with_next("correct them and run it again");
    let fault = |error: Error, one: &proto::types::v1::Rejection| {
        let at = places.get(one.index as usize).cloned().unwrap_or_default();
        error.with_fault(at, service_says(one.reason()))
    };
    Err(made.rejections.iter().fold(error, fault))
}

/// When the account was opened, as it was registered before; else now. Registering it again must not
/// make it younger: some policies ask older accounts only.
async fn known_since(client: &Client, subject_id: &str) -> Result<Timestamp, Error> {
    let request = GetConsentRequest { subject_id: subject_id.to_owned(), as_of: None };
    match ConsentServiceClient::new(client.session()).get_consent(request).await {
        Ok(found) => {
            let known = found.into_inner().subject.and_then(|subject| subject.account_created_at);
            Ok(known.unwrap_or_else(|| Clock::system().now().into()))
        }
        // Whatever is wrong with the request, registering tells with all the rest.
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => {
            Ok(Clock::system().now().into())
        }
        Err(status) => Err(client.told(&status)),
    }
}
