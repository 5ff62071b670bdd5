//! `assent account export`.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use proto::{gateway::v1::ExportAccountRequest, types::v1::ExportRecord};
use serde_json::Value;

use super::accounts;
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, json, plain, save, say, time},
};

const EXAMPLES: &str = "\
Examples:
  assent account export ann
  assent account export ann --out ann.jsonl    one JSON document a line

As: USER (the subject), APP";

/// Everything that every service holds about an account.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Write it into this file instead, as JSON, which only you can read. The file appears when all
    /// of it is there.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Prints or writes the records as they come.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let subject_id = arguments.subject_id.clone();
    let client = arguments.connection.as_user(&subject_id)?;
    let answer = accounts(&client).export_account(ExportAccountRequest { subject_id }).await;
    let mut parts = answer.map_err(|status| client.told(&status))?.into_inner();
    let mut file = arguments.out.as_deref().map(save).transpose()?;
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("exporting: {human_pos} records {spinner}") {
        bar.set_style(style);
    }
    let mut records = 0_u64;
    loop {
        let part = parts.message().await.map_err(|status| {
            client.told(&status).while_doing("the export broke off, what was printed is not all")
        })?;
        let Some(part) = part else { break };
        for record in part.records {
            records += 1;
            if file.is_some() {
                bar.inc(1);
            }
            match &mut file {
                Some(file) => {
                    file.write(format!("{}\n", document(&part.service, &record)?).as_bytes())?;
                }
                None if arguments.output.json => say!("{}", document(&part.service, &record)?)?,
                None => say!("{}", described(&part.service, &record))?,
            }
        }
    }
    bar.finish_and_clear();
    match (file, &arguments.out) {
        (Some(file), Some(place)) => {
            file.finish(b"")?;
            say!("{records} records are in {}.", place.display())
        }
        _ if records == 0 && !arguments.output.json => say!("No service holds anything."),
        _ => Ok(()),
    }
}

/// One record for machines.
fn document(service: &str, record: &ExportRecord) -> Result<Value, Error> {
    let mut document = json(record)?;
    document["service"] = service.into();
    Ok(document)
}

/// One record for people.
fn described(service: &str, record: &ExportRecord) -> String {
    let at = time(record.recorded_at.as_ref(), "");
    let mut text = format!("{service}  {}  {at}", plain(&record.category));
    for field in &record.fields {
        text.extend(["\n    ", &plain(&field.name), ": ", &plain(&field.value)]);
    }
    text
}
