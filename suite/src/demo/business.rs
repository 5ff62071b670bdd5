//! What a business and the ad server do: upload a customer list, ask who may see an ad.

use std::{collections::BTreeMap, io::Write, path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use futures::stream;
use proto::{
    audience::v1::{
        AppendUploadRequest, AppendUploadResponse, Audience, CommitUploadRequest,
        CreateAudienceRequest, CreateUploadRequest, CustomerSource, ListSubjectAudiencesRequest,
        PutBusinessRequest, Upload, UploadMode, audience_service_client::AudienceServiceClient,
        business_service_client::BusinessServiceClient,
        targeting_service_client::TargetingServiceClient,
    },
    types::v1::{Identifier, IdentifierKind, identifier::Value},
};
use service_kit::auth::Caller;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{Story, parties::Session, population::Person, progress::Progress};

/// Rows in one batch.
pub(crate) const BATCH_ROWS: usize = 500;
/// How long an interrupted upload waits for the service to come back.
const PATIENCE: Duration = Duration::from_mins(1);
const BUSINESS: &str = "corner-bakery";
const OWNER: &str = "bakery-ltd";

/// What a business has after an upload.
#[derive(Debug)]
pub(super) struct Uploaded {
    pub(super) upload: Upload,
    pub(super) audience: Audience,
    /// How often the connection broke and the upload went on from where it was.
    pub(super) resumed: u32,
}

/// The operator lets the business in; the business makes an audience.
pub(super) async fn open_account(story: &Story) -> anyhow::Result<Audience> {
    let mut admin = BusinessServiceClient::new(story.parties.admin()?);
    admin
        .put_business(PutBusinessRequest {
            request_id: story.id("put-business"),
            business_id: BUSINESS.to_owned(),
            display_name: "The Corner Bakery".to_owned(),
            owner_id: OWNER.to_owned(),
        })
        .await?;
    let created = business(story)?
        .create_audience(CreateAudienceRequest {
            request_id: story.id("create-audience"),
            display_name: "Newsletter readers".to_owned(),
            description: "Everyone who subscribed in the shop".to_owned(),
            customer_source: CustomerSource::UserProvided.into(),
            membership_lifetime: None,
        })
        .await?;
    created.into_inner().audience.context("an audience is made")
}

/// Reads the CSV, sends it in batches and commits. When the connection breaks, what was not
/// acknowledged is sent again: a batch counts once, however often it comes.
pub(super) async fn upload(
    story: &Story,
    audience_id: &str,
    csv: &Path,
    mode: UploadMode,
    name: &str,
) -> anyhow::Result<Uploaded> {
    let created = business(story)?
        .create_upload(CreateUploadRequest {
            request_id: story.id(format!("{name}-create")),
            audience_id: audience_id.to_owned(),
            mode: mode.into(),
            default_region: "DE".to_owned(),
            may_use_list: true,
            ..Default::default()
        })
        .await?;
    let upload_id = created.into_inner().upload.context("an upload is opened")?.upload_id;
    let mut pending = batches(story, csv, &upload_id, name)?;
    let batch_count = u32::try_from(pending.len())?;
    let bar = Progress::new("uploading customers", pending.len() * BATCH_ROWS);
    let mut resumed = 0;
    let mut give_up_at = Instant::now() + PATIENCE;
    loop {
        let before = pending.len();
        match send(story, &mut pending, &bar).await {
            Ok(()) => break,
            Err(error) if is_passing(&error) && Instant::now() < give_up_at => {
                resumed += u32::from(pending.len() < before);
                if pending.len() < before {
                    give_up_at = Instant::now() + PATIENCE;
                }
                bar.say("the connection broke, going on as soon as it is back");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(error).context("the upload failed"),
        }
    }
    let committed = business(story)?
        .commit_upload(CommitUploadRequest {
            request_id: story.id(format!("{name}-commit")),
            upload_id,
            batch_count,
        })
        .await?
        .into_inner();
    let (Some(upload), Some(audience)) = (committed.upload, committed.audience) else {
        bail!("a commit answers with the upload and the audience");
    };
    Ok(Uploaded { upload, audience, resumed })
}

/// Sends what is pending over one stream and takes from it what is acknowledged.
async fn send(
    story: &Story,
    pending: &mut BTreeMap<u32, AppendUploadRequest>,
    bar: &Progress,
) -> Result<(), Status> {
    let mut client = business(story).map_err(|error| Status::internal(error.to_string()))?;
    let requests = stream::iter(pending.values().cloned().collect::<Vec<_>>());
    let mut answers = client.append_upload(requests).await?.into_inner();
    while let Some(AppendUploadResponse { batch_number, rows_received, .. }) =
        answers.message().await?
    {
        pending.remove(&batch_number);
        bar.advance(rows_received.into());
    }
    if pending.is_empty() { Ok(()) } else { Err(Status::unavailable("the stream ended early")) }
}

/// Whether trying again may help: the service is away or the connection broke.
fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal)
}

fn batches(
    story: &Story,
    csv: &Path,
    upload_id: &str,
    name: &str,
) -> anyhow::Result<BTreeMap<u32, AppendUploadRequest>> {
    let mut reader =
        csv::Reader::from_path(csv).with_context(|| format!("reading {}", csv.display()))?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let (email, phone) = (record.get(0).unwrap_or_default(), record.get(1).unwrap_or_default());
        let (kind, text) = if phone.is_empty() {
            (IdentifierKind::Email, email)
        } else {
            (IdentifierKind::Phone, phone)
        };
        rows.push(Identifier { kind: kind.into(), value: Some(Value::Raw(text.to_owned())) });
    }
    let numbered = rows.chunks(BATCH_ROWS).zip(0..);
    Ok(numbered
        .map(|(rows, batch_number)| {
            let request = AppendUploadRequest {
                request_id: story.id(format!("{name}-{batch_number}")),
                upload_id: upload_id.to_owned(),
                batch_number,
                rows: rows.to_vec(),
                ..Default::default()
            };
            (batch_number, request)
        })
        .collect())
}

/// Writes a customer list as a business would export it.
pub(super) fn write_csv<'a>(
    to: &Path,
    rows: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_path(to)?;
    writer.write_record(["email", "phone"])?;
    for (email, phone) in rows {
        writer.write_record([email, phone])?;
    }
    writer.into_inner().context("writing the list")?.flush()?;
    Ok(())
}

/// The ad server asks, for the person in front of it, which audiences to show ads for.
pub(super) async fn audiences_of(story: &Story, person: &Person) -> anyhow::Result<Vec<String>> {
    let mut ad_server = TargetingServiceClient::new(story.parties.ad_server()?);
    let request = ListSubjectAudiencesRequest {
        subject_id: person.subject_id.clone(),
        business_id: String::new(),
    };
    let answer = ad_server.list_subject_audiences(request).await?.into_inner();
    Ok(answer.audiences.into_iter().map(|audience| audience.audience_id).collect())
}

/// What the business is told of its audience's size.
pub(super) fn size(audience: &Audience) -> anyhow::Result<String> {
    let size = audience.size.as_ref().context("a commit draws a release")?;
    ensure!(size.lower_bound <= size.upper_bound, "{size:?}");
    Ok(if size.below_minimum {
        format!("below {}", size.upper_bound)
    } else {
        format!("{} to {}", size.lower_bound, size.upper_bound)
    })
}

fn business(story: &Story) -> anyhow::Result<AudienceServiceClient<Session>> {
    Ok(AudienceServiceClient::new(story.parties.session(&Caller::business(BUSINESS, OWNER))?))
}
