//! `assent consent receipt` and `assent consent keys`: what to keep, to prove it later.

use std::path::PathBuf;

use proto::consent::v1::{GetReceiptKeysRequest, GetReceiptRequest};

use super::{consent, history};
use crate::{
    client::Connection,
    exit::Error,
    output::{json, save, say},
};

const EXAMPLES: &str = "\
Examples:
  assent consent receipt ann > receipt.json    of the latest event
  assent consent receipt ann 2-0a1b2c3d4e5f6071 --out receipt.json
  assent consent verify receipt.json --keys keys.json

As: USER (the subject), APP, ADMIN";

const KEYS_EXAMPLES: &str = "\
Examples:
  assent consent keys --out keys.json

As: any role";

/// The signed receipt of something that happened to a person's consent, as JSON, to be kept.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Of which event (`assent consent history`); without it, the latest.
    #[arg(value_name = "EVENT")]
    event_id: Option<String>,
    /// Write it into this file instead, which only you can read.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// The keys that receipts are verified with, as JSON: keep them beside the receipts.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS_EXAMPLES)]
pub(super) struct KeysArguments {
    /// Write them into this file instead, which only you can read.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

/// Gets the receipt.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let subject_id = arguments.subject_id.clone();
    let client = arguments.connection.as_user(&subject_id)?;
    let event_id = if let Some(event_id) = &arguments.event_id {
        event_id.clone()
    } else {
        let latest = history::all(&client, &subject_id).await?.pop();
        latest.ok_or_else(|| Error::not_found("nothing has happened yet"))?.event_id
    };
    let given = consent(&client).get_receipt(GetReceiptRequest { subject_id, event_id }).await;
    let next = "`assent consent history SUBJECT` shows the events";
    let given = given.map_err(|status| client.told(&status).with_next(next))?.into_inner();
    print(&given, arguments.out.as_ref())
}

/// Gets the keys.
pub(super) async fn keys(arguments: &KeysArguments) -> Result<(), Error> {
    let client = arguments.connection.as_anybody()?;
    let given = consent(&client).get_receipt_keys(GetReceiptKeysRequest {}).await;
    let given = given.map_err(|status| client.told(&status))?.into_inner();
    print(&given, arguments.out.as_ref())
}

fn print<M: prost::Name>(answer: &M, out: Option<&PathBuf>) -> Result<(), Error> {
    let text = json(answer)?;
    let Some(file) = out else { return say!("{text}") };
    save(file)?.finish(format!("{text}\n").as_bytes())?;
    say!("{} is written.", file.display())
}
