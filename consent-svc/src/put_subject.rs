//! Making a subject known, and changing what the platform or its device says of it.

use crate::{
    domain::{Attributes, EventContent, Subject},
    error::Error,
    store::{Change, Command, Outcome, Reply, RequestId, Scene, Store},
};

/// Makes a subject known, or replaces its attributes. The same attributes again change nothing.
pub(crate) async fn put_subject(
    store: &Store,
    request: RequestId,
    subject_id: String,
    attributes: Attributes,
) -> Result<Reply, Error> {
    let rule = move |scene: &Scene<'_>| {
        let objects = scene.subject.is_some_and(|known| known.objection_since.is_some());
        let reply = Reply { objects, ..Reply::default() };
        let subject = match scene.subject {
            Some(known) if known.attributes == attributes => {
                return Ok(Outcome { change: None, reply });
            }
            Some(known) => {
                let mut subject = known.clone();
                subject.put(attributes.clone());
                subject
            }
            None => Subject::new(attributes.clone()),
        };
        let content = EventContent::SubjectPut(attributes.clone());
        let change = Change { subject, content, occurred_at: scene.now };
        Ok(Outcome { change: Some(change), reply })
    };
    store.write(Command { request, subject_id, rule: Box::new(rule) }).await
}

/// Sets or clears the objection that the subject's device signals.
pub(crate) async fn set_objection_signal(
    store: &Store,
    request: RequestId,
    subject_id: String,
    objects: bool,
) -> Result<Reply, Error> {
    let rule = move |scene: &Scene<'_>| {
        let mut subject = scene.subject.ok_or(Error::SubjectUnknown)?.clone();
        let change = subject.set_objection(objects, scene.now).then_some(Change {
            subject,
            content: EventContent::ObjectionSignalSet { objects },
            occurred_at: scene.now,
        });
        Ok(Outcome { change, reply: Reply { objects, ..Reply::default() } })
    };
    store.write(Command { request, subject_id, rule: Box::new(rule) }).await
}
