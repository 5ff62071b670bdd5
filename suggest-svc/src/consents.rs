//! Asking consent-svc: strictly, every time, in as few calls as the contract allows; and following
//! its feed.

use futures::try_join;
use hashbrown::HashMap;
use proto::consent::v1::{
    AcknowledgeErasureRequest, BatchCheckRequest, BatchCheckResponse, ChangeEvent, DecisionReason,
    EventKind, Outcome, WatchChangesRequest, WatchChangesResponse,
    consent_service_client::ConsentServiceClient,
};
use service_kit::{
    client::{self, Upstream},
    clock::UnixMillis,
};
use tonic::{Code, Status, Streaming};

use crate::{config::PurposeConfig, domain::Subject, error::Error};

/// The most people of one `BatchCheck`, by the contract.
const PEOPLE: usize = 10_000;
/// The largest step of the feed.
const LARGEST_STEP: usize = 8 << 20;
/// Our name among those who follow the feed.
const FOLLOWER: &str = "suggest-svc";

/// Until when somebody agrees who does not.
pub(crate) const NOT_AT_ALL: i64 = i64::MIN;

/// The steps of the feed.
pub(crate) type Steps = Streaming<WatchChangesResponse>;

/// consent-svc. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Consents {
    upstream: Upstream,
    max_message_bytes: usize,
}

/// What consent-svc said of a person.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    /// Until when what was asked about is granted, in Unix milliseconds, `i64::MAX` for no end;
    /// nothing: it is not.
    pub(crate) until: Option<i64>,
    /// Until when the uses are, where they were asked about.
    pub(crate) uses: Option<Uses>,
    /// The revision of the person's consents at the answer.
    pub(crate) revision: i64,
    /// Nothing is to be kept of the person anywhere.
    pub(crate) erased: bool,
}

/// Until when a person agrees to the uses, in Unix milliseconds; [`NOT_AT_ALL`]: does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Uses {
    /// To be suggested.
    pub(crate) suggest: i64,
    /// To count where spam is fought.
    pub(crate) spam: i64,
}

/// What consent-svc said of some people and one purpose.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    said: HashMap<Subject, Said>,
    /// How many denials the feed had brought before it was asked.
    pub(crate) denials: i64,
}

impl Answers {
    /// What was said at a revision: until when, or that it is not granted.
    #[cfg(test)]
    pub(crate) fn at(revision: i64, until: &[(&Subject, Option<i64>)]) -> Self {
        let said = |until| Said { until, uses: None, revision, erased: false };
        until.iter().map(|(subject, until)| ((*subject).clone(), said(*until))).collect()
    }

    /// Until when this is granted, in Unix milliseconds, `i64::MAX` for no end; nothing when it is
    /// not, or was not asked.
    pub(crate) fn granted_until(&self, subject: &Subject) -> Option<i64> {
        self.of(subject).and_then(|said| said.until)
    }

    /// Whether this is granted.
    pub(crate) fn is_granted(&self, subject: &Subject) -> bool {
        self.granted_until(subject).is_some()
    }

    /// What was said of somebody.
    pub(crate) fn of(&self, subject: &Subject) -> Option<&Said> {
        self.said.get(subject)
    }

    /// Of whom something was said.
    pub(crate) fn people(&self) -> impl Iterator<Item = &Subject> {
        self.said.keys()
    }

    /// Those for whom it is not granted.
    pub(crate) fn denied(&self) -> impl Iterator<Item = &Subject> {
        self.said.iter().filter(|(_, said)| said.until.is_none()).map(|(subject, _)| subject)
    }

    /// Those for whom it is.
    pub(crate) fn granted(&self) -> impl Iterator<Item = &Subject> {
        self.said.iter().filter(|(_, said)| said.until.is_some()).map(|(subject, _)| subject)
    }

    /// Those of whom nothing is to be kept anywhere.
    pub(crate) fn erased(&self) -> impl Iterator<Item = &Subject> {
        self.said.iter().filter(|(_, said)| said.erased).map(|(subject, _)| subject)
    }

    /// Adds what was said of people's uses.
    pub(crate) fn add_uses(&mut self, uses: impl Fn(&Subject) -> Option<Uses>) {
        for (subject, said) in &mut self.said {
            said.uses = said.uses.or_else(|| uses(subject));
        }
    }
}

/// Those of some people who have agreed to one purpose, and nothing more about them.
#[derive(Debug, Default)]
pub(crate) struct Granted<'s> {
    /// Sorted.
    people: Vec<&'s Subject>,
}

impl Granted<'_> {
    /// Whether somebody is one of them.
    pub(crate) fn has(&self, subject: &Subject) -> bool {
        self.people.binary_search(&subject).is_ok()
    }
}

impl FromIterator<(Subject, Said)> for Answers {
    /// The later of two about one person stands.
    fn from_iter<I: IntoIterator<Item = (Subject, Said)>>(said: I) -> Self {
        Self { said: said.into_iter().collect(), denials: 0 }
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
        let mut answers = Answers::default();
        for chunk in subjects.chunks(PEOPLE) {
            self.check_some(purpose, chunk, &mut answers).await?;
        }
        Ok(answers)
    }

