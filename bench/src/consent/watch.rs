//! Following the changes: how fast a reader catches up, and how soon it hears of a change.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::consent::v1::{
    WatchChangesRequest, WatchChangesResponse, consent_service_client::ConsentServiceClient,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use service_kit::clock::{Clock, UnixMillis};
use tokio::sync::oneshot;
use tonic::Streaming;

use super::{
    Options,
    changes::{Changes, send},
    check::sum,
    stage::Stage,
};
use crate::{
    Result,
    open_loop::OpenLoop,
    recorder::Durations,
    report::{Report, Unit},
    svc::ADS,
};

/// Writes a second while it is measured how soon they are heard of.
const WRITES: f64 = 500.0;
/// How long a stream may be.
const PATIENCE: Duration = Duration::from_hours(1);
/// The largest step.
const LARGEST: usize = 8 << 20;

/// Both.
pub(super) async fn measure(options: &Options, stage: &Stage, report: &mut Report) -> Result<()> {
    let (events, took, _) = catch_up(stage, &[]).await?;
    #[allow(clippy::cast_precision_loss)] // far below 2^53
    let per_second = |events: u64, took: Duration| events as f64 / took.as_secs_f64();
    let all = per_second(events, took);
    eprintln!("a backlog of {events} events, with the answers for all purposes: {all:.0}/s");
    let (events, took, cursor) = catch_up(stage, &[ADS]).await?;
    let one = per_second(events, took);
    eprintln!("the same with those for one purpose: {one:.0}/s");
    report.figure("watch-events-per-second", all, Unit::PerSecond);
    if events < 10_000 {
        report.invalid(format!("a backlog of {events} events is read too soon to be measured"));
    }
    follow(options, stage, cursor, report).await
}

async fn open(
    stage: &Stage,
    cursor: Vec<u8>,
    purposes: &[&str],
) -> Result<Streaming<WatchChangesResponse>> {
    let purpose_ids = purposes.iter().map(|id| (*id).to_owned()).collect();
    let client = ConsentServiceClient::new(stage.channel.clone());
    let mut client = client.max_decoding_message_size(LARGEST);
    let message = WatchChangesRequest { cursor, purpose_ids };
    Ok(client.watch_changes(stage.keys.app(message, PATIENCE)).await?.into_inner())
}

/// Reads everything from the beginning: how many events, how long it took, and the last cursor.
async fn catch_up(stage: &Stage, purposes: &[&str]) -> Result<(u64, Duration, Vec<u8>)> {
    let begun = Instant::now();
    let mut stream = open(stage, Vec::new(), purposes).await?;
    let mut events = 0;
    while let Some(step) = stream.message().await? {
        events += step.events.len() as u64;
        if step.checkpoint.is_some() {
            return Ok((events, begun.elapsed(), step.cursor));
        }
    }
    Err("the stream of changes ended before its checkpoint".into())
}

/// Reads on while others write: the time from the transaction of a change, before it is committed,
/// until a reader has it.
async fn follow(
    options: &Options,
    stage: &Stage,
    cursor: Vec<u8>,
    report: &mut Report,
) -> Result<()> {
    let mut stream = open(stage, cursor, &[ADS]).await?;
    let (ended, mut end) = oneshot::channel::<()>();
    let reading = tokio::spawn(async move {
        let (mut delays, clock) = (Durations::default(), Clock::system());
        loop {
            let step = tokio::select! {
                step = stream.message() => step?.ok_or("the stream of changes ended")?,
                _ = &mut end => return Ok::<_, crate::Error>(delays),
            };
            let now = clock.now().get();
            for event in step.events {
                let at = UnixMillis::try_from(event.recorded_at.unwrap_or_default())?.get();
                let delay = u64::try_from(now - at).unwrap_or(0);
                delays.record(Duration::from_millis(delay));
            }
        }
    });
    let (measured, warm_up) = options.turn()?;
    let open = OpenLoop {
        arrivals: options.arrivals,
        per_second: WRITES,
        seed: options.seed,
        warm_up,
        measured: measured * 2,
    };
    let (changes, connections) = (Arc::new(Changes::of(stage)?), stage.connections.clone());
    let (subjects, seed) = (stage.subjects, options.seed);
    let call = move |number| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (number << 20));
        let subject = rng.random_range(0..subjects);
        send(&connections, number, changes.either(subject, &mut rng))
    };
    let writes = open.run(call).await?;
    sum("writes that are followed", &[writes], report);
    // What was written last has its time, too.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _ = ended.send(());
    let delays = reading.await??;
    eprintln!("{} changes were heard of, after {delays}", delays.len());
    report.figure("watch-p99-ms", delays.quantile(0.99).as_secs_f64() * 1e3, Unit::Milliseconds);
    Ok(())
}
