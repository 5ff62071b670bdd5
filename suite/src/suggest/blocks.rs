//! `assent suggest block`, `unblock` and `blocked`.

use proto::suggest::v1::{BlockSubjectRequest, ListBlockedRequest, UnblockSubjectRequest};
use serde_json::json;

use super::suggestions;
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, say},
    request::RequestId,
};

const BLOCK_EXAMPLES: &str = "\
Examples:
  assent suggest block ann mallory

As: USER (the subject)";

const UNBLOCK_EXAMPLES: &str = "\
Examples:
  assent suggest unblock ann mallory

As: USER (the subject)";

const EXAMPLES: &str = "\
Examples:
  assent suggest blocked ann

As: USER (the subject)";

/// Blocks a person: neither is ever suggested to the other.
#[derive(Debug, clap::Args)]
#[command(after_help = BLOCK_EXAMPLES)]
pub(super) struct BlockArguments {
    /// Who blocks.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Who is blocked.
    #[arg(value_name = "OTHER")]
    other_id: String,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Ends a block.
#[derive(Debug, clap::Args)]
#[command(after_help = UNBLOCK_EXAMPLES)]
pub(super) struct UnblockArguments {
    /// Who blocks.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Who is blocked.
    #[arg(value_name = "OTHER")]
    other_id: String,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Whom a person blocks.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Who blocks.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Blocks.
pub(super) async fn block(arguments: &BlockArguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let request = BlockSubjectRequest {
        request_id: arguments.request.get(),
        blocked_subject_id: arguments.other_id.clone(),
    };
    let answer = suggestions(&client).block_subject(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    let (one, other) = (&arguments.subject_id, &arguments.other_id);
    let said = format!("Neither of {one} and {other} is suggested to the other any more.");
    arguments.output.one(&answer, said)
}

/// Ends a block.
pub(super) async fn unblock(arguments: &UnblockArguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let request = UnblockSubjectRequest {
        request_id: arguments.request.get(),
        blocked_subject_id: arguments.other_id.clone(),
    };
    let answer = suggestions(&client).unblock_subject(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    let said = format!("{} does not block {} any more.", arguments.subject_id, arguments.other_id);
    arguments.output.one(&answer, said)
}

/// Prints whom a person blocks: one a line.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let mut page_token = String::new();
    let mut nobody = true;
    loop {
        let request = ListBlockedRequest { page_size: 200, page_token };
        let page = suggestions(&client).list_blocked(request).await;
        let page = page.map_err(|status| client.told(&status))?.into_inner();
        for subject_id in &page.subject_ids {
            nobody = false;
            if arguments.output.json {
                say!("{}", json!({ "subjectId": subject_id }))?;
            } else {
                say!("{subject_id}")?;
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if nobody && !arguments.output.json { say!("Nobody.") } else { Ok(()) }
}
