//! `assent suggest list`.

use proto::suggest::v1::{MutualCount, SuggestionReason};

use super::{MOST, listed};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, table, words},
};

const EXAMPLES: &str = "\
Examples:
  assent suggest list ann
  assent suggest list ann --limit 50 --json | jq -r .subjectId

As: USER (the subject)";

/// Whom a person may know, best first. Everyone involved has agreed, at this moment.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// To whom they are suggested.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    limit: u32,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Prints them.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let listed = listed(&client, arguments.limit).await?;
    let mut people = table(["PERSON", "WHY", "MUTUAL", "NAMED"]);
    for one in &listed {
        let mutual = match one.mutual_connections() {
            MutualCount::Unspecified => "-".to_owned(),
            count => words(count.as_str_name(), "MUTUAL_COUNT_"),
        };
        let named = &one.named_connections;
        people.add_row([
            one.subject_id.clone(),
            words(SuggestionReason::as_str_name(&one.reason()), "SUGGESTION_REASON_"),
            mutual,
            if named.is_empty() { "-".to_owned() } else { named.join(" ") },
        ]);
    }
    let empty = "Nobody: either has not agreed, or nothing connects them (`assent contacts sync`).";
    arguments.output.list(&listed, &people, empty)
}