    /// Who of these people has agreed, now? As [`Consents::check`], for less: nothing is stored of
    /// the answers, so neither until when they hold nor as of which revision is asked.
    pub(crate) async fn granted<'s>(
        &self,
        purpose: &str,
        mut subjects: Vec<&'s Subject>,
    ) -> Result<Granted<'s>, Error> {
        subjects.sort_unstable();
        subjects.dedup();
        let mut granted = Granted::default();
        for chunk in subjects.chunks(PEOPLE) {
            let response = self.batch_check(purpose, chunk, false).await?;
            if response.outcomes.len() != chunk.len() {
                return Err(other_shape());
            }
            let answers = chunk.iter().zip(response.outcomes());
            let yes = answers.filter(|(_, outcome)| *outcome == Outcome::Granted);
            granted.people.extend(yes.map(|(subject, _)| *subject));
        }
        Ok(granted)
    }

    /// Until when these people agree to the uses.
    pub(crate) async fn uses(
        &self,
        purposes: &PurposeConfig,
        subjects: Vec<&Subject>,
    ) -> Result<impl Fn(&Subject) -> Option<Uses> + use<>, Error> {
        let (suggest, spam) = try_join!(
            self.check(&purposes.friend_suggestions, subjects.clone()),
            self.check(&purposes.spam, subjects),
        )?;
        Ok(move |subject: &Subject| {
            let until = |answers: &Answers| answers.granted_until(subject).unwrap_or(NOT_AT_ALL);
            suggest.of(subject)?;
            Some(Uses { suggest: until(&suggest), spam: until(&spam) })
        })
    }

    /// Everything that changes an answer about one of our purposes, after a position.
    pub(crate) async fn changes(
        &self,
        purposes: &PurposeConfig,
        cursor: Vec<u8>,
    ) -> Result<Steps, Status> {
        let PurposeConfig { transfer, friend_suggestions, spam, .. } = purposes.clone();
        let purpose_ids = vec![transfer, friend_suggestions, spam];
        let request = WatchChangesRequest { cursor, purpose_ids };
        let mut client = ConsentServiceClient::new(self.upstream.clone())
            .max_decoding_message_size(LARGEST_STEP);
        Ok(client.watch_changes(request).await?.into_inner())
    }

    /// What an event of the feed says of its subject.
    pub(crate) fn told(purposes: &PurposeConfig, event: &ChangeEvent) -> Result<Said, Error> {
        let until = |purpose: &str| {
            let answer = event.answers.iter().find(|answer| answer.purpose_id == purpose);
            let Some(answer) = answer.filter(|answer| answer.outcome() == Outcome::Granted) else {
                return Ok(None);
            };
            let end = answer.valid_until.map(UnixMillis::try_from).transpose();
            let end = end.map_err(|_| other_shape())?;
            Ok::<_, Error>(Some(end.map_or(i64::MAX, UnixMillis::get)))
        };
        let uses = Uses {
            suggest: until(&purposes.friend_suggestions)?.unwrap_or(NOT_AT_ALL),
            spam: until(&purposes.spam)?.unwrap_or(NOT_AT_ALL),
        };
        Ok(Said {
            until: until(&purposes.transfer)?,
            uses: Some(uses),
            revision: stored(event.revision),
            erased: event.kind() == EventKind::Erased,
        })
    }

    /// Says that everything about a subject is erased here.
    pub(crate) async fn acknowledge_erasure(&self, subject: &Subject) -> Result<(), Error> {
        let request = AcknowledgeErasureRequest {
            request_id: format!("erased-{:032x}", rand::random::<u128>()),
            subject_id: subject.to_string(),
            follower: FOLLOWER.to_owned(),
        };
        let mut client = ConsentServiceClient::new(self.upstream.clone());
        match client.acknowledge_erasure(request).await {
            // Nobody waits for it: the erasure is not known there any more.
            Err(status) if status.code() == Code::NotFound => Ok(()),
            answer => answer.map(drop).map_err(|status| failed(&status)),
        }
    }

    async fn check_some(
        &self,
        purpose: &str,
        subjects: &[&Subject],
        answers: &mut Answers,
    ) -> Result<(), Error> {
        let response = self.batch_check(purpose, subjects, true).await?;
        let count = subjects.len();
        let parts = [
            response.outcomes.len(),
            response.reasons.len(),
            response.revisions.len(),
            response.valid_until_ms.len(),
        ];
        if parts != [count; 4] {
            return Err(other_shape());
        }
        let granted = response.outcomes().map(|outcome| outcome == Outcome::Granted);
        let erased = response.reasons().map(|reason| reason == DecisionReason::Erased);
        let details = response.valid_until_ms.iter().zip(&response.revisions);
        let said =
            granted.zip(erased).zip(details).map(|((granted, erased), (until, revision))| {
                let until = if *until == 0 { i64::MAX } else { *until };
                let until = granted.then_some(until);
                Said { until, uses: None, revision: stored(*revision), erased }
            });
        answers.said.extend(subjects.iter().copied().cloned().zip(said));
        Ok(())
    }

    async fn batch_check(
        &self,
        purpose: &str,
        subjects: &[&Subject],
        with_details: bool,
    ) -> Result<BatchCheckResponse, Error> {
        let mut client = ConsentServiceClient::new(self.upstream.clone())
            .max_decoding_message_size(self.max_message_bytes);
        let request = BatchCheckRequest {
            purpose_id: purpose.to_owned(),
            subject_ids: subjects.iter().map(ToString::to_string).collect(),
            with_details,
        };
        let response = client.batch_check(request).await;
        Ok(response.map_err(|status| failed(&status))?.into_inner())
    }
}

/// A revision as a column: a person's changes never come near the limit.
fn stored(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn other_shape() -> Error {
    failed(&Status::internal("an answer of another shape"))
}

fn failed(status: &Status) -> Error {
    Error::Consent(Box::new(client::failed("consent-svc", status)))
}
