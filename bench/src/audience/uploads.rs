//! Uploads, from the client's first byte to the last acknowledgement, which comes when a batch is
//! durable.

use std::time::{Duration, Instant};

use futures::stream;
use proto::{
    audience::v1::{
        AppendUploadRequest, CommitUploadRequest, CreateAudienceRequest, CreateUploadRequest,
        CustomerSource, PutBusinessRequest, UploadMode,
        audience_service_client::AudienceServiceClient,
        business_service_client::BusinessServiceClient,
    },
    types::v1::{Identifier, IdentifierKind, identifier::Value},
};
use tonic::transport::Channel;

use super::{
    Options, people,
    stage::{BUSINESS, Kept, Stage, admin, business},
};
use crate::{
    Result, machine,
    report::{Report, Unit},
    svc::request_id,
};

/// The most rows of a batch.
pub(crate) const BATCH: usize = 10_000;

/// How often each list is uploaded; the median counts.
const ROUNDS: u64 = 5;

/// How a list is put into batches.
type Form = fn(&[String]) -> Result<AppendUploadRequest>;

/// A list in batches.
pub(crate) type List = Vec<AppendUploadRequest>;

/// Uploads lists of hashed and of raw phone numbers.
pub(super) async fn measure(options: &Options, stage: &Stage, report: &mut Report) -> Result<()> {
    let channel = stage.channel().await?;
    let_in(stage, &channel).await?;
    let (packed, raw) = match stage.kept {
        Kept::Sqlite => ("upload-packed-rows-per-second", "upload-raw-phone-rows-per-second"),
        Kept::Postgresql => (
            "upload-packed-postgresql-rows-per-second",
            "upload-raw-phone-postgresql-rows-per-second",
        ),
    };
    for (figure, form) in [(packed, packed_batch as Form), (raw, |phones| Ok(raw_batch(phones)))] {
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let seed = options.seed + round;
            let phones = people::list(options.people, options.rows, options.match_rate, seed);
            let list = phones.chunks(BATCH).map(form).collect::<Result<List>>()?;
            times.push(upload(stage, &channel, list).await?);
        }
        times.sort_unstable();
        let median = times[times.len() / 2];
        #[allow(clippy::cast_precision_loss)] // far below 2^53
        report.figure(figure, options.rows as f64 / median.as_secs_f64(), Unit::PerSecond);
    }
    let memory = machine::peak_memory(stage.service()?.id())?;
    eprintln!("{:?}: peak of audience-svc {} MB", stage.kept, memory / 1_000_000);
    Ok(())
}

/// Makes the business known that uploads.
pub(crate) async fn let_in(stage: &Stage, channel: &Channel) -> Result<()> {
    let message = PutBusinessRequest {
        request_id: request_id("business"),
        business_id: BUSINESS.to_owned(),
        display_name: BUSINESS.to_owned(),
        owner_id: BUSINESS.to_owned(),
    };
    let mut client = BusinessServiceClient::new(channel.clone());
    client.put_business(stage.call(&admin(), message)?).await?;
    Ok(())
}

/// Uploads a list for a new audience and commits it; says how long it took until the last batch was
/// acknowledged.
pub(crate) async fn upload(stage: &Stage, channel: &Channel, mut list: List) -> Result<Duration> {
    let mut client = AudienceServiceClient::new(channel.clone());
    let message = CreateAudienceRequest {
        request_id: request_id("audience"),
        display_name: "a list".to_owned(),
        customer_source: CustomerSource::UserProvided.into(),
        ..Default::default()
    };
    let made = client.create_audience(stage.call(&business(), message)?).await?.into_inner();
    let message = CreateUploadRequest {
        request_id: request_id("upload"),
        audience_id: made.audience.ok_or("no audience was made")?.audience_id,
        mode: UploadMode::Add.into(),
        may_use_list: true,
        ..Default::default()
    };
    let opened = client.create_upload(stage.call(&business(), message)?).await?.into_inner();
    let upload_id = opened.upload.ok_or("no upload was opened")?.upload_id;
    for (number, batch) in (0..).zip(&mut list) {
        batch.request_id = request_id("batch");
        batch.batch_number = number;
        batch.upload_id.clone_from(&upload_id);
    }
    let batch_count = u32::try_from(list.len())?;
    let (mut acknowledged, begun) = (0, Instant::now());
    let call = stage.call(&business(), stream::iter(list))?;
    let mut answers = client.append_upload(call).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        acknowledged += 1;
        if answer.rows_invalid > 0 {
            return Err(format!("{} rows are invalid", answer.rows_invalid).into());
        }
    }
    let took = begun.elapsed();
    if acknowledged != batch_count {
        return Err(format!("{acknowledged} of {batch_count} batches are acknowledged").into());
    }
    let (begun, request_id) = (Instant::now(), request_id("commit"));
    let message = CommitUploadRequest { request_id, upload_id, batch_count };
    let done = client.commit_upload(stage.call(&business(), message)?).await?.into_inner();
    let size = done.audience.and_then(|audience| audience.size).ok_or("no size was told")?;
    eprintln!(
        "{:?}: {batch_count} batches in {took:.2?}, committed in {:.2?}: {} to {} people",
        stage.kept,
        begun.elapsed(),
        size.lower_bound,
        size.upper_bound
    );
    Ok(took)
}

/// Rows as packed digests.
pub(crate) fn packed_batch(phones: &[String]) -> Result<AppendUploadRequest> {
    let mut packed = Vec::with_capacity(32 * phones.len());
    for phone in phones {
        packed.extend(people::hashed(phone)?.as_bytes());
    }
    let packed_kind = IdentifierKind::Phone.into();
    Ok(AppendUploadRequest { packed_sha256: packed, packed_kind, ..Default::default() })
}

fn raw_batch(phones: &[String]) -> AppendUploadRequest {
    let row = |phone: &String| Identifier {
        kind: IdentifierKind::Phone.into(),
        value: Some(Value::Raw(phone.clone())),
    };
    AppendUploadRequest { rows: phones.iter().map(row).collect(), ..Default::default() }
}
