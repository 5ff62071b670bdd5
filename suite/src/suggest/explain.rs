//! `assent suggest explain` and `assent suggest dismiss`.

use proto::suggest::v1::{DismissSuggestionRequest, ExplainSuggestionRequest};

use super::{find, suggestions};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, plain},
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent suggest explain ann bob

As: USER (the subject)";

const DISMISS_EXAMPLES: &str = "\
Examples:
  assent suggest dismiss ann bob

As: USER (the subject)";

/// Why a person was suggested, and under which purposes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// To whom it was suggested.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Who was suggested, or the id of the suggestion.
    #[arg(value_name = "PERSON")]
    suggested: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Not interested: the person is not suggested again for a time.
#[derive(Debug, clap::Args)]
#[command(after_help = DISMISS_EXAMPLES)]
pub(super) struct DismissArguments {
    /// To whom it was suggested.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Who was suggested, or the id of the suggestion.
    #[arg(value_name = "PERSON")]
    suggested: String,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Explains it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let suggestion_id = find(&client, &arguments.suggested).await?;
    let request = ExplainSuggestionRequest { suggestion_id };
    let answer = suggestions(&client).explain_suggestion(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    let under = answer.purpose_ids.join(", ");
    arguments.output.one(&answer, format!("{}\nBoth agreed to: {under}", plain(&answer.text)))
}

/// Dismisses it.
pub(super) async fn dismiss(arguments: &DismissArguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let suggestion_id = find(&client, &arguments.suggested).await?;
    let request = DismissSuggestionRequest { request_id: arguments.request.get(), suggestion_id };
    let answer = suggestions(&client).dismiss_suggestion(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    arguments.output.one(&answer, "Dismissed.")
}
