//! The calls of a person's relations, erasure and history, and of the feed.

use std::time::Duration;

use proto::{consent::v1::*, options::v1::Role};
use service_kit::auth::Caller;
use tonic::{Status, Streaming};

use crate::harness::*;

/// How long a stream may take to say something before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Relations between subjects, and erasure.
impl World {
    pub(crate) async fn link(&self, subject_ids: &[&str]) -> Result<Vec<String>, Status> {
        let request_id = self.id();
        let message = LinkSubjectsRequest { request_id, subject_ids: owned(subject_ids) };
        Ok(self.consent().link_subjects(self.app(message)).await?.into_inner().subject_ids)
    }

    pub(crate) async fn unlink(&self, subject_ids: &[&str]) -> Result<(), Status> {
        let request_id = self.id();
        let message = UnlinkSubjectsRequest { request_id, subject_ids: owned(subject_ids) };
        self.consent().unlink_subjects(self.app(message)).await.map(drop)
    }

    /// A subject that is under age.
    pub(crate) async fn put_child(&self, subject_id: &str, jurisdiction: &str) {
        let age_band = AgeBand::UnderAge as i32;
        let person = self.person(subject_id, jurisdiction);
        self.put_as(PutSubjectRequest { age_band, ..person }).await;
    }

    /// Sets a guardian; clears it when that is empty.
    pub(crate) async fn guard(&self, ward: &str, guardian: &str) -> Result<Subject, Status> {
        let message = SetGuardianRequest {
            request_id: self.id(),
            subject_id: ward.to_owned(),
            guardian_subject_id: guardian.to_owned(),
        };
        let set = self.consent().set_guardian(self.app(message)).await?;
        Ok(set.into_inner().subject.unwrap())
    }

    pub(crate) async fn erase(&self, subject_id: &str) -> Result<Erasure, Status> {
        self.erase_as(&Caller::named(Role::App, "app"), subject_id).await
    }

    pub(crate) async fn erase_as(
        &self,
        caller: &Caller,
        subject_id: &str,
    ) -> Result<Erasure, Status> {
        let request_id = self.id();
        let message = EraseSubjectRequest { request_id, subject_id: subject_id.to_owned() };
        let erased = self.consent().erase_subject(self.from(caller, message)).await?;
        Ok(erased.into_inner().erasure.unwrap())
    }

    pub(crate) async fn erasure(&self, subject_id: &str) -> Result<Erasure, Status> {
        let message = GetErasureRequest { subject_id: subject_id.to_owned() };
        let found = self.consent().get_erasure(self.app(message)).await?;
        Ok(found.into_inner().erasure.unwrap())
    }

    /// A settings page, now or as it was.
    pub(crate) async fn shown(
        &self,
        subject_id: &str,
        as_of: Option<i64>,
    ) -> Result<GetConsentResponse, Status> {
        let message = GetConsentRequest { subject_id: subject_id.to_owned(), as_of: as_of.map(at) };
        Ok(self.consent().get_consent(self.app(message)).await?.into_inner())
    }

    /// The answer of Check, having made sure that `BatchCheck` and `GetConsent` give the same.
    pub(crate) async fn everywhere(&self, subject_id: &str, purpose_id: &str) -> Answer {
        let answer = self.check(subject_id, purpose_id).await;
        let shown = self.shown(subject_id, None).await.unwrap();
        let line = shown.purposes.iter().find(|line| {
            line.purpose.as_ref().is_some_and(|purpose| purpose.purpose_id == purpose_id)
        });
        let line = line.unwrap();
        let granted = line.outcome() == Outcome::Granted;
        assert_eq!((granted, line.reason(), line.valid_until.map(millis)), answer);
        answer
    }
}

/// The feed.
impl World {
    pub(crate) async fn watch(
        &self,
        cursor: &[u8],
        purposes: &[&str],
    ) -> Result<Streaming<WatchChangesResponse>, Status> {
        let message = WatchChangesRequest { cursor: cursor.to_vec(), purpose_ids: owned(purposes) };
        Ok(self.consent().watch_changes(self.app(message)).await?.into_inner())
    }

    /// Everything after a cursor until a checkpoint says that this is all, and the cursor then.
    pub(crate) async fn told(
        &self,
        cursor: &[u8],
        purposes: &[&str],
    ) -> (Vec<ChangeEvent>, Vec<u8>) {
        let mut stream = self.watch(cursor, purposes).await.unwrap();
        let mut events = Vec::new();
        loop {
            let step = step(&mut stream).await.unwrap();
            events.extend(step.events);
            if step.checkpoint.is_some() {
                return (events, step.cursor);
            }
        }
    }

    /// The next step that tells of something. Deadlines are looked for from time to time by the
    /// clock that the test moves, so it is moved on a little whenever nothing comes.
    pub(crate) async fn next_told(
        &self,
        stream: &mut Streaming<WatchChangesResponse>,
    ) -> WatchChangesResponse {
        for _ in 0..100 {
            match tokio::time::timeout(Duration::from_millis(300), stream.message()).await {
                Ok(step) => {
                    let step = step.unwrap().unwrap();
                    if !step.events.is_empty() {
                        return step;
                    }
                }
                Err(_) => self.clock.advance(Duration::from_millis(100)),
            }
        }
        panic!("nothing was told");
    }
}

/// The next step of a stream.
pub(crate) async fn step(
    stream: &mut Streaming<WatchChangesResponse>,
) -> Result<WatchChangesResponse, Status> {
    let step = tokio::time::timeout(PATIENCE, stream.message()).await;
    Ok(step.expect("a step in time")?.expect("a stream without an end"))
}

/// What of an event does not depend on when it is read.
pub(crate) fn facts(events: &[ChangeEvent]) -> Vec<(EventKind, String, i64)> {
    let fact = |event: &ChangeEvent| {
        (event.kind(), event.subject_id.clone(), event.recorded_at.map_or(0, millis))
    };
    events.iter().map(fact).collect()
}

/// The answer for a purpose that an event carries.
pub(crate) fn answer(event: &ChangeEvent, purpose_id: &str) -> Answer {
    let found = event.answers.iter().find(|answer| answer.purpose_id == purpose_id).unwrap();
    let granted = found.outcome() == Outcome::Granted;
    (granted, found.reason(), found.valid_until.map(millis))
}

/// Asks again and again until it is so; fails when it is not within reason.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "not in time: {what}");
}

pub(crate) fn owned(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}
