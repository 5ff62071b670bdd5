//! What changes subjects.

use proto::{consent::v1 as pb, options::v1::Role};
use service_kit::grpc::open;
use tonic::{Request, Status};

use super::{Handlers, deadline, optional_moment, parsed, request_id, subject};
use crate::{
    error::Error,
    link_subjects, put_subject as put,
    record_decision::{self, Made},
    record_notice_served::{self, Shown},
    set_guardian as guardian, withdraw as end,
};

pub(super) async fn put_subject(
    handlers: &Handlers,
    request: Request<pb::PutSubjectRequest>,
) -> Result<pb::PutSubjectResponse, Status> {
    let (caller, message, mut bad) = open(request)?;
    let attributes = subject::parse(&message, &mut bad);
    let attributes = parsed(bad, attributes)?;
    let id = request_id(&caller, &message.request_id, &message);
    let subject_id = message.subject_id;
    let reply =
        put::put_subject(&handlers.writer, id, subject_id.clone(), attributes.clone()).await?;
    let subject = subject::write(subject_id, &attributes, reply.objects, reply.revision);
    Ok(pb::PutSubjectResponse { subject: Some(subject) })
}

pub(super) async fn link_subjects(
    handlers: &Handlers,
    request: Request<pb::LinkSubjectsRequest>,
) -> Result<pb::LinkSubjectsResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    let id = request_id(&caller, &message.request_id, &message);
    let linked =
        link_subjects::link_subjects(&handlers.writer, &handlers.store, id, message.subject_ids);
    Ok(pb::LinkSubjectsResponse { subject_ids: linked.await? })
}

pub(super) async fn unlink_subjects(
    handlers: &Handlers,
    request: Request<pb::UnlinkSubjectsRequest>,
) -> Result<pb::UnlinkSubjectsResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    let id = request_id(&caller, &message.request_id, &message);
    link_subjects::unlink_subjects(&handlers.writer, id, message.subject_ids).await?;
    Ok(pb::UnlinkSubjectsResponse {})
}

pub(super) async fn set_guardian(
    handlers: &Handlers,
    request: Request<pb::SetGuardianRequest>,
) -> Result<pb::SetGuardianResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    let id = request_id(&caller, &message.request_id, &message);
    let who = Some(message.guardian_subject_id).filter(|who| !who.is_empty());
    let subject_id = message.subject_id;
    let (writer, store) = (&handlers.writer, &handlers.store);
    let (set, revision) =
        guardian::set_guardian(writer, store, id, subject_id.clone(), who).await?;
    let subject = Some(subject::write_known(subject_id, &set, revision));
    Ok(pb::SetGuardianResponse { subject })
}

pub(super) async fn record_notice_served(
    handlers: &Handlers,
    request: Request<pb::RecordNoticeServedRequest>,
) -> Result<pb::RecordNoticeServedResponse, Status> {
    let (caller, message, mut bad) = open(request)?;
    let served_at = optional_moment(&mut bad, "served_at", message.served_at.as_ref());
    let (policy, served_at) = parsed(bad, message.policy.clone().zip(served_at))?;
    let id = request_id(&caller, &message.request_id, &message);
    let served = Shown {
        policy_id: policy.policy_id,
        version: policy.version,
        notice_sha256: message.notice_sha256,
        served_at,
    };
    let served = record_notice_served::record_notice_served(
        &handlers.writer,
        id,
        message.subject_id,
        served,
    );
    Ok(pb::RecordNoticeServedResponse { accept_until: deadline(served.await?.accept_until) })
}

pub(super) async fn record_decision(
    handlers: &Handlers,
    request: Request<pb::RecordDecisionRequest>,
) -> Result<pb::RecordDecisionResponse, Status> {
    let (caller, message, mut bad) = open(request)?;
    let evidence = message.evidence.clone();
    let decided_at = evidence.as_ref().and_then(|evidence| evidence.decided_at.as_ref());
    let decided_at = optional_moment(&mut bad, "evidence.decided_at", decided_at);
    let found = message.policy.clone().zip(evidence).zip(decided_at);
    let ((policy, evidence), decided_at) = parsed(bad, found)?;
    if caller.role == Role::User && !message.decided_by.is_empty() {
        return Err(Error::DecidesForOthers.into());
    }
    let id = request_id(&caller, &message.request_id, &message);
    let choices = message.choices.into_iter().map(|one| (one.purpose_id, one.granted));
    let decided = Made {
        policy_id: policy.policy_id.clone(),
        version: policy.version,
        choices: choices.collect(),
        method: evidence.method,
        locale: evidence.locale,
        notice_sha256: evidence.notice_sha256,
        client: evidence.client,
        decided_at,
        decided_by: message.decided_by,
    };
    let decided =
        record_decision::record_decision(&handlers.writer, id, message.subject_id, decided);
    let reply = decided.await?;
    // Whatever wrote it had these policies at hand, or later ones: a version never changes.
    let policies = handlers.store.policies_at_hand();
    let version = policies.named(&policy.policy_id, policy.version);
    let answers = subject::write_answers(version, &reply.answers);
    let (event_id, revision) = (reply.event_id, reply.revision);
    Ok(pb::RecordDecisionResponse { event_id, revision, answers })
}

pub(super) async fn withdraw(
    handlers: &Handlers,
    request: Request<pb::WithdrawRequest>,
) -> Result<pb::WithdrawResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    let id = request_id(&caller, &message.request_id, &message);
    let withdrawn = end::withdraw(&handlers.writer, id, message.subject_id, message.purpose_ids);
    let reply = withdrawn.await?;
    Ok(pb::WithdrawResponse { event_id: reply.event_id, revision: reply.revision })
}

pub(super) async fn set_objection_signal(
    handlers: &Handlers,
    request: Request<pb::SetObjectionSignalRequest>,
) -> Result<pb::SetObjectionSignalResponse, Status> {
    let (caller, message, bad) = open(request)?;
    bad.finish()?;
    let id = request_id(&caller, &message.request_id, &message);
    let set = put::set_objection_signal(&handlers.writer, id, message.subject_id, message.objects);
    Ok(pb::SetObjectionSignalResponse { revision: set.await?.revision })
}
