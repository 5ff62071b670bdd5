//! The most a server can do: callers who call again as soon as they are answered.
//!
//! Good for throughput only. A server that stalls also stops the callers who would have noticed,
//! so latencies of a closed loop leave out most of what real callers would have waited
//! ("coordinated omission"); see [`crate::open_loop`] for those.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::{JoinSet, yield_now};

use crate::{
    Result,
    recorder::{Outcome, Recorder},
};

/// A closed loop.
#[derive(Debug, Clone, Copy)]
pub struct ClosedLoop {
    /// How many call at the same time.
    pub callers: u64,
    /// How long they call before anything is recorded.
    pub warm_up: Duration,
    /// How long calls that end are recorded.
    pub measured: Duration,
}

/// What came of a closed loop.
#[derive(Debug)]
pub struct Closed {
    /// The calls that ended while it was measured, timed from when each was sent.
    pub calls: Recorder,
    /// How many calls were made altogether, also while it warmed up.
    pub made: u64,
    /// Calls served a second.
    pub per_second: f64,
}

impl ClosedLoop {
    /// Lets every caller `call` until the time is over. `call` gets a number that no other call of
    /// this loop gets; a caller's numbers are congruent modulo the number of callers.
    pub async fn run<C, F>(&self, call: C) -> Result<Closed>
    where
        C: Fn(u64) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let call = Arc::new(call);
        let from = Instant::now() + self.warm_up;
        let until = from + self.measured;
        let mut callers = JoinSet::new();
        for caller in 0..self.callers {
            callers.spawn(again_and_again(call.clone(), caller, self.callers, from, until));
        }
        let (mut calls, mut made) = (Recorder::default(), 0);
        while let Some(ended) = callers.join_next().await {
            let (recorded, number) = ended?;
            calls.add(&recorded);
            made += number;
        }
        #[allow(clippy::cast_precision_loss)] // counts of calls are far below 2^53
        let per_second = calls.succeeded().len() as f64 / self.measured.as_secs_f64();
        Ok(Closed { calls, made, per_second })
    }
}

async fn again_and_again<C, F>(
    call: Arc<C>,
    first: u64,
    step: u64,
    from: Instant,
    until: Instant,
) -> (Recorder, u64)
where
    C: Fn(u64) -> F,
    F: Future<Output = Outcome>,
{
    let (mut calls, mut made) = (Recorder::default(), 0);
    let mut begun = Instant::now();
    while begun < until {
        let outcome = call(first + made * step).await;
        let ended = Instant::now();
        if (from..until).contains(&ended) {
            calls.record(outcome, ended - begun);
        }
        if outcome == Outcome::Unanswered {
            // A broken connection fails at once: others must have their turn.
            yield_now().await;
        }
        (begun, made) = (ended, made + 1);
    }
    (calls, made)
}
