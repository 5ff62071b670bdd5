//! `assent policy retire`.

use proto::consent::v1::{PolicyRef, PolicyState, RetirePolicyRequest};

use super::{name, policies, versions};
use crate::{client::Connection, exit::Error, output::Output, request::RequestId};

const EXAMPLES: &str = "\
Examples:
  assent policy retire phone-sharing
  assent policy retire phone-sharing --version 1

As: ADMIN";

/// Ends a published version: what it asked for is denied unless another version covers it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Which policy.
    #[arg(value_name = "ID")]
    policy_id: String,
    /// Which version; may be left out if only one is published.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Ends it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_admin()?;
    let policy_id = &arguments.policy_id;
    let version = if let Some(version) = arguments.version {
        version
    } else {
        let mut published = versions(&client, policy_id).await?;
        published.retain(|policy| policy.state() == PolicyState::Published);
        let numbers: Vec<u32> = published.iter().map(|policy| name(policy).1).collect();
        match numbers[..] {
            [one] => one,
            [] => {
                let what = format!("no version of {policy_id} is published");
                return Err(Error::not_found(what).with_next("see `assent policy list`"));
            }
            _ => {
                let all = format!("published are the versions {numbers:?} of {policy_id}");
                return Err(Error::input(all).with_next("say which one with --version"));
            }
        }
    };
    let request = RetirePolicyRequest {
        request_id: arguments.request.get(),
        policy: Some(PolicyRef { policy_id: policy_id.clone(), version }),
    };
    let retired = policies(&client).retire_policy(request).await;
    let retired = retired.map_err(|status| client.told(&status))?.into_inner();
    let said = format!("{policy_id} version {version} is retired.");
    arguments.output.one(&retired.policy.unwrap_or_default(), said)
}
