//! `assent consent check`.

use proto::consent::v1::{CheckRequest, Outcome};

use super::{consent, why};
use crate::{
    client::Connection,
    exit::{Error, Exit},
    output::{Output, time},
};

const EXAMPLES: &str = "\
Examples:
  assent consent check ann social.ads
  assent consent check ann social.ads && echo \"may be shown ads\"

Exit code 0: GRANTED. 7: DENIED. Anything else: not known, which is to be
treated as DENIED.

As: USER (the subject), APP, AD_SERVER, SERVICE";

/// May this be done with this person's data, now?
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose data.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// For what.
    #[arg(value_name = "PURPOSE")]
    purpose_id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Asks.
pub(super) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let Arguments { subject_id, purpose_id, .. } = arguments;
    let client = arguments.connection.as_user(subject_id)?;
    let request = CheckRequest { subject_id: subject_id.clone(), purpose_id: purpose_id.clone() };
    let answer = consent(&client).check(request).await;
    let answer = answer.map_err(|status| client.told(&status))?.into_inner();
    let granted = answer.outcome() == Outcome::Granted;
    let until = match &answer.valid_until {
        Some(until) => format!(", until {} at the latest", time(Some(until), "")),
        None => String::new(),
    };
    let outcome = if granted { "GRANTED" } else { "DENIED" };
    let said = format!("{outcome} ({}){until}", why(answer.reason()));
    arguments.output.one(&answer, said)?;
    Ok(if granted { Exit::Done } else { Exit::No })
}
