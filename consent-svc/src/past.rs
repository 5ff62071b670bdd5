//! Subjects as they were.

use std::sync::Arc;

use crate::{
    domain::{Event, EventContent, Policies, Subject},
    error::Error,
    store::Store,
};

/// A subject as it was, or erased if it was erased since: of one that was, nothing is known of any
/// instant.
pub(crate) struct Past {
    /// They name everything in it.
    pub(crate) policies: Arc<Policies>,
    pub(crate) subject: Subject,
    /// Counts the events that it had then.
    pub(crate) revision: u64,
}

/// What those of a subject's events that come before the first for which `then` is false make of
/// it; nothing, if it was not known then. All events are walked, to know that these are genuine,
/// and one is held at a time.
pub(crate) async fn past(
    store: &Store,
    subject_id: &str,
    then: impl Fn(&Event) -> bool,
) -> Result<Option<Past>, Error> {
    let Some(mut history) = store.history(subject_id).await? else { return Ok(None) };
    let (mut subject, mut revision, mut until) = (None, 0, true);
    while let Some(page) = history.next().await? {
        for (event, _) in page {
            until = until && then(&event);
            revision += u64::from(until);
            if until || event.content == EventContent::Erased {
                subject = Subject::then(subject, &history.policies, &event);
            }
        }
    }
    Ok(subject.map(|subject| Past { policies: history.policies, subject, revision }))
}

/// A subject as a write left it that is answered again, whatever happened since; an erasure is the
/// exception.
pub(crate) async fn at_revision(
    store: &Store,
    subject_id: &str,
    revision: u64,
) -> Result<Subject, Error> {
    let past = past(store, subject_id, |event| event.revision <= revision).await?;
    let subject = past.ok_or(Error::SubjectUnknown)?.subject;
    if subject.erased_at.is_some() { Err(Error::SubjectErased) } else { Ok(subject) }
}
