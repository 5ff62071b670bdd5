//! Single checks, against the empty method.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::consent::v1::GetReceiptKeysRequest;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    Options, ROUNDS,
    changes::{Changes, send},
    stage::{Stage, checks},
};
use crate::{
    Result,
    client::{Connections, Unary},
    closed_loop::ClosedLoop,
    empty::{Child, Stack},
    open_loop::{Open, OpenLoop},
    recorder::Outcome,
    report::{Report, Unit},
    rounds::{Pair, Ratio, in_turns, median},
    turn::Turn,
    zipf::Zipf,
};

/// How many draws of subjects there are before they repeat.
const DRAWS: usize = 1 << 20;

/// Whom calls are made to, and which.
#[derive(Clone)]
pub(super) struct Target {
    name: &'static str,
    process: u32,
    connections: Connections,
    calls: Calls,
}

#[derive(Clone)]
#[allow(clippy::large_enum_variant)] // two of them
enum Calls {
    Empty(Box<Unary>),
    Checks(Arc<Checks>),
}

/// Checks of subjects drawn by Zipf's law, some of them writes instead.
struct Checks {
    check: Unary,
    bodies: Vec<Bytes>,
    draws: Vec<u32>,
    writes: Writes,
}

struct Writes {
    share: f64,
    seed: u64,
    changes: Changes,
}

impl Writes {
    /// What is written by the call of this number instead of a check, if it is one of those.
    fn of(&self, number: u64, subject: usize) -> Option<Result<Unary>> {
        if self.share <= 0.0 {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ number);
        rng.random_bool(self.share).then(|| self.changes.either(subject, &mut rng))
    }
}

impl Target {
    /// The empty method.
    pub(super) async fn empty(child: &Child, options: &Options) -> Result<Self> {
        let connections = Connections::open(child.address, options.connections.into()).await?;
        let path = "/assent.consent.v1.ConsentService/GetReceiptKeys";
        let unary = Unary::new(path, &GetReceiptKeysRequest {}, Some(&child.token))?;
        Ok(Self {
            name: "empty",
            process: child.id(),
            connections,
            calls: Calls::Empty(Box::new(unary)),
        })
    }

    /// Checks of a stage's subjects.
    fn checks(stage: &Stage, options: &Options) -> Result<Self> {
        let (share, seed, changes) = (options.write_share, options.seed, Changes::of(stage)?);
        let writes = Writes { share, seed, changes };
        let checks = Checks {
            check: stage.method("Check")?,
            bodies: checks(stage.subjects)?,
            draws: Zipf::new(stage.subjects).draws(DRAWS, options.seed),
            writes,
        };
        Ok(Self {
            name: stage.name,
            process: stage.service.id(),
            connections: stage.connections.clone(),
            calls: Calls::Checks(Arc::new(checks)),
        })
    }

    fn call(&self, number: u64) -> impl Future<Output = Outcome> + Send + use<> {
        let unary = match &self.calls {
            Calls::Empty(unary) => Ok((**unary).clone()),
            Calls::Checks(checks) => {
                #[allow(clippy::cast_possible_truncation)] // less than a usize
                let subject = checks.draws[(number % DRAWS as u64) as usize] as usize;
                let write = checks.writes.of(number, subject);
                write.unwrap_or_else(|| Ok(checks.check.with(checks.bodies[subject].clone())))
            }
        };
        send(&self.connections, number, unary)
    }

    async fn turn(&self, closed: ClosedLoop) -> Result<Turn> {
        let target = self.clone();
        Turn::of(self.name, self.process, closed, move |number| target.call(number)).await
    }
}

/// Throughput of checks against that of the empty method, and how long callers wait.
pub(super) async fn measure(
    options: &Options,
    (in_process, redis): (&Stage, &Stage),
    report: &mut Report,
) -> Result<()> {
    let child = Child::start(Stack::Full)?;
    let empty = Target::empty(&child, options).await?;
    let mut redis_peak = Pair::default();
    for (stage, figure) in
        [(in_process, "check-in-process-vs-empty"), (redis, "check-redis-vs-empty")]
    {
        let target = Target::checks(stage, options)?;
        let peak = throughput(options, &empty, &target, figure, report).await?;
        if stage.name == redis.name {
            redis_peak = peak;
        }
    }
    latency(options, &empty, &Target::checks(redis, options)?, &redis_peak, report).await
}

async fn throughput(
    options: &Options,
    empty: &Target,
    target: &Target,
    figure: &'static str,
    report: &mut Report,
) -> Result<Pair<f64>> {
    let (measured, warm_up) = options.turn()?;
    let closed = ClosedLoop { callers: options.concurrency, warm_up, measured };
    let turns =
        in_turns(ROUNDS, async |_| empty.turn(closed).await, async |_| target.turn(closed).await);
    let turns = turns.await?;
    for turn in turns.baseline.iter().chain(&turns.candidate) {
        if turn.closed.calls.failed() > 0 {
            report.invalid(format!("{figure}: {}", turn.closed.calls));
        }
    }
    let (rates, spent) = (turns.map(|turn| turn.closed.per_second), turns.map(|turn| turn.server));
    let ratio = Ratio::of(&rates);
    eprintln!("{} over empty: throughput {ratio}, server time {}", target.name, Ratio::of(&spent));
    report.figure(figure, ratio.of_medians, Unit::Ratio);
    Ok(Pair { baseline: median(&rates.baseline), candidate: median(&rates.candidate) })
}

async fn latency(
    options: &Options,
    empty: &Target,
    target: &Target,
    peak: &Pair<f64>,
    report: &mut Report,
) -> Result<()> {
    let (measured, warm_up) = options.turn()?;
    let turn = async |target: &Target, peak: f64, round: u64| {
        let (per_second, seed) = (peak / 2.0, options.seed.wrapping_add(round));
        let open = OpenLoop { arrivals: options.arrivals, per_second, seed, warm_up, measured };
        let target = target.clone();
        open.run(move |number| target.call(number)).await
    };
    let turns = in_turns(
        ROUNDS,
        async |round| turn(empty, peak.baseline, round).await,
        async |round| turn(target, peak.candidate, round).await,
    );
    let turns = turns.await?;
    let base = sum(empty.name, &turns.baseline, report);
    let with = sum(target.name, &turns.candidate, report);
    let p99 = |open: &Open| open.calls.succeeded().quantile(0.99);
    let ratio = p99(&with).div_duration_f64(p99(&base).max(Duration::from_nanos(1)));
    report.figure("check-redis-p99-vs-empty", ratio, Unit::Ratio);
    Ok(())
}

/// All rounds together, said and looked at.
pub(crate) fn sum(name: &str, turns: &[Open], report: &mut Report) -> Open {
    let mut all = Open::default();
    for turn in turns {
        all.add(turn);
    }
    let Open { calls, lateness } = &all;
    eprintln!("{name} by schedule: {calls}; {}", calls.succeeded());
    eprintln!("  of that, the generator's own lateness: {lateness}");
    if calls.failed() > 0 {
        report.invalid(format!("{name}: {calls}"));
    }
    if !all.kept_schedule() {
        report.invalid(format!("{name}: the generator fell behind: {lateness}"));
    }
    all
}
