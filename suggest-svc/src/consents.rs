//! Asking consent-svc: strictly, every time, in as few calls as the contract allows.

use std::collections::HashMap;

use proto::consent::v1::{
    BatchCheckRequest, Outcome, consent_service_client::ConsentServiceClient,
};
use service_kit::{
    client::{self, Upstream},
    clock::UnixMillis,
};
use tonic::Status;

use crate::{domain::Subject, error::Error};

/// The most people of one `BatchCheck`, by the contract.
const PEOPLE: usize = 10_000;

/// consent-svc. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Consents {
    upstream: Upstream,
    max_message_bytes: usize,
}

/// What consent-svc said of some people and one purpose.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The instant at which all of it held.
    pub(crate) checked_at: UnixMillis,
    /// Until when, in Unix milliseconds; nothing: not granted.
    until: HashMap<Subject, Option<i64>>,
}

impl Answers {
    /// What was said at an instant: until when, or that it is not granted.
    #[cfg(test)]
    pub(crate) fn at(checked_at: UnixMillis, until: &[(&Subject, Option<i64>)]) -> Self {
        let until = until.iter().map(|(subject, until)| ((*subject).clone(), *until)).collect();
        Self { checked_at, until }
    }

    /// Until when this is granted, in Unix milliseconds, `i64::MAX` for no end; nothing when it is
    /// not, or was not asked.
    pub(crate) fn granted_until(&self, subject: &Subject) -> Option<i64> {
        self.until.get(subject).copied().flatten()
    }

    /// Whether this is granted.
    pub(crate) fn is_granted(&self, subject: &Subject) -> bool {
        self.granted_until(subject).is_some()
    }

    /// Those for whom it is not.
    pub(crate) fn denied(&self) -> impl Iterator<Item = &Subject> {
        self.until.iter().filter(|(_, until)| until.is_none()).map(|(subject, _)| subject)
    }

    /// Those for whom it is.
    pub(crate) fn granted(&self) -> impl Iterator<Item = &Subject> {
        self.until.iter().filter(|(_, until)| until.is_some()).map(|(subject, _)| subject)
    }
}

impl Consents {
    /// Asks the service at the other end.
    pub(crate) fn new(upstream: Upstream, max_message_bytes: usize) -> Self {
        Self { upstream, max_message_bytes }
    }

    /// May this be done with these people's data, now? One `BatchCheck` for each 10,000 of them.
    pub(crate) async fn check(
        &self,
        purpose: &str,
        mut subjects: Vec<&Subject>,
    ) -> Result<Answers, Error> {
        subjects.sort_unstable();
        subjects.dedup();
        let mut answers = Answers { checked_at: UnixMillis::new(i64::MAX), until: HashMap::new() };
        for chunk in subjects.chunks(PEOPLE) {
            self.check_some(purpose, chunk, &mut answers).await?;
        }
        Ok(answers)
    }

    async fn check_some(
        &self,
        purpose: &str,
        subjects: &[&Subject],
        answers: &mut Answers,
    ) -> Result<(), Error> {
        let mut client = ConsentServiceClient::new(self.upstream.clone())
            .max_decoding_message_size(self.max_message_bytes);
        let request = BatchCheckRequest {
            purpose_id: purpose.to_owned(),
            subject_ids: subjects.iter().map(ToString::to_string).collect(),
            with_details: true,
        };
        let response = client.batch_check(request).await;
        let response = response.map_err(|status| failed(&status))?.into_inner();
        let checked_at = response.checked_at.map(UnixMillis::try_from);
        let count = subjects.len();
        let (Some(Ok(checked_at)), true) = (
            checked_at,
            response.outcomes.len() == count && response.valid_until_ms.len() == count,
        ) else {
            return Err(failed(&Status::internal("an answer of another shape")));
        };
        // All of it held at no later an instant than the first part.
        answers.checked_at = answers.checked_at.min(checked_at);
        let outcomes = response.outcomes().zip(&response.valid_until_ms);
        for (subject, (outcome, until)) in subjects.iter().zip(outcomes) {
            let until = if *until == 0 { i64::MAX } else { *until };
            let granted = (outcome == Outcome::Granted).then_some(until);
            answers.until.insert((*subject).clone(), granted);
        }
        Ok(())
    }
}

fn failed(status: &Status) -> Error {
    Error::Consent(Box::new(client::failed("consent-svc", status)))
}
