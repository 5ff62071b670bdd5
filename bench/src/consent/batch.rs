//! Checks of ten thousand subjects at once.

use std::sync::Arc;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Options,
    stage::{BATCH, Stage, batch, id},
};
use crate::{
    Result,
    client::{Unary, frame},
    closed_loop::ClosedLoop,
    report::{Report, Unit},
    turn::Turn,
};

/// How many batches are asked about at the same time.
const CALLERS: u64 = 4;
/// How many batches there are.
const BATCHES: usize = 16;

/// Decisions a second.
pub(super) async fn measure(
    options: &Options,
    stages: [(&Stage, &'static str); 2],
    report: &mut Report,
) -> Result<()> {
    for (stage, figure) in stages {
        let calls: Arc<Vec<Unary>> = Arc::new(calls(stage, options.seed)?);
        let (measured, warm_up) = options.turn()?;
        let closed = ClosedLoop { callers: CALLERS, warm_up, measured: measured * 2 };
        let connections = stage.connections.clone();
        let name = format!("{}, batches of {}", stage.name, BATCH.min(stage.subjects));
        let turn = Turn::of(&name, stage.service.id(), closed, move |number| {
            #[allow(clippy::cast_possible_truncation)] // less than a usize
            let call = &calls[(number % calls.len() as u64) as usize];
            connections.call(number, call)
        });
        let turn = turn.await?;
        if turn.closed.calls.failed() > 0 {
            report.invalid(format!("{figure}: {}", turn.closed.calls));
        }
        #[allow(clippy::cast_precision_loss)] // ten thousand
        let decisions = turn.closed.per_second * BATCH.min(stage.subjects) as f64;
        report.figure(figure, decisions, Unit::PerSecond);
    }
    Ok(())
}

/// Batches of subjects in no order, no subject twice in one.
fn calls(stage: &Stage, seed: u64) -> Result<Vec<Unary>> {
    let method = stage.method("BatchCheck")?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut subjects: Vec<usize> = (0..stage.subjects).collect();
    let mut calls = Vec::new();
    for _ in 0..BATCHES {
        let (some, _) = subjects.partial_shuffle(&mut rng, BATCH);
        let message = batch(some.iter().map(|subject| id(*subject)).collect());
        calls.push(method.with(frame(&message)?));
    }
    Ok(calls)
}
