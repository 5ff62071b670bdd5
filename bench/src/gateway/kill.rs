//! `kill -9` of one of two replicas under load, again and again: calls that may be sent twice must
//! not fail, and of the others only what was in the hands of that replica.
//!
//! By the contract every unary method may be sent again (it reads only, or has a `request_id`).
//! What may not are streams: here, uploads of one batch each, which the replica takes some time
//! over. Each acknowledgement says which replica it is of.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures::stream;
use proto::audience::v1::{AppendUploadRequest, audience_service_client::AudienceServiceClient};
use tokio::{
    sync::Mutex,
    task::{JoinSet, block_in_place},
    time::{sleep, timeout},
};
use tonic::{Code, Status, transport::Channel};

use super::{
    Options,
    stage::{ANY, Bearer, Quotas, Stage, channel},
};
use crate::{
    Error, Result,
    client::{Connections, Unary},
    recorder::{Outcome, Recorder},
    report::{Report, Unit},
    svc::{Service, request_id},
};

/// Callers of each kind: reads, writes, streams.
const CALLERS: u64 = 16;

/// How long a replica takes over a write or a batch.
const WORK: &str = "work = \"20ms\"";

/// How long the load goes on without the replica, as until a supervisor notices.
const ABSENCE: Duration = Duration::from_millis(500);

/// How long the gateway may take to use a replica again, and calls to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that has ended.
struct Streamed {
    from: Instant,
    until: Instant,
    /// The replica that acknowledged, if one did.
    replica: std::result::Result<u32, Status>,
}

/// When a replica was killed: between these.
struct Kill {
    replica: u32,
    from: Instant,
    until: Instant,
}

impl Kill {
    /// Whether the stream was under way then, on the replica or not known where.
    fn met(&self, stream: &Streamed) -> bool {
        let there = stream.replica.as_ref().map_or(true, |replica| *replica == self.replica);
        there && stream.from <= self.until && stream.until >= self.from
    }
}

/// All that the callers saw.
struct Seen {
    begun: Instant,
    repeatable: Mutex<Recorder>,
    streams: Mutex<Vec<Streamed>>,
    /// When each replica last acknowledged a batch, in nanoseconds from the beginning.
    heard: [AtomicU64; 2],
    stop: AtomicBool,
}

/// Measures.
pub(super) async fn measure(options: &Options, stage: &Stage, report: &mut Report) -> Result<()> {
    let mut replicas = [start(stage, ANY, 0)?, start(stage, ANY, 1)?].map(Some);
    let addresses: Vec<SocketAddr> = replicas.iter().flatten().map(|one| one.address).collect();
    let edge = stage.gateway(&addresses, Quotas::Memory)?;
    let seen = Arc::new(Seen {
        begun: Instant::now(),
        repeatable: Mutex::default(),
        streams: Mutex::default(),
        heard: Default::default(),
        stop: AtomicBool::new(false),
    });
    let mut callers = JoinSet::new();
    let connections = Connections::open(edge.address, options.connections.into()).await?;
    for caller in 0..CALLERS {
        for unary in [stage.read()?, stage.write()?] {
            callers.spawn(repeatable(seen.clone(), connections.clone(), unary, caller));
        }
        let channel = channel(edge.address).await?;
        callers.spawn(streams(seen.clone(), channel, stage.business()?));
    }
    let mut kills = Vec::new();
    for (number, address) in (0..options.kills).zip(addresses.iter().cycle()) {
        let replica = number % 2;
        seen.both_answer().await?;
        let place = &mut replicas[replica as usize];
        let from = Instant::now();
        // Dropping it is SIGKILL, and returns when it is gone.
        block_in_place(|| drop(place.take()));
        kills.push(Kill { replica, from, until: Instant::now() });
        sleep(ABSENCE).await;
        *place = Some(start(stage, &address.to_string(), replica)?);
    }
    seen.both_answer().await?;
    seen.stop.store(true, Relaxed);
    let all = async {
        while callers.join_next().await.transpose()?.is_some() {}
        Ok::<_, Error>(())
    };
    timeout(PATIENCE, all).await.map_err(|_| "there are calls that do not end")??;
    seen.tell(&kills, report).await;
    Ok(())
}

