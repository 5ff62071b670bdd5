//! What answers questions about subjects.

use proto::{consent::v1 as pb, errors::v1::Reason, status};
use service_kit::grpc::{open, request_digest};
use tonic::{Request, Status};

use super::{Handlers, deadline, event, optional_moment, page_size, parsed, subject, timestamp};
use crate::{
    check::Answer,
    consent::{Standing, consent, consent_as_of},
    domain::Moment,
    error::Error,
    store::Store,
};

pub(super) async fn get_consent(
    handlers: &Handlers,
    request: Request<pb::GetConsentRequest>,
) -> Result<pb::GetConsentResponse, Status> {
    let now = handlers.store.now();
    let (_, message, mut bad) = open(request)?;
    let as_of = optional_moment(&mut bad, "as_of", message.as_of.as_ref());
    if as_of.flatten().is_some_and(|at| at > now.latest) {
        bad.add("as_of", "in the future");
    }
    let as_of = parsed(bad, as_of)?;
    let line = |standing: Standing<'_>| subject::write_standing(&standing);
    let id = &message.subject_id;
    let found = match as_of {
        None => consent(&handlers.store, id, now, line).await?,
        Some(at) => consent_as_of(&handlers.store, id, at, line).await?,
    };
    let subject = subject::write_known(message.subject_id, &found.subject, found.revision);
    Ok(pb::GetConsentResponse {
        subject: Some(subject),
        purposes: found.purposes,
        evaluated_at: Some(timestamp(as_of.unwrap_or(now.earliest))),
    })
}

pub(super) async fn check(
    handlers: &Handlers,
    request: Request<pb::CheckRequest>,
) -> Result<pb::CheckResponse, Status> {
    let start = handlers.checker.start();
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let answer = handlers.checker.check(&message.subject_id, &message.purpose_id, start).await?;
    Ok(pb::CheckResponse {
        outcome: subject::outcome(&answer.decision) as i32,
        reason: subject::reason(&answer.decision) as i32,
        valid_until: deadline(answer.decision.valid_until),
        revision: answer.revision,
        checked_at: Some(timestamp(start.now.earliest)),
    })
}

pub(super) async fn batch_check(
    handlers: &Handlers,
    request: Request<pb::BatchCheckRequest>,
) -> Result<pb::BatchCheckResponse, Status> {
    let start = handlers.checker.start();
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let pb::BatchCheckRequest { purpose_id, subject_ids, with_details } = message;
    let answers = handlers.checker.batch_check(&subject_ids, &purpose_id, start).await?;
    let mut response = pb::BatchCheckResponse {
        outcomes: answers.iter().map(|one| subject::outcome(&one.decision) as i32).collect(),
        reasons: answers.iter().map(|one| subject::reason(&one.decision) as i32).collect(),
        checked_at: Some(timestamp(start.now.earliest)),
        ..pb::BatchCheckResponse::default()
    };
    if with_details {
        let until = |answer: &Answer| answer.decision.valid_until.map_or(0, Moment::millis);
        response.revisions = answers.iter().map(|one| one.revision).collect();
        response.valid_until_ms = answers.iter().map(until).collect();
    }
    Ok(response)
}

pub(super) async fn list_events(
    handlers: &Handlers,
    request: Request<pb::ListEventsRequest>,
) -> Result<pb::ListEventsResponse, Status> {
    const METHOD: &str = "ListEvents";
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let arguments = request_digest(&message);
    let cursor = handlers.pages.open(METHOD, &arguments, &message.page_token)?;
    let after = match cursor.map(<[u8; 8]>::try_from) {
        None => 0,
        Some(Ok(cursor)) => u64::from_be_bytes(cursor),
        Some(Err(_)) => return Err(status::status(Reason::PageTokenInvalid, "page_token")),
    };
    let size = page_size(message.page_size) as usize;
    let (events, more) = events_after(&handlers.store, &message.subject_id, after, size).await?;
    let next_page_token = match events.last() {
        Some(last) if more => handlers.pages.seal(METHOD, &arguments, &last.revision.to_be_bytes()),
        _ => String::new(),
    };
    Ok(pb::ListEventsResponse { events, next_page_token })
}

/// As many of a subject's events after a revision, and whether there are more. However few, they
/// cost a walk through the whole history, linear in its length: that they are genuine shows only
/// at its head.
async fn events_after(
    store: &Store,
    subject_id: &str,
    after: u64,
    size: usize,
) -> Result<(Vec<pb::Event>, bool), Error> {
    let mut history = store.history(subject_id).await?.ok_or(Error::SubjectUnknown)?;
    let (mut events, mut more) = (Vec::new(), false);
    while let Some(page) = history.next().await? {
        for (one, _) in page.iter().filter(|(one, _)| one.revision > after) {
            if events.len() < size {
                events.push(event::write(subject_id, one, &history.policies));
            } else {
                more = true;
            }
        }
    }
    Ok((events, more))
}
