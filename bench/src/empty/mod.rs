//! `bench empty`: what everything that a call of Assent passes before its handler costs. An empty
//! method behind all of the kit's layers (a real token checked, telemetry, limits, deadline)
//! against the same method on a bare tonic server, over loopback TCP, each in its own process.

mod child;
mod serve;

use std::time::{Duration, Instant};

use clap::Args;
use proto::consent::v1::GetReceiptKeysRequest;

use crate::{
    Result,
    client::{Connections, Unary},
    closed_loop::ClosedLoop,
    machine,
    open_loop::{Open, OpenLoop},
    recorder::Outcome,
    report::{Report, Unit},
    rounds::{Pair, Ratio, in_turns, median},
    schedule::Arrivals,
    turn::Turn,
};
pub(crate) use child::Child;
pub use serve::{ServeOptions, Stack, serve};

/// The method that is called: read-only, any role may, and its request is empty.
const METHOD: &str = "/assent.consent.v1.ConsentService/GetReceiptKeys";

/// How often each side has its turn.
const ROUNDS: u64 = 5;

/// How to measure.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long each server is measured for throughput, and again for latency
    #[arg(long, default_value_t = 10.0, value_parser = crate::positive)]
    pub seconds: f64,
    /// Calls a second while latency is measured [default: half of the server's own maximum]
    #[arg(long, value_parser = crate::positive)]
    pub rate: Option<f64>,
    /// Connections to each server
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Callers at the same time while throughput is measured
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub concurrency: u64,
    /// How calls arrive while latency is measured
    #[arg(long, value_enum, default_value_t = Arrivals::Poisson)]
    pub arrivals: Arrivals,
    /// What the arrivals are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Options {
    /// One turn: how long it is measured, and how long before that it warms up.
    fn turn(&self) -> Result<(Duration, Duration)> {
        #[allow(clippy::cast_precision_loss)] // a handful of rounds
        let measured = Duration::try_from_secs_f64(self.seconds / ROUNDS as f64)?;
        Ok((measured, measured / 4))
    }
}

/// Measures and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    let bare = Server::start("bare tonic", Stack::Bare, options).await?;
    let full = Server::start("all layers", Stack::Full, options).await?;
    let ours = || {
        let processes = [std::process::id(), bare.child.id(), full.child.id()];
        processes.into_iter().map(machine::cpu_time).sum::<Result<Duration>>()
    };
    let (begun, all_before, ours_before) = (Instant::now(), machine::busy_time()?, ours()?);
    let mut report = Report::default();
    let peak = throughput(options, &bare, &full, &mut report).await?;
    latency(options, &bare, &full, peak, &mut report).await?;
    let all = machine::busy_time()?.saturating_sub(all_before);
    let ours = ours()?.saturating_sub(ours_before);
    let cores = all.saturating_sub(ours).div_duration_f64(begun.elapsed());
    // The machine's time is sampled at ticks and misses short runs; ours is exact.
    eprintln!("other processes kept at least {cores:.2} cores busy meanwhile");
    Ok(report)
}

async fn turn(server: &Server, closed: ClosedLoop) -> Result<Turn> {
    let target = server.target.clone();
    Turn::of(server.name, server.child.id(), closed, move |number| target.call(number)).await
}

async fn throughput(
    options: &Options,
    bare: &Server,
    full: &Server,
    report: &mut Report,
) -> Result<Pair<f64>> {
    let (measured, warm_up) = options.turn()?;
    let closed = ClosedLoop { callers: options.concurrency, warm_up, measured };
    let turns =
        in_turns(ROUNDS, async |_| turn(bare, closed).await, async |_| turn(full, closed).await);
    let turns = turns.await?;
    for (server, turns) in [(bare, &turns.baseline), (full, &turns.candidate)] {
        for turn in turns.iter().filter(|turn| turn.closed.calls.failed() > 0) {
            report.invalid(format!("{}: {}", server.name, turn.closed.calls));
        }
    }
    let (rates, spent) = (turns.map(|turn| turn.closed.per_second), turns.map(|turn| turn.server));
    let ratio = Ratio::of(&rates);
    eprintln!("all layers over bare tonic: throughput {ratio}, server time {}", Ratio::of(&spent));
    let peak = Pair { baseline: median(&rates.baseline), candidate: median(&rates.candidate) };
    report.figure("empty-requests-per-second", peak.candidate, Unit::PerSecond);
    report.figure("bare-tonic-requests-per-second", peak.baseline, Unit::PerSecond);
    report.figure("empty-vs-bare", ratio.of_medians, Unit::Ratio);
    report.figure("empty-server-us-per-request", median(&spent.candidate), Unit::Microseconds);
    report.figure("bare-server-us-per-request", median(&spent.baseline), Unit::Microseconds);
    Ok(peak)
}

async fn latency(
    options: &Options,
    bare: &Server,
    full: &Server,
    peak: Pair<f64>,
    report: &mut Report,
) -> Result<()> {
    let (measured, warm_up) = options.turn()?;
    let turn = async |server: &Server, peak: f64, round: u64| {
        let per_second = options.rate.unwrap_or(peak / 2.0);
        // Both servers get the same draws in a round, and every round gets others.
        let seed = options.seed.wrapping_add(round);
        let open = OpenLoop { arrivals: options.arrivals, per_second, seed, warm_up, measured };
        let target = server.target.clone();
        open.run(move |number| target.call(number)).await
    };
    let turns = in_turns(
        ROUNDS,
        async |round| turn(bare, peak.baseline, round).await,
        async |round| turn(full, peak.candidate, round).await,
    );
    let turns = turns.await?;
    let mut all = Pair::<Open>::default();
    for (server, turns, all) in
        [(bare, &turns.baseline, &mut all.baseline), (full, &turns.candidate, &mut all.candidate)]
    {
        for turn in turns {
            all.add(turn);
        }
        let Open { calls, lateness } = &*all;
        eprintln!("{} by schedule: {calls}; {}", server.name, calls.succeeded());
        eprintln!("  of that, the generator's own lateness: {lateness}");
        if calls.failed() > 0 {
            report.invalid(format!("{}: {calls}", server.name));
        }
        if !all.kept_schedule() {
            report.invalid(format!("{}: the generator fell behind: {lateness}", server.name));
        }
    }
    let milliseconds =
        |open: &Open, quantile| open.calls.succeeded().quantile(quantile).as_secs_f64() * 1e3;
    report.figure("empty-p50-ms", milliseconds(&all.candidate, 0.5), Unit::Milliseconds);
    report.figure("empty-p99-ms", milliseconds(&all.candidate, 0.99), Unit::Milliseconds);
    report.figure("bare-p99-ms", milliseconds(&all.baseline, 0.99), Unit::Milliseconds);
    Ok(())
}

/// A server under measurement.
struct Server {
    name: &'static str,
    // Dropped first, so that nothing is connected when the process is told to end.
    target: Target,
    child: Child,
}

impl Server {
    async fn start(name: &'static str, stack: Stack, options: &Options) -> Result<Self> {
        let child = Child::start(stack)?;
        let connections = Connections::open(child.address, options.connections.into()).await?;
        // The bare server gets the token, too: what differs is what is done with it.
        let unary = Unary::new(METHOD, &GetReceiptKeysRequest {}, Some(&child.token))?;
        Ok(Self { name, target: Target { connections, unary }, child })
    }
}

/// The call that is made, and where.
#[derive(Clone)]
struct Target {
    connections: Connections,
    unary: Unary,
}

impl Target {
    fn call(&self, number: u64) -> impl Future<Output = Outcome> + Send + use<> {
        self.connections.call(number, &self.unary)
    }
}
