//! `bench overload`: what is still served when more is asked than can be done. A gateway and a
//! consent-svc that finds its answers in Redis share all cores but the first, where the callers are;
//! as much as they can do is measured, then between a half and three times that is offered.

mod picture;

use std::{path::PathBuf, process::Command, time::Duration};

use clap::Args;
use tokio::task::block_in_place;
use tonic::Code;

use crate::{
    Result,
    client::Connections,
    closed_loop::ClosedLoop,
    consent::stage::{Stage, checks},
    gateway::stage::{Quotas, gateway},
    machine,
    open_loop::OpenLoop,
    report::{Report, Unit},
    schedule::Arrivals,
};
use picture::Point;

/// Offered load over the maximum.
const FACTORS: [f64; 8] = [0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0];

/// Subjects who are asked about.
const SUBJECTS: usize = 1_000;

/// What to do, and for how long.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long each load is measured, in seconds
    #[arg(long, default_value_t = 8.0, value_parser = crate::positive)]
    pub seconds: f64,
    /// Callers who find out the maximum
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..))]
    pub concurrency: u64,
    /// Connections to the gateway
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// What arrivals are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the picture goes [default: nowhere]
    #[arg(long)]
    pub picture: Option<PathBuf>,
}

/// Measures and reports.
pub async fn measure(options: &Options) -> Result<Report> {
    eprintln!("{}; {options:?}", machine::description());
    let mut report = Report::default();
    let mut stage = Stage::redis(1).await?;
    stage.seed(SUBJECTS).await?;
    stage.fill_all().await?;
    let directory = tempfile::tempdir()?;
    let front = gateway(&stage.keys, directory.path(), &[stage.service.address], Quotas::Off)?;
    let engines = stage.engines()?;
    pin(&[front.id(), stage.service.id(), engines.redis.pid()])?;
    let connections = Connections::open(front.address, options.connections.into()).await?;
    let (unary, messages) = (stage.method("Check")?, checks(SUBJECTS)?);
    let call = move |number: u64| {
        #[allow(clippy::cast_possible_truncation)] // less than a usize
        let message = messages[(number % SUBJECTS as u64) as usize].clone();
        connections.send(number, unary.with(message))
    };
    let measured = Duration::try_from_secs_f64(options.seconds)?;
    let warm_up = measured / 4;
    let closed = ClosedLoop { callers: options.concurrency, warm_up, measured };
    let most = async || {
        let closed = closed.run(call.clone()).await?;
        eprintln!("maximum: {:.0}/s; {}", closed.per_second, closed.calls);
        Ok::<_, crate::Error>(closed.per_second)
    };
    let before = most().await?;
    let mut points = Vec::new();
    for factor in FACTORS {
        let open = OpenLoop {
            arrivals: Arrivals::Poisson,
            per_second: factor * before,
            seed: options.seed,
            warm_up,
            measured,
        };
        let open = open.run(call.clone()).await?;
        let served = open.calls.succeeded();
        #[allow(clippy::cast_precision_loss)] // counts of calls are far below 2^53
        let (done, all) = (served.len() as f64, (served.len() + open.calls.failed()) as f64);
        let point = Point {
            factor,
            goodput: done / measured.as_secs_f64() / before,
            shed: 1.0 - done / all.max(1.0),
            p50: served.quantile(0.5),
            p99: served.quantile(0.99),
        };
        eprintln!("{point}; {}; late {}", open.calls, open.lateness);
        let told = open.calls.count(Code::ResourceExhausted) + open.calls.count(Code::Unavailable);
        let others = open.calls.failed() - told;
        if others > 0 {
            eprintln!("{others} calls failed otherwise");
        }
        points.push(point);
    }
    let after = most().await?;
    if !(0.8..1.25).contains(&(after / before)) {
        report.invalid(format!("the maximum was {before:.0}/s before and {after:.0}/s afterwards"));
    }
    report.figure("overload-maximum-per-second", before, Unit::PerSecond);
    for (factor, goodput, p99) in [
        (2.0, "overload-goodput-at-2", "overload-p99-at-2-ms"),
        (3.0, "overload-goodput-at-3", "overload-p99-at-3-ms"),
    ] {
        if let Some(point) = points.iter().find(|point| point.factor >= factor) {
            report.figure(goodput, point.goodput, Unit::Ratio);
            report.figure(p99, point.p99.as_secs_f64() * 1e3, Unit::Milliseconds);
        }
    }
    if let Some(path) = &options.picture {
        std::fs::write(path, picture::draw(&points, before))?;
    }
    Ok(report)
}

/// Keeps processes, with all their threads, off the first core, and this one on it; on a machine
/// with one core, everybody is where they are.
fn pin(servers: &[u32]) -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores == 1 {
        return Ok(());
    }
    let rest = format!("1-{}", cores - 1);
    let places = servers.iter().map(|id| (*id, rest.as_str()));
    for (process, cores) in places.chain([(std::process::id(), "0")]) {
        let mut taskset = Command::new("taskset");
        taskset.args(["-apc", cores, &process.to_string()]);
        let done = block_in_place(|| taskset.output())?;
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into_owned().into());
        }
    }
    Ok(())
}
