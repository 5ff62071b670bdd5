//! Many connections on which nothing happens: what they cost the gateway, and whether it still
//! answers every call, on them too.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use tonic::Code;

use super::{
    Options,
    stage::{ANY, Place, Quotas, Stage},
};
use crate::{
    Result,
    client::{Connections, Unary},
    closed_loop::ClosedLoop,
    machine,
    recorder::{Outcome, Recorder},
    report::{Report, Unit},
};

/// What the figure's name says.
pub(super) const CONNECTIONS: usize = 10_000;

/// Connections opened, and calls made on them, at the same time.
const AT_ONCE: usize = 64;

/// Connections from one address of the machine: far fewer than it has ports.
const A_SOURCE: usize = 5_000;

/// How long nothing happens before memory is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Measures.
pub(super) async fn measure(options: &Options, stage: &Stage, report: &mut Report) -> Result<()> {
    let sink = stage.sink(ANY, "")?;
    let edge = stage.gateway(&[sink.address], Quotas::Memory)?;
    let (unary, processes) = (stage.read()?, vec![edge.id()]);
    let place =
        Place::open("gateway", edge.address, processes, options.connections, unary.clone()).await?;
    // What it needs under load is not what idle connections cost.
    load(options, &place, report).await?;
    let before = machine::memory(edge.id())?;
    let idle = open(edge.address, options.idle, &unary).await?;
    tokio::time::sleep(PAUSE).await;
    let with = machine::memory(edge.id())?;
    load(options, &place, report).await?;
    let calls = call_each(&idle, options.idle, &unary).await;
    eprintln!("one call on each of {} idle connections: {calls}", options.idle);
    if calls.failed() > 0 {
        report.invalid(format!("calls on idle connections: {calls}"));
    }
    if options.idle < CONNECTIONS {
        report.invalid(format!("only {} idle connections", options.idle));
    }
    let after = machine::memory(edge.id())?;
    eprintln!("memory before {before}, with idle connections {with}, after calls on them {after}");
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let more = with.max(after).saturating_sub(before) as f64 / 1e6;
    report.figure("idle-10000-connections-mb", more, Unit::Megabytes);
    Ok(())
}

/// Calls on the few connections that are busy.
async fn load(options: &Options, place: &Place, report: &mut Report) -> Result<()> {
    let (measured, warm_up) = options.turn()?;
    let closed = ClosedLoop { callers: options.concurrency, warm_up, measured };
    let target = place.clone();
    let done = closed.run(move |number| target.call(number)).await?;
    eprintln!("{}: {:.0}/s; {}", place.name, done.per_second, done.calls);
    if done.calls.failed() > 0 {
        report.invalid(format!("beside idle connections: {}", done.calls));
    }
    Ok(())
}

/// Opens them, with one call on each: a connection that was never used is not yet what an app has.
async fn open(address: SocketAddr, count: usize, unary: &Unary) -> Result<Connections> {
    let opened = (0..count).map(|number| async move {
        let connection = Connections::open_from(source(number), address).await?;
        match connection.call(0, unary).await {
            Outcome::Answered(Code::Ok) => Ok(connection),
            other => Err(format!("the first call on a connection: {other:?}").into()),
        }
    });
    let opened = stream::iter(opened).buffer_unordered(AT_ONCE);
    let join = |mut all: Connections, one| async move {
        all.join(one);
        Ok::<_, crate::Error>(all)
    };
    opened.try_fold(Connections::default(), join).await
}

/// An address of the machine that this connection comes from.
fn source(number: usize) -> IpAddr {
    let last = u8::try_from(2 + number / A_SOURCE).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 0, 0, last).into()
}

async fn call_each(idle: &Connections, count: usize, unary: &Unary) -> Recorder {
    let calls = (0..count as u64).map(|number| idle.call(number, unary));
    let calls = stream::iter(calls).buffer_unordered(AT_ONCE);
    let recorded = Recorder::default();
    calls
        .fold(recorded, |mut recorded, outcome| async move {
            recorded.record(outcome, Duration::ZERO);
            recorded
        })
        .await
}
