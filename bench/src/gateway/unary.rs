//! Single calls: how many a second, and what the gateway adds to how long they take.

use std::time::Duration;

use service_kit::test_util::Redis;
use tokio::task::block_in_place;

use super::{
    Options, ROUNDS,
    nginx::Nginx,
    stage::{ANY, Place, Quotas, Stage},
};
use crate::{
    Result,
    closed_loop::{Closed, ClosedLoop},
    consent::check::sum,
    machine,
    open_loop::{Open, OpenLoop},
    report::{Report, Unit},
    rounds::{Pair, Ratio, median},
    svc::Service,
};

/// The service, and everything that may stand before it. All of it runs all the time; only one
/// place is called at a time.
pub(super) struct Places {
    direct: Place,
    gateway: Place,
    bare: Place,
    redis: Place,
    nginx: Place,
    _services: [Service; 4],
    _nginx: Nginx,
    _redis: Redis,
}

impl Places {
    pub(super) async fn open(stage: &Stage, options: &Options) -> Result<Self> {
        let sink = stage.sink(ANY, "")?;
        let redis = block_in_place(Redis::start);
        let full = stage.gateway(&[sink.address], Quotas::Memory)?;
        let bare = stage.gateway(&[sink.address], Quotas::Off)?;
        let shared = stage.gateway(&[sink.address], Quotas::Redis(&redis.url()))?;
        let nginx = Nginx::start(sink.address)?;
        let open = async |name, address, processes| {
            Place::open(name, address, processes, options.connections, stage.read()?).await
        };
        Ok(Self {
            direct: open("direct", sink.address, Vec::new()).await?,
            gateway: open("gateway", full.address, vec![full.id()]).await?,
            bare: open("gateway without quotas", bare.address, vec![bare.id()]).await?,
            redis: open("gateway with quotas in Redis", shared.address, vec![shared.id()]).await?,
            nginx: open("nginx", nginx.address, nginx.processes()?).await?,
            _services: [sink, full, bare, shared],
            _nginx: nginx,
            _redis: redis,
        })
    }
}

/// One turn of a place in the closed loop.
struct Turn {
    closed: Closed,
    /// Processor time of what stands there a call, in microseconds.
    spent: f64,
}

async fn turn(place: &Place, closed: ClosedLoop) -> Result<Turn> {
    let spent = || place.processes.iter().copied().map(machine::cpu_time).sum::<Result<Duration>>();
    let (before, target) = (spent()?, place.clone());
    let closed = closed.run(move |number| target.call(number)).await?;
    #[allow(clippy::cast_precision_loss)] // counts of calls are far below 2^53
    let spent = spent()?.saturating_sub(before).as_secs_f64() * 1e6 / closed.made as f64;
    let (name, per_second, calls) = (place.name, closed.per_second, &closed.calls);
    eprintln!("{name}: {per_second:.0}/s; a call takes {spent:.1} us of it; {calls}");
    Ok(Turn { closed, spent })
}

/// How many calls a second each place takes, in turns; gives what the gateway takes.
pub(super) async fn throughput(
    options: &Options,
    places: &Places,
    report: &mut Report,
) -> Result<f64> {
    let (measured, warm_up) = options.turn()?;
    let closed = ClosedLoop { callers: options.concurrency, warm_up, measured };
    let all = [&places.nginx, &places.gateway, &places.bare, &places.redis, &places.direct];
    let mut turns: [Vec<Turn>; 5] = Default::default();
    for _ in 0..ROUNDS {
        for (place, turns) in all.iter().zip(&mut turns) {
            turns.push(turn(place, closed).await?);
        }
    }
    for (place, turns) in all.iter().zip(&turns) {
        for turn in turns.iter().filter(|turn| turn.closed.calls.failed() > 0) {
            report.invalid(format!("{}: {}", place.name, turn.closed.calls));
        }
    }
    let [nginx, gateway, bare, redis, direct] = turns
        .map(|turns| turns.into_iter().map(|turn| (turn.closed.per_second, turn.spent)).collect())
        .map(|turns: Vec<_>| turns.into_iter().unzip::<f64, f64, Vec<_>, Vec<_>>());
    let against = |candidate: &Vec<f64>, baseline: &Vec<f64>| {
        Ratio::of(&Pair { baseline: baseline.clone(), candidate: candidate.clone() })
    };
    for (name, candidate, baseline) in [
        ("throughput-vs-nginx", &gateway.0, &nginx.0),
        ("throughput-bare-vs-nginx", &bare.0, &nginx.0),
        ("throughput-redis-vs-nginx", &redis.0, &nginx.0),
        ("throughput-vs-direct", &gateway.0, &direct.0),
        ("nginx-vs-direct", &nginx.0, &direct.0),
    ] {
        let ratio = against(candidate, baseline);
        eprintln!("{name} {ratio}");
        report.figure(name, ratio.of_medians, Unit::Ratio);
    }
    report.figure("gateway-us-per-request", median(&gateway.1), Unit::Microseconds);
    report.figure("nginx-us-per-request", median(&nginx.1), Unit::Microseconds);
    Ok(median(&gateway.0))
}

/// How much longer calls take through the gateway, when half as many come as it could take.
pub(super) async fn latency(
    options: &Options,
    places: &Places,
    most: f64,
    report: &mut Report,
) -> Result<()> {
    let (measured, warm_up) = options.turn()?;
    let turn = async |place: &Place, round: u64| {
        let per_second = options.rate.unwrap_or(most / 2.0);
        // Both get the same draws in a round, and every round gets others.
        let seed = options.seed.wrapping_add(round);
        let open = OpenLoop { arrivals: options.arrivals, per_second, seed, warm_up, measured };
        let target = place.clone();
        open.run(move |number| target.call(number)).await
    };
    let all = [&places.direct, &places.gateway, &places.nginx];
    let mut turns: [Vec<Open>; 3] = Default::default();
    for round in 0..ROUNDS {
        for (place, turns) in all.iter().zip(&mut turns) {
            turns.push(turn(place, round).await?);
        }
    }
    let [direct, gateway, nginx] =
        [0, 1, 2].map(|place: usize| sum(all[place].name, &turns[place], report));
    for (name, place, quantile) in [
        ("added-p50-ms", &gateway, 0.5),
        ("added-p99-ms", &gateway, 0.99),
        ("nginx-added-p50-ms", &nginx, 0.5),
        ("nginx-added-p99-ms", &nginx, 0.99),
    ] {
        let at = |open: &Open| open.calls.succeeded().quantile(quantile).as_secs_f64() * 1e3;
        report.figure(name, at(place) - at(&direct), Unit::Milliseconds);
    }
    Ok(())
}
