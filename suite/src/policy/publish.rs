//! `assent policy publish`.

use std::path::PathBuf;

use prost_types::Timestamp;
use proto::consent::v1::{CreatePolicyRequest, PublishPolicyRequest};
use service_kit::clock::Clock;

use super::{file, name, policies};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, instant, time},
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent policy publish phone-sharing.json
  assent policy publish draft-7.toml --id phone-sharing
  assent policy publish next.json --effective-at 2027-01-01T00:00:00Z

As: ADMIN";

/// Announces what people are asked, from a file. A policy that is there already gets a new version.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The policy: JSON, or TOML if its name ends so (docs/cli.md).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The policy's id; without it, the file's name without its ending.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// When it takes effect, as RFC 3339, instead of what the file says; without either: now.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    effective_at: Option<Timestamp>,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Stores the draft and publishes it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let mut spec = file::read(&arguments.file)?;
    let now = || Clock::system().now().into();
    let effective_at = arguments.effective_at.or(spec.effective_at).unwrap_or_else(now);
    spec.effective_at = Some(effective_at);
    let stem = || arguments.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let policy_id = arguments.id.clone().or_else(stem).unwrap_or_default();
    let request = arguments.request.get();
    let client = arguments.connection.as_admin()?;
    let again = format!(
        "run it again with --request-id {request} --effective-at {effective_at}: it then counts once"
    );

    let create = CreatePolicyRequest {
        request_id: format!("{request}-create"),
        policy_id,
        spec: Some(spec),
    };
    let draft = policies(&client).create_policy(create).await;
    let draft = draft.map_err(|status| match client.told(&status) {
        Error::Passing(told) => Error::Passing(told).with_next(again.clone()),
        error => error.within("spec").while_doing(arguments.file.display()),
    })?;
    let draft = draft.into_inner().policy.unwrap_or_default();
    let (policy_id, version) = name(&draft);
    let publish = PublishPolicyRequest {
        request_id: format!("{request}-publish"),
        policy: draft.r#ref.clone(),
    };
    let published = policies(&client).publish_policy(publish).await;
    let published = published.map_err(|status| {
        let stored =
            format!("version {version} of {policy_id} is stored as a draft and asks nobody");
        let next = match client.told(&status) {
            Error::Input(_) => "correct the file and publish it again".to_owned(),
            _ => again,
        };
        client.told(&status).while_doing(stored).with_next(next)
    })?;
    let published = published.into_inner().policy.unwrap_or_default();
    let spec = published.spec.as_ref();
    let said = format!(
        "{policy_id} version {version} is published, in effect from {}: {} purposes, {}.",
        time(spec.and_then(|spec| spec.effective_at.as_ref()), "-"),
        spec.map_or(0, |spec| spec.purposes.len()),
        spec.map(|spec| spec.jurisdictions.join(", ")).unwrap_or_default(),
    );
    arguments.output.one(&published, said)
}
