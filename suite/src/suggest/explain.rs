//! `assent suggest explain` and `assent suggest dismiss`.

use proto::suggest::v1::{DismissSuggestionRequest, ExplainSuggestionRequest};

use super::suggestions;
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, plain},
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent suggest explain ann SUGGESTION    (an id from `assent suggest list`)

As: USER (the subject)";

const DISMISS_EXAMPLES: &str = "\
Examples:
  assent suggest dismiss ann SUGGESTION    (an id from `assent suggest list`)

As: USER (the subject)";

/// Why a person was suggested, and under which purposes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// To whom it was suggested.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Its id in the list.
    #[arg(value_name = "SUGGESTION")]
    suggestion_id: String,
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
    /// Its id in the list.
    #[arg(value_name = "SUGGESTION")]
    suggestion_id: String,
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
    let request = ExplainSuggestionRequest { suggestion_id: arguments.suggestion_id.clone() };
    let answer = suggestions(&client).explain_suggestion(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    let under = answer.purpose_ids.join(", ");
    arguments.output.one(&answer, format!("{}\nBoth agreed to: {under}", plain(&answer.text)))
}

/// Dismisses it.
pub(super) async fn dismiss(arguments: &DismissArguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let request = DismissSuggestionRequest {
        request_id: arguments.request.get(),
        suggestion_id: arguments.suggestion_id.clone(),
    };
    let answer = suggestions(&client).dismiss_suggestion(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    arguments.output.one(&answer, "Dismissed.")
}
