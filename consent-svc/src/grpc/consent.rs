//! `ConsentService`. What is not here answers UNIMPLEMENTED.

use proto::{
    consent::v1::{self as pb, consent_service_server::ConsentService},
    errors::v1::Reason,
    status,
};
use service_kit::grpc::{open, request_digest};
use tonic::{Request, Response, Status};

use super::{
    Handlers, deadline, event, optional_moment, page_size, parsed, request_id, subject, timestamp,
};
use crate::{
    check::{batch_check, check, consent},
    domain::Moment,
    error::Error,
    put_subject::{put_subject, set_objection_signal},
    record_decision::{Made, record_decision},
    record_notice_served::{Shown, record_notice_served},
    withdraw::withdraw,
};

#[tonic::async_trait]
impl ConsentService for Handlers {
    async fn put_subject(
        &self,
        request: Request<pb::PutSubjectRequest>,
    ) -> Result<Response<pb::PutSubjectResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let attributes = subject::parse(&message, &mut bad);
        let attributes = parsed(bad, attributes)?;
        let id = request_id(&caller, &message.request_id, &message);
        let subject_id = message.subject_id;
        let reply = put_subject(&self.store, id, subject_id.clone(), attributes.clone()).await?;
        let subject = subject::write(subject_id, &attributes, reply.objects, reply.revision);
        Ok(Response::new(pb::PutSubjectResponse { subject: Some(subject) }))
    }

    async fn record_notice_served(
        &self,
        request: Request<pb::RecordNoticeServedRequest>,
    ) -> Result<Response<pb::RecordNoticeServedResponse>, Status> {
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
        let reply = record_notice_served(&self.store, id, message.subject_id, served).await?;
        let accept_until = deadline(reply.accept_until);
        Ok(Response::new(pb::RecordNoticeServedResponse { accept_until }))
    }

    async fn record_decision(
        &self,
        request: Request<pb::RecordDecisionRequest>,
    ) -> Result<Response<pb::RecordDecisionResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let evidence = message.evidence.clone();
        let decided_at = evidence.as_ref().and_then(|evidence| evidence.decided_at.as_ref());
        let decided_at = optional_moment(&mut bad, "evidence.decided_at", decided_at);
        let found = message.policy.clone().zip(evidence).zip(decided_at);
        let ((policy, evidence), decided_at) = parsed(bad, found)?;
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
        let reply = record_decision(&self.store, id, message.subject_id, decided).await?;
        let policies = self.store.policies().await?;
        let version = policies.named(&policy.policy_id, policy.version);
        let answers = subject::write_answers(version, &reply.answers);
        let (event_id, revision) = (reply.event_id, reply.revision);
        Ok(Response::new(pb::RecordDecisionResponse { event_id, revision, answers }))
    }

    async fn withdraw(
        &self,
        request: Request<pb::WithdrawRequest>,
    ) -> Result<Response<pb::WithdrawResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let id = request_id(&caller, &message.request_id, &message);
        let reply = withdraw(&self.store, id, message.subject_id, message.purpose_ids).await?;
        let (event_id, revision) = (reply.event_id, reply.revision);
        Ok(Response::new(pb::WithdrawResponse { event_id, revision }))
    }

    async fn set_objection_signal(
        &self,
        request: Request<pb::SetObjectionSignalRequest>,
    ) -> Result<Response<pb::SetObjectionSignalResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let id = request_id(&caller, &message.request_id, &message);
        let objects = message.objects;
        let reply = set_objection_signal(&self.store, id, message.subject_id, objects).await?;
        Ok(Response::new(pb::SetObjectionSignalResponse { revision: reply.revision }))
    }

    async fn get_consent(
        &self,
        request: Request<pb::GetConsentRequest>,
    ) -> Result<Response<pb::GetConsentResponse>, Status> {
        let now = self.now();
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        if message.as_of.is_some() {
            return Err(Error::AsOfNotBuilt.into());
        }
        let line = |standing: crate::check::Standing<'_>| subject::write_standing(&standing);
        let (known, purposes) = consent(&self.store, &message.subject_id, now, line).await?;
        let subject = subject::write_known(message.subject_id, &known.subject, known.revision);
        let evaluated_at = Some(timestamp(now));
        Ok(Response::new(pb::GetConsentResponse { subject: Some(subject), purposes, evaluated_at }))
    }

    async fn check(
        &self,
        request: Request<pb::CheckRequest>,
    ) -> Result<Response<pb::CheckResponse>, Status> {
        let now = self.now();
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let answer = check(&self.store, &message.subject_id, &message.purpose_id, now).await?;
        Ok(Response::new(pb::CheckResponse {
            outcome: subject::outcome(&answer.decision) as i32,
            reason: subject::reason(&answer.decision) as i32,
            valid_until: deadline(answer.decision.valid_until),
            revision: answer.revision,
            checked_at: Some(timestamp(now)),
        }))
    }

    async fn batch_check(
        &self,
        request: Request<pb::BatchCheckRequest>,
    ) -> Result<Response<pb::BatchCheckResponse>, Status> {
        let now = self.now();
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let pb::BatchCheckRequest { purpose_id, subject_ids, with_details } = message;
        let answers = batch_check(&self.store, &subject_ids, &purpose_id, now).await?;
        let mut response = pb::BatchCheckResponse {
            outcomes: answers.iter().map(|one| subject::outcome(&one.decision) as i32).collect(),
            reasons: answers.iter().map(|one| subject::reason(&one.decision) as i32).collect(),
            checked_at: Some(timestamp(now)),
            ..pb::BatchCheckResponse::default()
        };
        if with_details {
            let until = |until: Option<Moment>| until.map_or(0, Moment::millis);
            response.revisions = answers.iter().map(|one| one.revision).collect();
            response.valid_until_ms =
                answers.iter().map(|one| until(one.decision.valid_until)).collect();
        }
        Ok(Response::new(response))
    }

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        const METHOD: &str = "ListEvents";
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let arguments = request_digest(&message);
        let cursor = self.pages.open(METHOD, &arguments, &message.page_token)?;
        let after = match cursor.map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(cursor)) => u64::from_be_bytes(cursor),
            Some(Err(_)) => return Err(status::status(Reason::PageTokenInvalid, "page_token")),
        };
        let size = page_size(message.page_size);
        let (policies, events) =
            self.store.events(&message.subject_id, after, size.saturating_add(1)).await?;
        let mut events = events.ok_or(Error::SubjectUnknown)?;
        let more = events.len() > size as usize;
        events.truncate(size as usize);
        let next_page_token = match events.last() {
            Some(last) if more => self.pages.seal(METHOD, &arguments, &last.revision.to_be_bytes()),
            _ => String::new(),
        };
        let write = |one| event::write(&message.subject_id, one, &policies);
        let events = events.iter().map(write).collect();
        Ok(Response::new(pb::ListEventsResponse { events, next_page_token }))
    }
}
