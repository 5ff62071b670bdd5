//! A stream of batches, each acknowledged: a list of packed digests to audience-svc on SQLite,
//! and, to see what the way itself can carry, to a service that only reads and acknowledges.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::stream;
use proto::audience::v1::audience_service_client::AudienceServiceClient;
use tonic::transport::Channel;

use super::{
    Options, ROUNDS,
    nginx::Nginx,
    stage::{ANY, Quotas, Stage, channel, gateway},
};
use crate::{
    Result,
    audience::{
        people,
        stage::{Kept, Stage as AudienceStage},
        uploads::{BATCH, List, let_in, packed_batch, upload},
    },
    consent::stage::Stage as ConsentStage,
    report::{Report, Unit},
    rounds::{Pair, Ratio},
};

/// The share of rows that are someone's.
const MATCH_RATE: f64 = 0.5;

/// The three ways to a service.
const WAYS: [&str; 3] = ["direct", "gateway", "nginx"];

/// Measures both.
pub(super) async fn measure(options: &Options, report: &mut Report) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut stage = AudienceStage::beside(ConsentStage::in_process(1).await?, Kept::Sqlite).await?;
    stage.fill(options.people as usize).await?;
    stage.start()?;
    let service = stage.service()?.address;
    let edge = gateway(&stage.consent.keys, directory.path(), &[service], Quotas::Memory)?;
    let nginx = Nginx::start(service)?;
    let ways = ways([service, edge.address, nginx.address]).await?;
    let_in(&stage, &ways[0]).await?;
    let figures = ["upload-stream-vs-direct", "nginx-upload-stream-vs-direct"];
    in_turns(options, &ways, figures, report, async |channel, list| {
        upload(&stage, channel, list).await
    })
    .await
}

/// The same to a service that does nothing with what it gets.
pub(super) async fn to_sink(options: &Options, stage: &Stage, report: &mut Report) -> Result<()> {
    let sink = stage.sink(ANY, "")?;
    let edge = stage.gateway(&[sink.address], Quotas::Memory)?;
    let nginx = Nginx::start(sink.address)?;
    let ways = ways([sink.address, edge.address, nginx.address]).await?;
    let figures = ["sink-stream-vs-direct", "nginx-sink-stream-vs-direct"];
    in_turns(options, &ways, figures, report, async |channel, list| {
        acknowledged(stage, channel, list).await
    })
    .await
}

async fn ways(addresses: [SocketAddr; 3]) -> Result<[Channel; 3]> {
    let [direct, gateway, nginx] = addresses;
    Ok([channel(direct).await?, channel(gateway).await?, channel(nginx).await?])
}

/// Sends a list each way in turns; the figures are the rows a second by the gateway and by nginx
/// over those sent directly.
async fn in_turns(
    options: &Options,
    ways: &[Channel; 3],
    figures: [&'static str; 2],
    report: &mut Report,
    send: impl AsyncFn(&Channel, List) -> Result<Duration>,
) -> Result<()> {
    let mut rates: [Vec<f64>; 3] = Default::default();
    for round in 0..ROUNDS {
        let draw = options.seed.wrapping_add(round);
        let phones = people::list(options.people as usize, options.rows, MATCH_RATE, draw);
        let list = phones.chunks(BATCH).map(packed_batch).collect::<Result<List>>()?;
        for ((name, way), rates) in WAYS.iter().zip(ways).zip(&mut rates) {
            let took = send(way, list.clone()).await?;
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            let rate = options.rows as f64 / took.as_secs_f64();
            eprintln!("{name}: {rate:.0} rows/s");
            rates.push(rate);
        }
    }
    let [baseline, gateway, nginx] = rates;
    for (figure, candidate) in figures.into_iter().zip([gateway, nginx]) {
        let ratio = Ratio::of(&Pair { baseline: baseline.clone(), candidate });
        eprintln!("{figure} {ratio}");
        report.figure(figure, ratio.of_medians, Unit::Ratio);
    }
    Ok(())
}

/// Sends a list to the service that only reads; says how long it took until the last batch was
/// acknowledged.
async fn acknowledged(stage: &Stage, channel: &Channel, list: List) -> Result<Duration> {
    let expected = list.len();
    let mut client = AudienceServiceClient::new(channel.clone());
    let begun = Instant::now();
    let mut answers =
        client.append_upload(stage.business()?.says(stream::iter(list))).await?.into_inner();
    let mut acknowledged = 0;
    while answers.message().await?.is_some() {
        acknowledged += 1;
    }
    if acknowledged == expected {
        Ok(begun.elapsed())
    } else {
        Err(format!("{acknowledged} of {expected} batches are acknowledged").into())
    }
}
