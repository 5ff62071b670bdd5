//! What people have a right to: a copy of what is held about them, and its erasure.

use futures::{TryStreamExt as _, stream};
use proto::{
    consent::v1 as pb,
    types::v1::{ExportField, ExportRecord},
};
use service_kit::grpc::open;
use tonic::{Request, Status, codegen::BoxStream};

use super::{Handlers, event, request_id, timestamp};
use crate::{
    domain::{AgeBand, Event, EventContent, Policies, PolicyNumber},
    erase_subject as erase,
    error::Error,
    store::{Erasure, Page, Proof},
};

/// The most records in one message.
const RECORDS: usize = 100;

pub(super) async fn export_subject(
    handlers: &Handlers,
    request: Request<pb::ExportSubjectRequest>,
) -> Result<BoxStream<pb::ExportSubjectResponse>, Status> {
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let id = message.subject_id;
    let history = handlers.store.history(&id).await.map_err(Error::from)?;
    let history = history.ok_or(Error::SubjectUnknown)?;
    // The next events are read when the caller has taken these.
    let pages = stream::try_unfold((id, history), |(id, mut history)| async move {
        let Some(page) = history.next().await.map_err(Error::from)? else { return Ok(None) };
        let messages = messages(&id, &page, &history.policies);
        Ok::<_, Status>(Some((stream::iter(messages), (id, history))))
    });
    Ok(Box::pin(pages.try_flatten()))
}

fn messages(
    subject_id: &str,
    page: &Page,
    policies: &Policies,
) -> Vec<Result<pb::ExportSubjectResponse, Status>> {
    let message = |events: &[(Event, Proof)]| {
        let records = events.iter().map(|(event, _)| record(subject_id, event, policies));
        Ok(pb::ExportSubjectResponse { records: records.collect() })
    };
    page.chunks(RECORDS).map(message).collect()
}

/// All that is kept is the history: everything else follows from it.
fn record(subject_id: &str, event: &Event, policies: &Policies) -> ExportRecord {
    let shown = event::write(subject_id, event, policies);
    let mut fields = vec![
        field("event_id", event.id()),
        field("subject_id", subject_id),
        field("occurred_at", millis(event.occurred_at)),
    ];
    if let Some(policy) = &shown.policy {
        fields.push(field("policy", format!("{} {}", policy.policy_id, policy.version)));
    }
    let choice = |choice: &pb::Choice| {
        let said = if choice.granted { "granted" } else { "refused" };
        field(&choice.purpose_id, said)
    };
    fields.extend(shown.choices.iter().map(choice));
    match &event.content {
        EventContent::SubjectPut(attributes) => {
            fields.push(field("jurisdiction", attributes.jurisdiction.code()));
            let age = match attributes.age_band {
                AgeBand::Unspecified => "unspecified",
                AgeBand::Adult => "adult",
                AgeBand::UnderAge => "under age",
            };
            fields.push(field("age_band", age));
            fields.push(field("account_created_at", millis(attributes.account_created_at)));
            fields.push(field("apps", attributes.apps.join(", ")));
        }
        EventContent::NoticeServed { policy, notice } => {
            fields.extend(notice_shown(policies, *policy, *notice));
        }
        EventContent::DecisionRecorded { policy, evidence, guardian, .. } => {
            fields.extend(notice_shown(policies, *policy, evidence.notice));
            fields.push(field("method", &*evidence.method));
            fields.push(field("locale", &*evidence.locale));
            fields.push(field("client", &*evidence.client));
            fields.extend(guardian.iter().map(|guardian| field("decided_by", &**guardian)));
        }
        EventContent::ObjectionSignalSet { objects } => {
            fields.push(field("objects", objects.to_string()));
        }
        EventContent::Linked { with } | EventContent::Unlinked { with } => {
            fields.push(field("linked", with.join(", ")));
        }
        EventContent::GuardianSet { guardian } => {
            fields.push(field("guardian", guardian.clone().unwrap_or_default()));
        }
        EventContent::WardsSet { wards } => fields.push(field("wards", wards.join(", "))),
        EventContent::Withdrawn { .. }
        | EventContent::Erased
        | EventContent::ErasedContent { .. } => {}
    }
    let category = format!("consent.{}", category(shown.kind()));
    ExportRecord { category, recorded_at: Some(timestamp(event.recorded_at)), fields }
}

/// Which text a person was shown: its language and SHA-256; the policy has the text.
fn notice_shown(policies: &Policies, policy: PolicyNumber, notice: u16) -> Option<ExportField> {
    let notice = policies.version(policy)?.policy.spec.notices.get(usize::from(notice))?;
    Some(field("notice", format!("{} sha256:{}", notice.locale, hex::encode(notice.sha256))))
}

/// The kind's name without its prefix, in small letters: `decision_recorded`.
fn category(kind: pb::EventKind) -> String {
    kind.as_str_name().trim_start_matches("EVENT_KIND_").to_lowercase()
}

fn millis(at: crate::domain::Moment) -> String {
    timestamp(at).to_string()
}

fn field(name: &str, value: impl Into<String>) -> ExportField {
    ExportField { name: name.to_owned(), value: value.into() }
}

pub(super) async fn erase_subject(
    handlers: &Handlers,
    request: Request<pb::EraseSubjectRequest>,
) -> Result<pb::EraseSubjectResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    let id = request_id(&caller, &message.request_id, &message);
    let subject_id = message.subject_id;
    let erased =
        erase::erase_subject(&handlers.writer, &handlers.store, id, subject_id.clone()).await?;
    Ok(pb::EraseSubjectResponse { erasure: Some(erasure(subject_id, erased)) })
}

pub(super) async fn get_erasure(
    handlers: &Handlers,
    request: Request<pb::GetErasureRequest>,
) -> Result<pb::GetErasureResponse, Status> {
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let found = handlers.store.erasure(&message.subject_id).await.map_err(Error::from)?;
    let found = found.ok_or(Error::RecordUnknown)?;
    Ok(pb::GetErasureResponse { erasure: Some(erasure(message.subject_id, found)) })
}

pub(super) async fn acknowledge_erasure(
    handlers: &Handlers,
    request: Request<pb::AcknowledgeErasureRequest>,
) -> Result<pb::AcknowledgeErasureResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    if *caller.name != *message.follower || !handlers.store.has_follower(&message.follower) {
        return Err(Error::NotTheFollower.into());
    }
    let id = request_id(&caller, &message.request_id, &message);
    handlers.store.acknowledge_erasure(id, &message.subject_id, &message.follower).await?;
    Ok(pb::AcknowledgeErasureResponse {})
}

fn erasure(subject_id: String, erasure: Erasure) -> pb::Erasure {
    let complete = erasure.followers.iter().all(|(_, at)| at.is_some());
    let followers = erasure
        .followers
        .into_iter()
        .map(|(follower, at)| pb::ErasureFollower { follower, acknowledged_at: at.map(timestamp) });
    pb::Erasure {
        subject_id,
        requested_at: Some(timestamp(erasure.requested_at)),
        followers: followers.collect(),
        complete,
    }
}
