//! The feed of changes.

use futures::StreamExt as _;
use proto::consent::v1 as pb;
use service_kit::grpc::{PageTokens, open};
use sha2::{Digest, Sha256};
use tonic::{Request, Status, codegen::BoxStream};

use super::{Handlers, subject, timestamp};
use crate::{
    domain::{Interval, Person, Policies, decide_slot},
    error::Error,
    store::{Fed, Kind, Reading},
    watch::{Step, watch},
};

const METHOD: &str = "WatchChanges";

#[allow(clippy::unused_async)] // as every handler
pub(super) async fn watch_changes(
    handlers: &Handlers,
    request: Request<pb::WatchChangesRequest>,
) -> Result<BoxStream<pb::WatchChangesResponse>, Status> {
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let cursors = Cursors::new(handlers.store.cursor_key(), message.purpose_ids);
    let position = cursors.open(&message.cursor)?;
    let (store, config) = (&handlers.store, &handlers.feed);
    let steps = watch(store, config, &handlers.shutdown, position, cursors.purpose_ids.len());
    let now = handlers.store.clone();
    let written = steps.map(move |step| Ok(cursors.write(&step?, now.now())));
    Ok(Box::pin(written))
}

/// Seals and opens cursors, which are good for one choice of purposes: answers that one choice left
/// out would be missing in another.
pub(super) struct Cursors {
    seals: PageTokens,
    purpose_ids: Vec<String>,
    arguments: [u8; 32],
}

impl Cursors {
    pub(super) fn new(key: &[u8], mut purpose_ids: Vec<String>) -> Self {
        purpose_ids.sort_unstable();
        purpose_ids.dedup();
        let arguments = Sha256::digest(purpose_ids.join("\n")).into();
        Self { seals: PageTokens::new(key), purpose_ids, arguments }
    }

    pub(super) fn open(&self, cursor: &[u8]) -> Result<Option<i64>, Error> {
        let cursor = std::str::from_utf8(cursor).map_err(|_| Error::CursorInvalid)?;
        let position = self.seals.open(METHOD, &self.arguments, cursor);
        match position.map(|position| position.map(<[u8; 8]>::try_from)) {
            Ok(None) => Ok(None),
            Ok(Some(Ok(position))) => Ok(Some(i64::from_be_bytes(position))),
            Ok(Some(Err(_))) | Err(_) => Err(Error::CursorInvalid),
        }
    }

    pub(super) fn seal(&self, position: &[u8]) -> String {
        self.seals.seal(METHOD, &self.arguments, position)
    }

    fn write(&self, step: &Step, now: Interval) -> pb::WatchChangesResponse {
        let cursor = self.seal(&step.position.to_be_bytes());
        let reading = step.reading.as_deref();
        let events = step.entries.iter().map(|entry| self.event(entry, reading, now));
        pb::WatchChangesResponse {
            cursor: cursor.into_bytes(),
            events: events.collect(),
            checkpoint: step.checkpoint.map(timestamp),
        }
    }

    fn event(&self, entry: &Fed, reading: Option<&Reading>, now: Interval) -> pb::ChangeEvent {
        // What is known here of the database's time lags behind. It was at least that when the
        // entry was made, so that answers are those after a deadline that is told of.
        let earliest = now.earliest.max(entry.recorded_at);
        let now = Interval { earliest, latest: now.latest.max(earliest) };
        let mut event = pb::ChangeEvent {
            kind: kind(entry.kind) as i32,
            subject_id: entry.subject_id.clone().unwrap_or_default(),
            revision: entry.revision,
            answers: Vec::new(),
            recorded_at: Some(timestamp(entry.recorded_at)),
        };
        if let (Some(subject_id), Some(reading)) = (&entry.subject_id, reading) {
            if entry.revision == 0 {
                event.revision = reading.known(subject_id).map_or(0, |known| known.revision);
            }
            event.answers = reading
                .with_person(subject_id, |person| self.answers(&reading.policies, person, now));
        }
        event
    }

    fn answers(
        &self,
        policies: &Policies,
        person: Person<'_>,
        now: Interval,
    ) -> Vec<pb::PurposeAnswer> {
        let offers = policies.slots().filter_map(|slot| policies.any_offer(slot));
        let wanted = offers.filter(|offer| {
            let id = &offer.purpose().id;
            self.purpose_ids.is_empty() || self.purpose_ids.binary_search(id).is_ok()
        });
        let answers = wanted.map(|offer| {
            let decision = decide_slot(policies, person, offer.slot(), now);
            subject::write_answer(&offer.purpose().id, &decision)
        });
        answers.collect()
    }
}

fn kind(kind: Kind) -> pb::EventKind {
    match kind {
        Kind::SubjectPut => pb::EventKind::SubjectPut,
        Kind::NoticeServed => pb::EventKind::NoticeServed,
        Kind::DecisionRecorded => pb::EventKind::DecisionRecorded,
        Kind::Withdrawn => pb::EventKind::Withdrawn,
        Kind::ObjectionSignalSet => pb::EventKind::ObjectionSignalSet,
        Kind::Linked => pb::EventKind::Linked,
        Kind::Unlinked => pb::EventKind::Unlinked,
        Kind::GuardianSet => pb::EventKind::GuardianSet,
        Kind::DeadlinePassed => pb::EventKind::DeadlinePassed,
        Kind::PolicyChanged => pb::EventKind::PolicyChanged,
        Kind::Erased => pb::EventKind::Erased,
    }
}
