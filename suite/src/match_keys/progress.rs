//! `assent match-keys progress`.

use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use tokio::time::sleep;

use super::{pace::Pace, rotation, rotation::Rotation};
use crate::{
    client::{Connection, is_passing},
    exit::{Error, Exit},
    output::{note, say},
};

const EXAMPLES: &str = "\
Examples:
  assent match-keys progress
  assent match-keys progress --watch    until everybody is under the newest one";

/// Shows how many people are keyed under each version of the secret.
///
/// Exit code 0: everybody is keyed under the newest one. 7: not yet.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Go on until everybody is keyed under the newest version.
    #[arg(long)]
    watch: bool,
    /// How often to look, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "watch",
        value_parser = clap::value_parser!(u64).range(1..=3_600))]
    every: u64,
    /// Print JSON: one object, or with --watch one a line each time.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Shows it.
pub(super) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let client = arguments.connection.as_admin()?;
    let mut now = rotation(&client).await.map_err(|status| client.told(&status))?;
    if arguments.watch {
        let mut watch = Watch::new(arguments.json);
        while !now.is_done() {
            watch.show(&now)?;
            sleep(Duration::from_secs(arguments.every)).await;
            match rotation(&client).await {
                Ok(seen) => now = seen,
                // Replicas are restarted while this runs.
                Err(status) if is_passing(&status) => watch.say("no answer; asking again"),
                Err(status) => return Err(client.told(&status)),
            }
        }
    }
    if arguments.json {
        say!("{}", now.as_json())?;
    } else {
        say!("{now}")?;
    }
    Ok(if now.is_done() { Exit::Done } else { Exit::No })
}

/// What is shown while it is waited for: a bar at a terminal, a line for each change elsewhere, or
/// JSON.
struct Watch {
    pace: Pace,
    bar: ProgressBar,
    as_json: bool,
    as_lines: bool,
    said: String,
}

impl Watch {
    fn new(as_json: bool) -> Self {
        let bar = if as_json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3} % {msg}") {
            bar.set_style(style);
        }
        let as_lines = !as_json && !stderr().is_terminal();
        Self { pace: Pace::default(), bar, as_json, as_lines, said: String::new() }
    }

    fn show(&mut self, now: &Rotation) -> Result<(), Error> {
        let (people, left) = (now.people(), now.left());
        self.pace.see(Instant::now(), left);
        let (pace, time_left) = (self.pace.per_second(), self.pace.time_left());
        if self.as_json {
            let mut shown = now.as_json();
            shown["per_second"] = pace.into();
            shown["seconds_left"] = time_left.map(|left| left.as_secs()).into();
            return say!("{shown}");
        }
        self.bar.set_length(people);
        self.bar.set_position(people - left);
        let mut text = now.waiting_for();
        if let (Some(pace), Some(left)) = (pace, time_left) {
            text = format!("{text}, {pace:.0} a second, about {} left", HumanDuration(left));
        }
        self.say(&text);
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.bar.set_message(text.to_owned());
        if self.as_lines && self.said != text {
            note(text);
        }
        text.clone_into(&mut self.said);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
