//! `assent account erase` and `assent account erasure`.

use std::{fmt, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use proto::{
    consent::v1::Erasure,
    gateway::v1::{EraseAccountRequest, GetErasureRequest},
};
use tokio::time::sleep;
use tonic::Status;

use super::accounts;
use crate::{
    client::{Client, Connection, is_passing},
    exit::{Error, Exit},
    output::{Output, table, time},
    request::RequestId,
};

/// How often it is asked how far an erasure has come.
const EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  assent account erase ann --yes
  assent account erase ann --yes --wait    until all have (an hour or two)

As: USER (the subject), APP";

const ERASURE_EXAMPLES: &str = "\
Examples:
  assent account erasure ann
  until assent account erasure ann; do sleep 60; done

Exit code 0: every service has erased. 7: not yet.

As: USER (the subject), APP";

/// Erases an account everywhere, for good: its id is never used again. Every check is denied at
/// once; the services follow.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// Do it: there is no way back.
    #[arg(long)]
    yes: bool,
    /// Wait until every service has erased.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// How far an erasure has come, service by service.
#[derive(Debug, clap::Args)]
#[command(after_help = ERASURE_EXAMPLES)]
pub(super) struct ErasureArguments {
    /// Whose.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Erases the account.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let subject_id = arguments.subject_id.clone();
    if !arguments.yes {
        let what = format!("everything about {subject_id} would be erased, for good");
        return Err(Error::usage(what).with_next("say --yes if that is what you want"));
    }
    let client = arguments.connection.as_user(&subject_id)?;
    let request = EraseAccountRequest { request_id: arguments.request.get(), subject_id };
    let begun = accounts(&client).erase_account(request).await;
    let begun = begun.map_err(|status| client.told(&status))?.into_inner().erasure;
    let mut erasure = begun.unwrap_or_default();
    if arguments.wait && !erasure.complete {
        erasure = complete(&client, &arguments.subject_id).await?;
    }
    arguments.output.one(&erasure, Shown(&erasure))
}

/// Says how far it has come.
pub(super) async fn erasure(arguments: &ErasureArguments) -> Result<Exit, Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let erasure = get(&client, &arguments.subject_id).await;
    let erasure = erasure.map_err(|status| {
        client.told(&status).with_next("`assent account erase SUBJECT --yes` erases an account")
    })?;
    arguments.output.one(&erasure, Shown(&erasure))?;
    Ok(if erasure.complete { Exit::Done } else { Exit::No })
}

async fn get(client: &Client, subject_id: &str) -> Result<Erasure, Status> {
    let request = GetErasureRequest { subject_id: subject_id.to_owned() };
    let answer = accounts(client).get_erasure(request).await?;
    Ok(answer.into_inner().erasure.unwrap_or_default())
}

/// Waits until everyone has erased.
async fn complete(client: &Client, subject_id: &str) -> Result<Erasure, Error> {
    let bar = ProgressBar::no_length();
    if let Ok(style) = ProgressStyle::with_template("erasing {elapsed} {spinner} {msg}") {
        bar.set_style(style);
    }
    loop {
        match get(client, subject_id).await {
            Ok(erasure) if erasure.complete => {
                bar.finish_and_clear();
                return Ok(erasure);
            }
            Ok(erasure) => {
                let missing = erasure.followers.iter().filter(|one| one.acknowledged_at.is_none());
                let missing: Vec<&str> = missing.map(|one| one.follower.as_str()).collect();
                bar.set_message(format!("waiting for {}", missing.join(", ")));
            }
            // It is erased already; that it is known everywhere can be asked about later.
            Err(status) if is_passing(&status) => bar.set_message("no answer; asking again"),
            Err(status) => {
                bar.finish_and_clear();
                return Err(client.told(&status));
            }
        }
        bar.tick();
        sleep(EVERY).await;
    }
}

/// An erasure, to be read.
struct Shown<'a>(&'a Erasure);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Erasure { subject_id, requested_at, followers, complete } = self.0;
        writeln!(
            f,
            "{subject_id} was erased at {}; no check is granted.",
            time(requested_at.as_ref(), "-")
        )?;
        let mut services = table(["SERVICE", "ERASED"]);
        for one in followers {
            services.add_row([one.follower.clone(), time(one.acknowledged_at.as_ref(), "not yet")]);
        }
        if !followers.is_empty() {
            writeln!(f, "\n{}\n", services.trim_fmt())?;
        }
        if *complete {
            write!(f, "Every service has erased.")
        } else {
            write!(f, "How far it is by then: assent account erasure {subject_id}")
        }
    }
}
