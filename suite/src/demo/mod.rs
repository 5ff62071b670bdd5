//! `assent demo`: plays the whole story on a generated population, over the gateway and with real
//! tokens, and fails if any step does not show what it should.

mod account;
mod business;
mod friends;
mod parties;
mod people;
mod population;
mod progress;
mod report;
mod scenes;

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use service_kit::{
    auth::Issuer,
    clock::{Clock, UnixMillis},
};

use crate::{
    data::Data,
    embedded::{Addresses, Embedded},
    output::say,
};
use parties::Parties;
use population::Population;

/// The purposes of the example policies that the story turns on.
const ADS: &str = "social.ads";
const FRIEND_SUGGESTIONS: &str = "social.friend_suggestions";
const MESSAGES: &str = "social.messages_from_businesses";
const DAY: Duration = Duration::from_hours(24);

const EXAMPLES: &str = "\
Examples:
  assent demo                                     on a suite of its own
  assent demo --endpoint http://127.0.0.1:8080    on one that runs";

/// Plays the whole story on a generated population and shows what each party sees.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many people have an account.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(4_000..=5_000_000))]
    subjects: u64,
    /// How many rows the business's customer list has.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u64).range(6_000..=5_000_000))]
    customers: u64,
    /// The same seed generates the same people.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A running suite to play it on, as `assent serve` prints it. Without one the demo starts its
    /// own, on a clock that can be moved forward, and leaves nothing behind.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The directory of that suite, where its development key is.
    #[arg(long, value_name = "DIR", default_value = "assent-data")]
    data: PathBuf,
}

/// What every scene needs.
struct Story {
    parties: Parties,
    population: Population,
    began: UnixMillis,
    seed: u64,
}

impl Story {
    /// The request id of a step: the same in every run with the same seed, so that a run that broke
    /// off can be started again on the same suite.
    fn id(&self, step: impl std::fmt::Display) -> String {
        format!("demo-{}-{step}", self.seed)
    }
}

/// Where the story plays.
enum Stage {
    /// On a suite of the demo's own, whose time it moves.
    Own { suite: Embedded, _directory: tempfile::TempDir },
    /// On one that is running already, in real time.
    Running,
}

/// Runs the demo.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (stage, endpoint, issuer, clock) = match &arguments.endpoint {
        Some(endpoint) => {
            let issuer = Data::open(&arguments.data)?.development_issuer()?;
            (Stage::Running, endpoint.clone(), issuer, Clock::system())
        }
        None => own_stage().await?,
    };
    let seed = arguments.seed;
    let story = Story {
        parties: Parties::new(&endpoint, issuer, clock.clone())?,
        population: Population::generate(usize::try_from(arguments.subjects)?, seed),
        began: clock.now(),
        seed,
    };
    let can_wait = matches!(stage, Stage::Own { .. });
    let shown = scenes::play(&story, usize::try_from(arguments.customers)?, can_wait).await;
    if let Stage::Own { suite, .. } = stage {
        suite.stop().await.context("the suite did not stop cleanly")?;
    }
    Ok(say!("{}", shown?)?)
}

async fn own_stage() -> anyhow::Result<(Stage, String, Issuer, Clock)> {
    let directory = tempfile::tempdir().context("making a directory for the demo")?;
    let clock = Clock::manual(Clock::system().now());
    keep_time(&clock);
    let data = Data::open(directory.path())?;
    let issuer = data.development_issuer()?;
    let suite = Embedded::start(data, Addresses::free(), clock.clone()).await?;
    let endpoint = format!("http://{}", suite.gateway());
    Ok((Stage::Own { suite, _directory: directory }, endpoint, issuer, clock))
}

/// Lets a clock that is moved by hand run with real time in between.
fn keep_time(clock: &Clock) {
    let clock = clock.clone();
    tokio::spawn(async move {
        let mut last = std::time::Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.advance(last.elapsed());
            last = std::time::Instant::now();
        }
    });
}
