//! `assent policy list`.

use super::{all, name, state};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, plain, table, time},
};

const EXAMPLES: &str = "\
Examples:
  assent policy list
  assent policy list --json | jq -r .ref.policyId

As: any role";

/// All versions of all policies, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Prints them.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_anybody()?;
    let policies = all(&client).await?;
    let mut people = table(["POLICY", "VERSION", "STATE", "EFFECTIVE", "WHERE", "TITLE"]);
    for policy in &policies {
        let (policy_id, version) = name(policy);
        let spec = policy.spec.clone().unwrap_or_default();
        people.add_row([
            policy_id.to_owned(),
            version.to_string(),
            state(policy),
            time(spec.effective_at.as_ref(), "-"),
            spec.jurisdictions.join(" "),
            plain(&spec.title),
        ]);
    }
    let empty = "There is no policy yet: `assent policy publish FILE`.";
    arguments.output.list(&policies, &people, empty)
}