fn start(stage: &Stage, address: &str, replica: u32) -> Result<Service> {
    stage.sink(address, &format!("replica = {replica}\n{WORK}"))
}

/// Calls that may be sent again, one after another.
async fn repeatable(seen: Arc<Seen>, connections: Connections, unary: Unary, caller: u64) {
    while !seen.stop.load(Relaxed) {
        let begun = Instant::now();
        let outcome = connections.call(caller, &unary).await;
        seen.repeatable.lock().await.record(outcome, begun.elapsed());
        if outcome != Outcome::Answered(Code::Ok) {
            tokio::task::yield_now().await;
        }
    }
}

/// Streams, one after another.
async fn streams(seen: Arc<Seen>, channel: Channel, business: Bearer) {
    let mut client = AudienceServiceClient::new(channel);
    while !seen.stop.load(Relaxed) {
        let batch = AppendUploadRequest {
            request_id: request_id("batch"),
            upload_id: "upload".to_owned(),
            packed_sha256: vec![0; 32],
            ..Default::default()
        };
        let from = Instant::now();
        let replica = acknowledged(&mut client, &business, batch).await;
        if let Ok(replica) = replica {
            let now = u64::try_from(seen.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            seen.heard[replica as usize % 2].store(now, Relaxed);
        }
        seen.streams.lock().await.push(Streamed { from, until: Instant::now(), replica });
    }
}

async fn acknowledged(
    client: &mut AudienceServiceClient<Channel>,
    business: &Bearer,
    batch: AppendUploadRequest,
) -> std::result::Result<u32, Status> {
    let call = business.says(stream::iter([batch]));
    let mut answers = client.append_upload(call).await?.into_inner();
    let answer = answers.message().await?.ok_or_else(|| Status::unknown("no acknowledgement"))?;
    // The end is part of it: an error may still come.
    while answers.message().await?.is_some() {}
    Ok(answer.rows_duplicate)
}

impl Seen {
    /// Waits until both replicas have acknowledged something anew.
    async fn both_answer(&self) -> Result<()> {
        let now = u64::try_from(self.begun.elapsed().as_nanos())?;
        let until = Instant::now() + PATIENCE;
        while self.heard.iter().any(|heard| heard.load(Relaxed) <= now) {
            if Instant::now() > until {
                return Err("the gateway does not use a replica that is there".into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn tell(&self, kills: &[Kill], report: &mut Report) {
        let (repeatable, streams) = (self.repeatable.lock().await, self.streams.lock().await);
        let failed = || streams.iter().filter(|stream| stream.replica.is_err());
        let in_flight = |kill: &Kill| streams.iter().filter(|stream| kill.met(stream)).count();
        let in_flight: usize = kills.iter().map(in_flight).sum();
        let strays: Vec<_> =
            failed().filter(|stream| !kills.iter().any(|kill| kill.met(stream))).collect();
        for Streamed { replica, .. } in strays.iter().take(3) {
            eprintln!("a stream failed that no killed replica had: {replica:?}");
        }
        eprintln!("calls that may be sent again: {repeatable}; {}", repeatable.succeeded());
        eprintln!(
            "streams: {} of {} failed; {in_flight} were in flight on a replica when it was killed",
            failed().count(),
            streams.len()
        );
        for (name, count) in [
            ("failed-idempotent-after-kill", repeatable.failed()),
            ("failed-others-after-kill", failed().count() as u64),
            ("others-in-flight-at-kill", in_flight as u64),
            ("failed-others-not-in-flight", strays.len() as u64),
        ] {
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            report.figure(name, count as f64, Unit::Count);
        }
    }
}
