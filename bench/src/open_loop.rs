//! How long callers wait: calls by a schedule that takes no notice of the server.
//!
//! Every call is timed from the moment it was *due*, whatever kept it from being sent then: a full
//! connection, a stalled server, or the generator itself. So a server that stops for a second
//! shows as a second in the latency of every call that was due meanwhile.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    task::{JoinError, JoinSet, spawn_blocking},
    time::timeout,
};

use crate::{
    Result,
    recorder::{Durations, Outcome, Recorder},
    schedule::Arrivals,
};

/// How long after the last call was due the last answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the generator may always be late by: the system's timers are no better on a busy machine.
const LATENESS_ALLOWED: Duration = Duration::from_millis(1);

/// An open loop.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    /// How calls arrive.
    pub arrivals: Arrivals,
    /// How many a second, on average.
    pub per_second: f64,
    /// What the schedule is drawn from.
    pub seed: u64,
    /// How long calls are made before anything is recorded.
    pub warm_up: Duration,
    /// How long calls are due that are recorded.
    pub measured: Duration,
}

/// What came of an open loop.
#[derive(Debug, Default)]
pub struct Open {
    /// The calls that were due while it was measured, timed from when each was due.
    pub calls: Recorder,
    /// How late the generator itself was with each, before the server or a connection had any
    /// part in it. Contained in the calls' times.
    pub lateness: Durations,
}

impl Open {
    /// Whether the times are the server's rather than the generator's: at the 99th percentile, it
    /// was late by no more than 1 ms or a tenth of the calls' latency.
    pub fn kept_schedule(&self) -> bool {
        let late = self.lateness.quantile(0.99);
        late <= LATENESS_ALLOWED.max(self.calls.succeeded().quantile(0.99) / 10)
    }

    /// Adds another loop's.
    pub fn add(&mut self, other: &Self) {
        self.calls.add(&other.calls);
        self.lateness.add(&other.lateness);
    }

    fn take(&mut self, sample: &Sample) {
        if sample.measured {
            self.calls.record(sample.outcome, sample.took);
            self.lateness.record(sample.late);
        }
    }
}

/// A call that has ended.
struct Sample {
    measured: bool,
    late: Duration,
    took: Duration,
    outcome: Outcome,
}

impl OpenLoop {
    /// Makes each call when it is due, however many are still unanswered. `call` gets the number
    /// of the call.
    pub async fn run<C, F>(&self, call: C) -> Result<Open>
    where
        C: Fn(u64) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let due = self.arrivals.schedule(self.per_second, self.warm_up + self.measured, self.seed);
        let (warm_up, runtime) = (self.warm_up, Handle::current());
        let paced = spawn_blocking(move || pace(&due, warm_up, &Arc::new(call), &runtime));
        let (mut result, mut calls) = paced.await??;
        let rest = async {
            while let Some(ended) = calls.join_next().await {
                result.take(&ended?);
            }
            Ok::<_, JoinError>(())
        };
        if let Ok(ended) = timeout(PATIENCE, rest).await {
            ended?;
        }
        for _ in 0..calls.len() {
            result.calls.record(Outcome::Unanswered, PATIENCE);
        }
        Ok(result)
    }
}

/// Starts the calls. On a thread of its own, because the runtime's timers count in milliseconds.
fn pace<C, F>(
    due: &[Duration],
    warm_up: Duration,
    call: &Arc<C>,
    runtime: &Handle,
) -> std::result::Result<(Open, JoinSet<Sample>), JoinError>
where
    C: Fn(u64) -> F + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let (mut result, mut calls) = (Open::default(), JoinSet::new());
    let start = Instant::now();
    for (number, after) in (0..).zip(due) {
        let (measured, due, call) = (*after >= warm_up, start + *after, call.clone());
        while let Some(ended) = calls.try_join_next() {
            result.take(&ended?);
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let call = async move {
            let late = due.elapsed();
            let outcome = call(number).await;
            Sample { measured, late, took: due.elapsed(), outcome }
        };
        calls.spawn_on(call, runtime);
    }
    Ok((result, calls))
}
