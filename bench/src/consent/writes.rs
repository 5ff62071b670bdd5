//! What writing costs: against PostgreSQL's own benchmark, and with Redis there and gone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::consent::v1::consent_service_client::ConsentServiceClient;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{task::block_in_place, time::sleep};

use super::{
    Options, ROUNDS,
    changes::{Changes, send},
    check::sum,
    pgbench::Pgbench,
    stage::{Stage, id},
};
use crate::{
    Result,
    client::Unary,
    closed_loop::ClosedLoop,
    open_loop::OpenLoop,
    report::{Report, Unit},
    rounds::{Ratio, in_turns},
    svc::withdrawal,
    turn::Turn,
};

/// As many as pgbench has.
const CLIENTS: u64 = 32;
/// How often Redis is killed.
const KILLS: u32 = 3;
/// How many withdrawals follow each time.
const AFTER: u32 = 20;
/// How long a withdrawal may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes about subjects that are drawn evenly.
struct Writes {
    changes: Changes,
    subjects: usize,
    seed: u64,
    only_withdrawals: bool,
}

impl Writes {
    fn of(stage: &Stage, seed: u64, only_withdrawals: bool) -> Result<Self> {
        let (changes, subjects) = (Changes::of(stage)?, stage.subjects);
        Ok(Self { changes, subjects, seed, only_withdrawals })
    }

    fn call(&self, number: u64) -> Result<Unary> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ number);
        let subject = rng.random_range(0..self.subjects);
        if self.only_withdrawals {
            return self.changes.withdrawal(subject);
        }
        self.changes.either(subject, &mut rng)
    }
}

/// All that is measured of writes.
pub(super) async fn measure(options: &Options, stage: &Stage, report: &mut Report) -> Result<()> {
    let pgbench = Pgbench::new(&stage.engines()?.postgres)?;
    let (measured, warm_up) = options.turn()?;
    let closed = ClosedLoop { callers: CLIENTS, warm_up, measured: measured * 2 };
    let turns = in_turns(
        ROUNDS.min(3),
        async |_| {
            let tps = pgbench.transactions_per_second(closed.measured.as_secs())?;
            eprintln!("pgbench -N -c 32: {tps:.0} transactions/s");
            Ok(tps)
        },
        async |round| {
            let turn = write(stage, options.seed + round, closed, false, report).await?;
            Ok(turn.closed.per_second)
        },
    );
    let ratio = Ratio::of(&turns.await?);
    eprintln!("decisions and withdrawals over pgbench: {ratio}");
    report.figure("decision-vs-pgbench", ratio.of_medians, Unit::Ratio);

    let peak = write(stage, options.seed + 100, closed, true, report).await?;
    let writes = Arc::new(Writes::of(stage, options.seed + 200, true)?);
    let open = OpenLoop {
        arrivals: options.arrivals,
        per_second: peak.closed.per_second / 2.0,
        seed: options.seed,
        warm_up,
        measured: measured * 2,
    };
    let connections = stage.connections.clone();
    let open = open.run(move |number| send(&connections, number, writes.call(number))).await?;
    let open = sum("withdrawals", &[open], report);
    let p99 = open.calls.succeeded().quantile(0.99);
    report.figure("withdraw-p99-ms", p99.as_secs_f64() * 1e3, Unit::Milliseconds);
    without_redis(stage, report).await
}

async fn write(
    stage: &Stage,
    seed: u64,
    closed: ClosedLoop,
    only_withdrawals: bool,
    report: &mut Report,
) -> Result<Turn> {
    let writes = Arc::new(Writes::of(stage, seed << 32, only_withdrawals)?);
    let name = if only_withdrawals { "withdrawals" } else { "decisions and withdrawals" };
    let connections = stage.connections.clone();
    let call = move |number| send(&connections, number, writes.call(number));
    let turn = Turn::of(name, stage.service.id(), closed, call).await?;
    if turn.closed.calls.failed() > 0 {
        report.invalid(format!("{name}: {}", turn.closed.calls));
    }
    Ok(turn)
}

/// Kills Redis and withdraws at once, several times.
async fn without_redis(stage: &Stage, report: &mut Report) -> Result<()> {
    let redis = &stage.engines()?.redis;
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        block_in_place(|| redis.kill());
        let mut took = Vec::new();
        for after in 0..=AFTER {
            took.push(withdraw(stage, (kill * (AFTER + 1) + after) as usize).await?);
        }
        let (first, mut others) = (took[0], took.split_off(1));
        slowest = slowest.max(first);
        others.sort_unstable();
        eprintln!(
            "Redis killed: the first withdrawal took {:.1} ms, those after it {:.1} ms (the median \
             of {AFTER}), {:.1} ms at most",
            first.as_secs_f64() * 1e3,
            others[others.len() / 2].as_secs_f64() * 1e3,
            others[others.len() - 1].as_secs_f64() * 1e3
        );
        block_in_place(|| redis.restart());
        // Until the cache is open again, and has been for longer than a lease.
        sleep(Duration::from_secs(10)).await;
    }
    report.figure("withdraw-redis-down-ms", slowest.as_secs_f64() * 1e3, Unit::Milliseconds);
    Ok(())
}

async fn withdraw(stage: &Stage, subject: usize) -> Result<Duration> {
    let mut client = ConsentServiceClient::new(stage.channel.clone());
    let message = withdrawal(&id(subject % stage.subjects));
    let begun = Instant::now();
    client.withdraw(stage.keys.app(message, PATIENCE)).await?;
    Ok(begun.elapsed())
}
