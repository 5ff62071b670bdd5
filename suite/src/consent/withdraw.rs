//! `assent consent withdraw`.

use proto::consent::v1::WithdrawRequest;

use super::consent;
use crate::{client::Connection, exit::Error, output::Output, request::RequestId};

const EXAMPLES: &str = "\
Examples:
  assent consent withdraw ann social.ads
  assent consent withdraw ann messenger.share_phone    and all that needs it

As: USER (the subject), APP";

/// Ends what was agreed to. Once this says so, no check that starts later answers GRANTED.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Who withdraws.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// From what; a purpose that requires it is denied with it.
    #[arg(value_name = "PURPOSE", required = true)]
    purpose_ids: Vec<String>,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Withdraws.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let Arguments { subject_id, purpose_ids, .. } = arguments;
    let client = arguments.connection.as_user(subject_id)?;
    let request = WithdrawRequest {
        request_id: arguments.request.get(),
        subject_id: subject_id.clone(),
        purpose_ids: purpose_ids.clone(),
    };
    let done = consent(&client).withdraw(request).await;
    let done = done.map_err(|status| client.told(&status))?.into_inner();
    let event = &done.event_id;
    let said = format!(
        "Withdrawn: {}. Recorded as event {event}. A receipt: assent consent receipt {subject_id} \
         {event}",
        purpose_ids.join(", ")
    );
    arguments.output.one(&done, said)
}
