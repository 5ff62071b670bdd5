//! Making a subject known, and changing what the platform or its device says of it.

use crate::{
    domain::{AgeBand, Attributes, EventContent},
    error::Error,
    store::{Command, Outcome, Reply, RequestId, Scene},
    writer::Writer,
};

/// Makes a subject known, or replaces its attributes. The same attributes again change nothing.
/// Who is not of age is nobody's guardian: the wards of one who turns out not to be have none.
pub(crate) async fn put_subject(
    writer: &Writer,
    request: RequestId,
    subject_id: String,
    attributes: Attributes,
) -> Result<Reply, Error> {
    let id = subject_id.clone();
    let rule = move |scene: &Scene<'_>| {
        let known = scene.found(&id);
        if known.is_some_and(|known| known.erased_at.is_some()) {
            return Err(Error::SubjectErased);
        }
        let objects = known.is_some_and(|known| known.objection_since.is_some());
        let reply = Reply { objects, ..Reply::default() };
        let mut changes = Vec::new();
        if known.is_none_or(|known| known.attributes != attributes) {
            let content = EventContent::SubjectPut(attributes.clone());
            changes.push(scene.change(&id, content));
        }
        let wards = known.map_or(&[][..], |known| &known.wards);
        if attributes.age_band != AgeBand::Adult && !wards.is_empty() {
            changes.push(scene.change(&id, EventContent::WardsSet { wards: Vec::new() }));
            let freed =
                |ward: &String| scene.change(ward, EventContent::GuardianSet { guardian: None });
            changes.extend(wards.iter().map(freed));
        }
        Ok(Outcome { changes, reply })
    };
    writer.write(Command { request, subject_ids: vec![subject_id], rule: Box::new(rule) }).await
}

/// Sets or clears the objection that the subject's device signals.
pub(crate) async fn set_objection_signal(
    writer: &Writer,
    request: RequestId,
    subject_id: String,
    objects: bool,
) -> Result<Reply, Error> {
    let id = subject_id.clone();
    let rule = move |scene: &Scene<'_>| {
        let mut changes = Vec::new();
        if scene.subject()?.objection_since.is_some() != objects {
            changes.push(scene.change(&id, EventContent::ObjectionSignalSet { objects }));
        }
        Ok(Outcome { changes, reply: Reply { objects, ..Reply::default() } })
    };
    writer.write(Command { request, subject_ids: vec![subject_id], rule: Box::new(rule) }).await
}
