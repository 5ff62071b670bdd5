//! `assent match-keys retire`.

use indicatif::{HumanCount, ProgressBar};
use proto::audience::v1::RetireMatchKeyVersionRequest;

use super::{directory, rotation};
use crate::{client::Connection, exit::Error, output::say};

const EXAMPLES: &str = "\
Examples:
  assent match-keys retire 1          how many people that would remove
  assent match-keys retire 1 --yes    removes them";

/// Removes the people who are left under a version that no replica has any more.
///
/// No new list finds them. They leave the directory, and with it every list in which they are; the
/// app can register them again at any time.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Which version.
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    version: u16,
    /// Remove them: without it, it is only said how many there are.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Removes them, in portions.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let version = arguments.version;
    let client = arguments.connection.as_admin()?;
    let now = rotation(&client).await.map_err(|status| client.told(&status))?;
    let Some(one) = now.version(version).filter(|one| one.people > 0) else {
        return say!("Nobody is keyed under version {version}: there is nothing to remove.");
    };
    let people = HumanCount(one.people);
    if one.replicas > 0 {
        return Err(Error::input(format!(
            "{people} people are keyed under version {version}, and {} replicas find them by it",
            now.replicas_with(one)
        ))
        .with_next(
            "let the app register them again, or give them up: take the version out of match_keys \
             of every replica, and retire it then (a replica that was killed counts for up to a \
             minute)",
        ));
    }
    if !arguments.yes {
        return Err(Error::input(format!(
            "{people} people are keyed under version {version}, which no replica has: no new list \
             finds them. They would leave the directory, and every list in which they are"
        ))
        .with_next(
            "either put the secret back into match_keys.older until the app has registered them \
             again, or say --yes to remove them",
        ));
    }
    let bar = ProgressBar::new(one.people);
    let mut removed = 0;
    let left = loop {
        let request_id = format!("retire-{:032x}", rand::random::<u128>());
        let request = RetireMatchKeyVersionRequest { request_id, version: version.into() };
        let done = match directory(&client).retire_match_key_version(request).await {
            Ok(done) => done.into_inner(),
            Err(status) => {
                bar.finish_and_clear();
                let gone = HumanCount(removed);
                let told = client.told(&status).while_doing(format!("{gone} were removed"));
                return Err(told.with_next("run it again to go on"));
            }
        };
        removed += done.people_removed;
        bar.inc(done.people_removed);
        if done.people_left == 0 || done.people_removed == 0 {
            break done.people_left;
        }
    };
    bar.finish_and_clear();
    let (removed, left) = (HumanCount(removed), HumanCount(left));
    say!("{removed} people were removed; {left} are left under version {version}.")
}
