//! Answering "may we?", for one subject or many, and everything that a settings page needs.
//!
//! `now` is taken before the store is read, so the state is that of `now` or later: a withdrawal
//! acknowledged before a check begins is in it.

use crate::{
    domain::{Change, Decision, Moment, Offer, change, decide},
    error::Error,
    store::{Known, Store},
};

/// One answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) decision: Decision,
    /// 0 for an unknown subject.
    pub(crate) revision: u64,
}

/// May this be done with this subject's data?
pub(crate) async fn check(
    store: &Store,
    subject_id: &str,
    purpose_id: &str,
    now: Moment,
) -> Result<Answer, Error> {
    let (policies, known) = store.subject(subject_id).await?;
    let subject = known.as_ref().map(|known| &known.subject);
    let decision = decide(&policies, subject, purpose_id, now);
    Ok(Answer { decision, revision: known.map_or(0, |known| known.revision) })
}

/// The same for many subjects, by their index. One read, whatever their number.
pub(crate) async fn batch_check(
    store: &Store,
    subject_ids: &[String],
    purpose_id: &str,
    now: Moment,
) -> Result<Vec<Answer>, Error> {
    let (policies, known) = store.subjects(subject_ids).await?;
    let answer = |subject_id: &String| {
        let known = known.get(subject_id);
        let subject = known.map(|known| &known.subject);
        let decision = decide(&policies, subject, purpose_id, now);
        Answer { decision, revision: known.map_or(0, |known| known.revision) }
    };
    Ok(subject_ids.iter().map(answer).collect())
}

/// What a settings page needs to know of one purpose.
pub(crate) struct Standing<'a> {
    pub(crate) offer: Offer<'a>,
    pub(crate) decision: Decision,
    pub(crate) change: Change,
}

/// A subject, and what `with` makes of every purpose of the policies that concern it, in the
/// order of policies and of purposes within them.
pub(crate) async fn consent<T>(
    store: &Store,
    subject_id: &str,
    now: Moment,
    with: impl Fn(Standing<'_>) -> T,
) -> Result<(Known, Vec<T>), Error> {
    let (policies, known) = store.subject(subject_id).await?;
    let known = known.ok_or(Error::SubjectUnknown)?;
    let subject = &known.subject;
    let deciding = policies
        .slots()
        .filter_map(|slot| policies.deciding(slot, &subject.attributes.jurisdiction, now).0);
    let mut deciding: Vec<Offer<'_>> = deciding.collect();
    deciding.sort_by_key(|offer| (offer.version.policy.number, offer.index));
    let standings = deciding.into_iter().map(|offer| {
        let decision = decide(&policies, Some(subject), &offer.purpose().id, now);
        with(Standing { offer, decision, change: change(&policies, subject, offer.slot(), now) })
    });
    let standings = standings.collect();
    Ok((known, standings))
}
