//! Reading a subject's history.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value};
use service_kit::store::StoreError;

use super::{Store, history, read::revision_of, state};
use crate::domain::{Event, EventContent, Policies};

/// A subject's events, oldest first, and the policies that name what they are about.
pub(crate) struct History {
    pub(crate) policies: Arc<Policies>,
    pub(crate) events: Vec<Event>,
    /// Of the last of them.
    pub(crate) proof: Option<Proof>,
}

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
    /// A subject's events up to a revision; nothing for an unknown subject.
    ///
    /// Their digests are not stored but computed, from the first on: a history that was tampered
    /// with does not lead to the digest that the subject's row holds, and is not given.
    pub(crate) async fn history(
        &self,
        subject_id: &str,
        up_to: u64,
    ) -> Result<Option<History>, StoreError> {
        let text = "SELECT p.value AS epoch, s.revision AS head, s.state, e.revision, e.content \
                    FROM policy_epoch p \
                    LEFT JOIN subject s ON s.subject_id = $1 \
                    LEFT JOIN event e ON e.subject_id = s.subject_id AND e.revision <= $2 \
                    ORDER BY e.revision";
        let up_to = i64::try_from(up_to).unwrap_or(i64::MAX);
        let arguments: [Value; 2] = [subject_id.into(), up_to.into()];
        let (policies, rows) = self.shared.consistent(text, &arguments).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let Some(state) = first.try_get::<Option<Vec<u8>>>("", "state")? else { return Ok(None) };
        let state = state::decode(&state)?;
        let head = revision_of(first.try_get("", "head")?)?;
        let mut events: Vec<Event> = Vec::new();
        let mut proof = None;
        let mut previous = [0; 32];
        for row in &rows {
            let Some(revision) = row.try_get::<Option<i64>>("", "revision")? else { continue };
            let (revision, content) =
                (revision_of(revision)?, row.try_get::<Vec<u8>>("", "content")?);
            let mut event = history::decode(revision, &content, &previous)?;
            let salt = history::event_salt(&state.salt, revision);
            let content_digest = match event.content {
                EventContent::ErasedContent { content_digest } => content_digest,
                _ => history::content_digest(&salt, subject_id, &content),
            };
            event.digest = history::chain_digest(&previous, revision, &content_digest);
            proof = Some(Proof { previous, salt, content, content_digest });
            previous = event.digest;
            events.push(event);
        }
        match events.last() {
            Some(last) if last.revision == head && last.digest != state.head => {
                Err(StoreError::Other("a history does not lead to its subject's digest".to_owned()))
            }
            _ => Ok(Some(History { policies, events, proof })),
        }
    }
}

/// Replaces what a subject's events say by its digests. The chain still verifies; what it was
/// about cannot be found by guessing, since the salt goes with it.
pub(super) async fn erase(
    tx: &DatabaseTransaction,
    subject_id: &str,
    salt: &[u8; 16],
) -> Result<(), StoreError> {
    let backend = tx.get_database_backend();
    let text = "SELECT revision, content FROM event WHERE subject_id = $1";
    let statement = Statement::from_sql_and_values(backend, text, [subject_id.into()]);
    for row in tx.query_all_raw(statement).await? {
        let (revision, content): (i64, Vec<u8>) =
            (row.try_get("", "revision")?, row.try_get("", "content")?);
        let event = history::decode(0, &content, &[0; 32])?;
        if event.content == EventContent::Erased {
            continue;
        }
        let event_salt = history::event_salt(salt, revision_of(revision)?);
        let content_digest = history::content_digest(&event_salt, subject_id, &content);
        let nothing = EventContent::ErasedContent { content_digest };
        let erased = history::encode(&nothing, event.occurred_at, event.recorded_at);
        let text = "UPDATE event SET content = $1 WHERE subject_id = $2 AND revision = $3";
        let values: [Value; 3] = [erased.into(), subject_id.into(), revision.into()];
        tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    }
    Ok(())
}
