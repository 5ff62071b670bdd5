//! Deliberate faults of the protocol that must be found: each is run under the conditions in which
//! the step that it leaves out is needed, until there is a stale yes. The same conditions without
//! it must find nothing.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::time::timeout;

use super::{
    history::Wrong,
    run::{Plan, Run, WritesAt},
    tally::Tally,
    trouble::Trouble,
};
use crate::{Result, svc::Program};

/// The lease of most: short, so that all is soon over.
const LEASE: Duration = Duration::from_millis(300);
/// W at that.
const WAIT: Duration = Duration::from_millis(367);
/// The least that the conditions are kept up without the mutant.
const CONTROL: Duration = Duration::from_secs(4);

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A mutant, and when the step that it leaves out is needed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub mutant: &'static str,
    plan: Plan,
    troubles: Vec<Trouble>,
}

/// What became of one.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub mutant: &'static str,
    /// Whether a stale yes was seen.
    pub caught: bool,
    /// What was wrong by then.
    pub wrong: String,
    /// How many answers had been judged by then.
    pub audited: u64,
    /// How many faults there had been.
    pub faults: u64,
    /// How long it took.
    pub took: Duration,
}

/// A mutant and its scenario.
pub fn scenario(mutant: &'static str, seed: u64, logs: Option<&Path>) -> Result<Scenario> {
    let few = Plan {
        seed,
        logs: logs.map(|logs| logs.join(mutant)),
        subjects: 64,
        linked: 0,
        governed: 0,
        batch: 64,
        writers: 16,
        write_pause: millis(30),
        sweep_pause: millis(5),
        lease: LEASE,
        ..Plan::default()
    };
    // Where many who ask wait for the database, and the others must have time to ask.
    let patient = Plan { followers: 32, write_pause: millis(150), ..few.clone() };
    let from = |replica: usize| WritesAt::Some(vec![replica]);
    let flaps = |replica| Trouble::NoRedisAt { replica, gone: millis(300), there: millis(900) };
    let (plan, troubles) = match mutant {
        // One deletes or fences too little: seen at once.
        "no-delete" => (few, vec![]),
        "no-linked-fence" => (Plan { linked: 64, ..few }, vec![]),
        // A reader keeps what it read between the deletion and the commit of a slow writer.
        "no-fence" => {
            let slow = Trouble::SlowDatabase { replica: 0, there: millis(15), back: millis(15) };
            (Plan { writes_at: from(0), checks_at: vec![1], ..few }, vec![slow])
        }
        // A slow reader keeps what it read before a write that is over by then.
        "no-nonce" => {
            let slow = Trouble::SlowDatabase { replica: 0, there: millis(0), back: millis(60) };
            let plan = Plan { subjects: 32, write_pause: millis(10), writes_at: from(1), ..few };
            (plan, vec![slow])
        }
        // A slow writer's fence on two accounts is replaced by a quick writer's, who clears it.
        "unconditional-commit" => {
            let slow = Trouble::SlowDatabase { replica: 0, there: millis(20), back: millis(20) };
            let plan = Plan {
                subjects: 32,
                linked: 32,
                writers: 32,
                write_pause: millis(80),
                writes_at: WritesAt::ByNumber,
                checks_at: vec![1],
                ..few
            };
            (plan, vec![slow])
        }
        // A writer deletes in a generation that was over before its fence was there.
        "row-before-fence" => {
            let plan =
                Plan { replicas: 3, writes_at: WritesAt::ByNumber, checks_at: vec![2], ..few };
            let plan = Plan { write_pause: millis(5), ..plan };
            (plan, vec![Trouble::HeldWhileReopened { held: 0, cut: 1 }])
        }
        // One that cannot reach Redis writes, while another that can still has its lease.
        "no-wait" => (Plan { writes_at: from(0), checks_at: vec![1], ..few }, vec![flaps(0)]),
        // The same, and a third one finds the cache closed and writes at once.
        "only-mover-waits" => {
            let flaps = Trouble::NoRedisAt { replica: 0, gone: millis(300), there: LEASE * 9 };
            let plan = Plan { replicas: 3, lease: LEASE * 3, checks_at: vec![1], ..few };
            (Plan { writes_at: WritesAt::Some(vec![0, 2]), ..plan }, vec![flaps])
        }
        "no-identity" => (Plan { lease: LEASE * 3, ..few }, vec![Trouble::Failover]),
        "identity-at-connect" | "run-id" => (few, vec![Trouble::PromotedBack]),
        // One hears nothing of the database, and goes on with the lease that it had.
        "lease-not-tested" => {
            let held = Trouble::HeldDatabase { replica: 0, held: WAIT * 5, open: WAIT * 2 };
            (Plan { writes_at: from(1), ..patient }, vec![held, flaps(1)])
        }
        // What one hears of the database is older than a lease.
        "lease-from-reply" => {
            let slow = Trouble::SlowDatabase { replica: 0, there: millis(0), back: WAIT * 2 };
            let flaps = Trouble::NoRedisAt { replica: 1, gone: millis(300), there: WAIT * 7 };
            (Plan { writes_at: from(1), ..patient }, vec![slow, flaps])
        }
        // All checks read the database, and share what others read.
        "read-begun-earlier" => (Plan { subjects: 32, ..few }, vec![Trouble::NoRedis]),
        unknown => return Err(format!("there is no scenario for the mutant {unknown}").into()),
    };
    Ok(Scenario { mutant, plan, troubles })
}

impl Scenario {
    /// Runs the mutant until it is caught, for so long at most.
    pub async fn run(&self, program: &Program, within: Duration) -> Result<Outcome> {
        let mutant = Program { mutant: Some(self.mutant), ..program.clone() };
        let (tally, took) = self.play(&mutant, within).await?;
        let caught = tally.count(Wrong::StaleYes) > 0;
        if let (false, Some(broken)) = (caught, tally.broken()) {
            return Err(format!("{}: {broken}", self.mutant).into());
        }
        let wrong =
            tally.all_wrong().into_iter().map(|(wrong, count)| format!("{count} {wrong:?}"));
        let wrong = wrong.collect::<Vec<_>>().join(", ");
        let (audited, faults) = (tally.audited(), tally.faults());
        Ok(Outcome { mutant: self.mutant, caught, wrong, audited, faults, took })
    }

    /// Keeps the same conditions up without the mutant, for twice as long as the mutant lived: how
    /// many answers were judged, all of which were right.
    pub async fn control(&self, program: &Program, lived: Duration) -> Result<u64> {
        let (tally, _) = self.play(program, CONTROL.max(lived * 2)).await?;
        if let Some((wrong, _)) = tally.all_wrong().first() {
            return Err(format!("{}: {wrong:?} without the mutant", self.mutant).into());
        }
        match tally.broken() {
            Some(broken) => Err(format!("{}, without the mutant: {broken}", self.mutant).into()),
            None => Ok(tally.audited()),
        }
    }

    async fn play(&self, program: &Program, within: Duration) -> Result<(Arc<Tally>, Duration)> {
        let run = Run::start(program, self.plan.clone()).await?;
        let begun = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed);
        let (breaker, tally) = (run.breaker(), run.tally.clone());
        let caught = async {
            tokio::select! {
                () = tally.caught() => Ok(()),
                failed = breaker.trouble(&self.troubles, &mut rng) => failed,
            }
        };
        // Time over without anything wrong is an outcome, too.
        let ended = timeout(within, caught).await;
        let took = begun.elapsed();
        ended.unwrap_or(Ok(()))?;
        Ok((run.end().await?, took))
    }
}
