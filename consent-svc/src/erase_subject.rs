//! Erasing a subject: what identifies it is destroyed, a tombstone and the chain of digests remain.

use crate::{
    domain::EventContent,
    error::Error,
    link_subjects::left_behind,
    store::{Command, Erasure, Outcome, Reply, RequestId, Scene, Store},
    writer::Writer,
};

/// Erases a subject: takes it out of its links, ends its guardianships, destroys what its events
/// say. From here on every check answers DENIED, and followers of the feed are to erase it too.
/// Erasing it again changes nothing.
pub(crate) async fn erase_subject(
    writer: &Writer,
    store: &Store,
    request: RequestId,
    subject_id: String,
) -> Result<Erasure, Error> {
    let id = subject_id.clone();
    let rule = move |scene: &Scene<'_>| {
        let subject = scene.found(&id).ok_or(Error::SubjectUnknown)?;
        if subject.erased_at.is_some() {
            return Ok(Outcome { changes: Vec::new(), reply: Reply::default() });
        }
        let mut changes = left_behind(scene, &id, subject)?;
        let free = |ward: &String| scene.change(ward, EventContent::GuardianSet { guardian: None });
        changes.extend(subject.wards.iter().map(free));
        if let Some(guardian) = &subject.guardian {
            let wards = scene.known(guardian)?.wards.iter().filter(|ward| **ward != id);
            let wards = wards.cloned().collect();
            changes.push(scene.change(guardian, EventContent::WardsSet { wards }));
        }
        changes.push(scene.change(&id, EventContent::Erased));
        Ok(Outcome { changes, reply: Reply::default() })
    };
    let subject_ids = vec![subject_id.clone()];
    let command = Command { request, subject_ids, rule: Box::new(rule) };
    let (writer, scrubbed) = (writer.clone(), store.clone());
    // Also when the caller goes away: it must not be found anywhere afterwards.
    let erasing = tokio::spawn(async move {
        writer.write(command).await?;
        Ok::<_, Error>(scrubbed.scrub().await?)
    });
    erasing.await.map_err(|_| Error::Stopping)??;
    store.erasure(&subject_id).await?.ok_or(Error::RecordUnknown)
}
