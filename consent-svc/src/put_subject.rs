//! Making a subject known, and changing what the platform or its device says of it.

use crate::{
    domain::{AgeBand, Attributes, EventContent},
    error::Error,
    store::{Command, Outcome, Reply, RequestId, Scene},
    writer::Writer,
};

/// Makes a subject known, or replaces its attributes. The same attributes again change nothing.
/// Who is not of age is nobody's guardian, and who is has none: such a relation ends.
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
        let guardian = known.and_then(|known| known.guardian.as_ref());
        if let Some(guardian) = guardian.filter(|_| attributes.age_band == AgeBand::Adult) {
            let wards = scene.known(guardian)?.wards.iter().filter(|ward| **ward != id);
            let wards = wards.cloned().collect();
            changes.push(scene.change(guardian, EventContent::WardsSet { wards }));
            changes.push(scene.change(&id, EventContent::GuardianSet { guardian: None }));
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
