//! `assent consent`: for the people whose consent it is.

mod check;
mod decide;
mod history;
mod receipt;
mod show;
mod statement;
mod verify;
mod withdraw;

use proto::consent::v1::{
    DecisionReason, GetConsentRequest, GetConsentResponse, Outcome,
    consent_service_client::ConsentServiceClient,
};

use crate::{
    client::{Client, Session},
    exit::{Error, Exit},
    output::words,
};

const EXAMPLES: &str = "\
Examples:
  assent consent show ann
  assent consent decide ann --grant messenger.share_phone --others refuse
  assent consent withdraw ann social.ads
  assent consent history ann";

/// What people have agreed to, and what they can do about it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Arguments),
    Check(check::Arguments),
    Decide(decide::Arguments),
    Withdraw(withdraw::Arguments),
    History(history::Arguments),
    Receipt(receipt::Arguments),
    Keys(receipt::KeysArguments),
    Verify(verify::Arguments),
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let done = |()| Exit::Done;
    match &arguments.command {
        Command::Show(arguments) => show::run(arguments).await.map(done),
        Command::Check(arguments) => check::run(arguments).await,
        Command::Decide(arguments) => decide::run(arguments).await.map(done),
        Command::Withdraw(arguments) => withdraw::run(arguments).await.map(done),
        Command::History(arguments) => history::run(arguments).await.map(done),
        Command::Receipt(arguments) => receipt::run(arguments).await.map(done),
        Command::Keys(arguments) => receipt::keys(arguments).await.map(done),
        Command::Verify(arguments) => verify::run(arguments).map(done),
    }
}

fn consent(client: &Client) -> ConsentServiceClient<Session> {
    ConsentServiceClient::new(client.session())
}

async fn get(client: &Client, request: GetConsentRequest) -> Result<GetConsentResponse, Error> {
    let answer = consent(client).get_consent(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| client.told(&status))
}

fn answer(outcome: Outcome) -> &'static str {
    if outcome == Outcome::Granted { "yes" } else { "no" }
}

fn why(reason: DecisionReason) -> String {
    words(reason.as_str_name(), "DECISION_REASON_")
}
