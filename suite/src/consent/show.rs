//! `assent consent show`.

use prost_types::Timestamp;
use proto::consent::v1::{AgeBand, ChangeOption, GetConsentRequest};

use super::{answer, get, why};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, instant, plain, table, time, words},
};

const EXAMPLES: &str = "\
Examples:
  assent consent show ann
  assent consent show ann --as-of 2026-01-31T12:00:00Z    what held at that time

As: USER (the subject), APP, ADMIN";

/// Everything that a person can agree to, and what holds now.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// What held at a past time, as RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<Timestamp>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Prints it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let subject_id = arguments.subject_id.clone();
    let client = arguments.connection.as_user(&subject_id)?;
    let found = get(&client, GetConsentRequest { subject_id, as_of: arguments.as_of }).await?;
    let subject = found.subject.clone().unwrap_or_default();
    let signal = if subject.objection_signal { ", device objects" } else { "" };
    let about = format!(
        "{}: jurisdiction {}, {}, apps {}{signal}, revision {}",
        subject.subject_id,
        subject.jurisdiction,
        words(AgeBand::as_str_name(&subject.age_band()), "AGE_BAND_"),
        if subject.apps.is_empty() { "none".to_owned() } else { subject.apps.join(" ") },
        subject.revision,
    );
    if found.purposes.is_empty() {
        return arguments.output.one(&found, format!("{about}\nNo policy asks this person."));
    }
    let mut people = table(["PURPOSE", "ANSWER", "WHY", "UNTIL", "CAN STILL", "TITLE"]);
    for one in &found.purposes {
        let purpose = one.purpose.clone().unwrap_or_default();
        let option = words(ChangeOption::as_str_name(&one.change_option()), "CHANGE_OPTION_");
        let can = match &one.change_until {
            Some(until) => format!("{option} until {}", time(Some(until), "")),
            None => option,
        };
        people.add_row([
            purpose.purpose_id,
            answer(one.outcome()).to_owned(),
            why(one.reason()),
            time(one.valid_until.as_ref(), "-"),
            can,
            plain(purpose.texts.first().map_or("", |text| &text.title)),
        ]);
    }
    arguments.output.one(&found, format!("{about}\n\n{}", people.trim_fmt()))
}
