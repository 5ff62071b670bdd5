//! Who decides for a subject that is under age.

use crate::{
    domain::{EventContent, Subject},
    error::Error,
    past::at_revision,
    store::{Command, Outcome, Reply, RequestId, Scene, Store},
    writer::Writer,
};

/// The most wards that one guardian may have.
const MOST: usize = 32;

/// Sets a subject's guardian, or clears it. The yeses of a former guardian end with it. Gives the
/// subject after it and its revision.
pub(crate) async fn set_guardian(
    writer: &Writer,
    store: &Store,
    request: RequestId,
    subject_id: String,
    guardian: Option<String>,
) -> Result<(Subject, u64), Error> {
    let id = subject_id.clone();
    let subject_ids = std::iter::once(subject_id.clone()).chain(guardian.clone()).collect();
    let rule = move |scene: &Scene<'_>| {
        let subject = scene.subject()?;
        let mut changes = Vec::new();
        if subject.guardian != guardian {
            if let Some(guardian) = &guardian {
                let wards = may_guard(guardian, scene.known(guardian)?, &id, subject)?;
                changes.push(scene.change(guardian, EventContent::WardsSet { wards }));
            }
            if let Some(former) = &subject.guardian {
                let wards = scene.known(former)?.wards.iter().filter(|ward| **ward != id);
                let wards = wards.cloned().collect();
                changes.push(scene.change(former, EventContent::WardsSet { wards }));
            }
            let set = EventContent::GuardianSet { guardian: guardian.clone() };
            changes.push(scene.change(&id, set));
        }
        Ok(Outcome { changes, reply: Reply::default() })
    };
    let reply = writer.write(Command { request, subject_ids, rule: Box::new(rule) }).await?;
    // From its history, since the same is to be answered again later, unless it is erased.
    Ok((at_revision(store, &subject_id, reply.revision).await?, reply.revision))
}

/// Whether one may be another's guardian, and whose guardian they are then.
fn may_guard(
    guardian_id: &str,
    guardian: &Subject,
    subject_id: &String,
    subject: &Subject,
) -> Result<Vec<String>, Error> {
    if guardian_id == subject_id {
        return Err(Error::Relation("nobody is their own guardian"));
    }
    if !guardian.is_adult() {
        return Err(Error::Relation("the guardian is not of age"));
    }
    if subject.is_adult() {
        return Err(Error::Relation("the subject is of age"));
    }
    if guardian.wards.len() >= MOST {
        return Err(Error::Relation("the guardian has 32 wards"));
    }
    let mut wards = guardian.wards.clone();
    wards.push(subject_id.clone());
    Ok(wards)
}
