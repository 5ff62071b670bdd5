//! The short version of `bench consent-faults`. A binary of its own: what is measured in the other
//! one would suffer from running beside it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bench::{
    consent_faults::{Plan, Run, history::Wrong},
    svc::Program,
};
use tokio::sync::Mutex;

/// Each wants the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

/// consent-svc as the program `bench` is it, with the deliberate faults if this was built with
/// all features.
fn program() -> Program {
    let path = env!("CARGO_BIN_EXE_bench").into();
    Program { path, arguments: vec!["serve-consent".into()], mutant: None }
}

/// Two replicas, PostgreSQL and Redis, and everything goes wrong: no acknowledged withdrawal gets
/// a stale yes, nor any other change a stale answer.
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_stale_while_everything_fails() {
    let _turn = TURN.lock().await;
    let plan = Plan {
        seed: rand::random(),
        lease: Duration::from_millis(400),
        calm: Duration::from_secs(2),
        ..Plan::default()
    };
    let seed = plan.seed;
    let run = Run::start(&program(), plan).await.unwrap();
    run.inflict(Duration::from_secs(25)).await.unwrap();
    let tally = run.end().await.unwrap();
    assert_eq!(tally.broken(), None, "seed {seed}: {tally}");
    assert_eq!(tally.all_wrong(), [], "seed {seed}: {tally}");
    assert_eq!((tally.count(Wrong::StaleYes), tally.inversions()), (0, 0));
    assert!(tally.audited() > 20_000, "{tally}");
    assert!(tally.hits() > 5_000, "{tally}");
    assert!(tally.writes() > 300, "{tally}");
    assert!(tally.faults() >= 8, "{}", tally.faults_by_name());
}

/// The same judge finds a protocol that leaves a step out: the quickest of the mutants. All of
/// them: `bench consent-faults --mutants`.
#[cfg(feature = "mutants")]
#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_out_a_step_of_the_protocol_is_found() {
    use bench::consent_faults::mutants::scenario;

    let _turn = TURN.lock().await;
    for mutant in ["no-delete", "no-linked-fence", "no-wait", "run-id"] {
        let scenario = scenario(mutant, 1, None).unwrap();
        let outcome = scenario.run(&program(), Duration::from_mins(1)).await.unwrap();
        assert!(outcome.caught, "{outcome:?}");
    }
}
