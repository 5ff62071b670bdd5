//! Reading a subject's history.
//!
//! It can be as long as callers make it, so it is walked in pages: each is read when it is asked
//! for, and let go of before the next.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult, Statement, Value};
use service_kit::store::StoreError;

use super::{
    Shared, Store, history,
    read::revision_of,
    state::{self, State},
};
use crate::domain::{Event, EventContent, Policies};

/// The most events of one history that are held at a time.
const PAGE: usize = 1_000;

/// A walk through a subject's events, oldest first.
///
/// Their digests are not stored but computed on the way, from the first on. A history that was
/// tampered with does not lead to the digest that the subject's row holds: the walk then ends in
/// an error instead of the last page. Whoever answers for an event has to go all the way.
///
/// Each page is of its own instant. Events that were appended meanwhile are walked as well; if the
/// subject was erased meanwhile, the digests are the same, but what the rest of its events said is
/// gone, and the last one says so.
pub(crate) struct History {
    /// They name what the events of all pages so far are about: versions never change.
    pub(crate) policies: Arc<Policies>,
    shared: Arc<Shared>,
    subject_id: String,
    /// The first page, until it is taken: it shows whether there is such a subject.
    first: Option<Page>,
    /// Of the last event that was read.
    revision: u64,
    digest: [u8; 32],
    /// Whether that was the subject's latest when it was read.
    at_head: bool,
}

/// Some consecutive events.
pub(crate) type Page = Vec<(Event, Proof)>;

/// What shows to anybody that an event's digest is of what the event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The digest of the subject's previous event; zeros before the first.
    pub(crate) previous: [u8; 32],
    /// The event's salt.
    pub(crate) salt: [u8; 16],
    /// The event's bytes.
    pub(crate) content: Vec<u8>,
    /// The digest of both.
    pub(crate) content_digest: [u8; 32],
}

impl Store {
    /// Begins a walk through a subject's events; nothing for an unknown subject.
    pub(crate) async fn history(&self, subject_id: &str) -> Result<Option<History>, StoreError> {
        let mut history = History {
            policies: self.policies_at_hand(),
            shared: Arc::clone(&self.shared),
            subject_id: subject_id.to_owned(),
            first: None,
            revision: 0,
            digest: [0; 32],
            at_head: false,
        };
        history.first = history.read().await?;
        Ok(history.first.is_some().then_some(history))
    }
}

impl History {
    /// The next page; nothing after the last, which is given only if all of them together lead to
    /// the subject's digest.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, StoreError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.at_head {
            return Ok(None);
        }
        self.read().await?.map(Some).ok_or_else(incomplete)
    }

    /// Reads on, up to what is the head at this instant; nothing, if there is no such subject.
    async fn read(&mut self) -> Result<Option<Page>, StoreError> {
        // The state, which may be long, stands in one row only: in that of the event that has to
        // come first.
        let text = format!(
            "SELECT p.value AS epoch, s.revision AS head, e.revision, e.content, \
             CASE WHEN e.revision IS NULL OR e.revision = $2 + 1 THEN s.state END AS state \
             FROM policy_epoch p \
             LEFT JOIN subject s ON s.subject_id = $1 \
             LEFT JOIN (SELECT revision, content FROM event \
             WHERE subject_id = $1 AND revision > $2 ORDER BY revision LIMIT {PAGE}) e ON 1 = 1 \
             ORDER BY e.revision"
        );
        let after = i64::try_from(self.revision).unwrap_or(i64::MAX);
        let arguments: [Value; 2] = [self.subject_id.as_str().into(), after.into()];
        let (policies, rows) = self.shared.consistent(&text, &arguments).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let Some(head) = first.try_get::<Option<i32>>("", "head")? else { return Ok(None) };
        let head = revision_of(head)?;
        let state = first.try_get::<Option<Vec<u8>>>("", "state")?.ok_or_else(incomplete)?;
        let state = state::decode(&state)?;
        let page = self.chain(&state, &rows)?;
        self.policies = policies;
        self.at_head = self.revision == head;
        if self.revision < head && page.len() < PAGE {
            return Err(incomplete());
        }
        if self.revision > head || self.at_head && self.digest != state.head {
            return Err(astray());
        }
        Ok(Some(page))
    }

    /// The events in these rows, each chained to the one before. Salt and contents are of the same
    /// instant: both are there, or both were erased.
    fn chain(&mut self, state: &State, rows: &[QueryResult]) -> Result<Page, StoreError> {
        let mut page = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(revision) = row.try_get::<Option<i32>>("", "revision")? else { continue };
            let (revision, content) =
                (revision_of(revision)?, row.try_get::<Vec<u8>>("", "content")?);
            if revision != self.revision + 1 {
                return Err(incomplete());
            }
            let previous = self.digest;
            let mut event = history::decode(revision, &content, &previous)?;
            let salt = history::event_salt(&state.salt, revision);
            let content_digest = match event.content {
                // Otherwise anybody could hide an event that stands in the way.
                EventContent::ErasedContent { .. } if state.subject.erased_at.is_none() => {
                    return Err(astray());
                }
                EventContent::ErasedContent { content_digest } => content_digest,
                _ => history::content_digest(&salt, &self.subject_id, &content),
            };
            event.digest = history::chain_digest(&previous, revision, &content_digest);
            (self.revision, self.digest) = (revision, event.digest);
            page.push((event, Proof { previous, salt, content, content_digest }));
        }
        Ok(page)
    }
}

fn incomplete() -> StoreError {
    StoreError::Other("a history is incomplete".to_owned())
}

fn astray() -> StoreError {
    StoreError::Other("a history does not lead to its subject's digest".to_owned())
}

/// Replaces what a subject's events say by its digests. The chain still verifies; what it was
/// about cannot be found by guessing, since the salt goes with it.
pub(super) async fn erase(
    tx: &DatabaseTransaction,
    subject_id: &str,
    salt: &[u8; 16],
) -> Result<(), StoreError> {
    let mut last = 0;
    loop {
        let text = format!(
            "SELECT revision, content FROM event WHERE subject_id = $1 AND revision > $2 \
             ORDER BY revision LIMIT {PAGE}"
        );
        let values: [Value; 2] = [subject_id.into(), last.into()];
        let backend = tx.get_database_backend();
        let rows = tx.query_all_raw(Statement::from_sql_and_values(backend, text, values)).await?;
        for row in &rows {
            last = row.try_get("", "revision")?;
            erase_one(tx, subject_id, salt, last, &row.try_get::<Vec<u8>>("", "content")?).await?;
        }
        if rows.len() < PAGE {
            return Ok(());
        }
    }
}

async fn erase_one(
    tx: &DatabaseTransaction,
    subject_id: &str,
    salt: &[u8; 16],
    revision: i32,
    content: &[u8],
) -> Result<(), StoreError> {
    let event = history::decode(0, content, &[0; 32])?;
    if event.content == EventContent::Erased {
        return Ok(());
    }
    let event_salt = history::event_salt(salt, revision_of(revision)?);
    let content_digest = history::content_digest(&event_salt, subject_id, content);
    let nothing = EventContent::ErasedContent { content_digest };
    let erased = history::encode(&nothing, event.occurred_at, event.recorded_at);
    let text = "UPDATE event SET content = $1 WHERE subject_id = $2 AND revision = $3";
    let values: [Value; 3] = [erased.into(), subject_id.into(), revision.into()];
    let backend = tx.get_database_backend();
    tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    Ok(())
}
