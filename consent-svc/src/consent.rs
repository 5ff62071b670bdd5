//! Everything that a settings page needs, now or at any past instant.

use crate::{
    domain::{
        Change, Decision, Interval, Moment, Offer, Person, Policies, Subject, change,
        decide_throughout, replay,
    },
    error::Error,
    store::Store,
};

/// What a settings page needs to know of one purpose.
pub(crate) struct Standing<'a> {
    pub(crate) offer: Offer<'a>,
    pub(crate) decision: Decision,
    pub(crate) change: Change,
}

/// A subject, its revision, and what was made of every purpose of the policies that concern it, in
/// the order of policies and of purposes within them.
pub(crate) struct Consent<T> {
    pub(crate) subject: Subject,
    pub(crate) revision: u64,
    pub(crate) purposes: Vec<T>,
}

/// How things stand now.
pub(crate) async fn consent<T>(
    store: &Store,
    subject_id: &str,
    now: Interval,
    with: impl Fn(Standing<'_>) -> T,
) -> Result<Consent<T>, Error> {
    let reading = store.read(subject_id).await?;
    let known = reading.known(subject_id).ok_or(Error::SubjectUnknown)?;
    if known.subject.erased_at.is_some() {
        return Err(Error::SubjectErased);
    }
    let purposes =
        reading.with_person(subject_id, |person| standings(&reading.policies, person, now, with));
    Ok(Consent { subject: known.subject.clone(), revision: known.revision, purposes })
}

/// How things stood at a past instant: by the policies of then, and by what had been recorded by
/// then of the subject and of those to whom it was linked then.
pub(crate) async fn consent_as_of<T>(
    store: &Store,
    subject_id: &str,
    at: Moment,
    with: impl Fn(Standing<'_>) -> T,
) -> Result<Consent<T>, Error> {
    let (policies, subject, revision) =
        state_as_of(store, subject_id, at).await?.ok_or(Error::SubjectUnknown)?;
    if subject.erased_at.is_some() {
        return Err(Error::SubjectErased);
    }
    let mut others = Vec::new();
    for other in &subject.linked {
        others.extend(state_as_of(store, other, at).await?.map(|(_, other, _)| other));
    }
    let linked: Vec<&Subject> = others.iter().collect();
    let person = Person { subject: Some(&subject), linked: &linked };
    let purposes = standings(&policies.as_of(at), person, at.into(), with);
    Ok(Consent { subject, revision, purposes })
}

/// What a subject's events up to an instant make of it, and how many they are. One that was erased
/// since is erased at every instant.
async fn state_as_of(
    store: &Store,
    subject_id: &str,
    at: Moment,
) -> Result<Option<(std::sync::Arc<Policies>, Subject, u64)>, Error> {
    let Some(history) = store.history(subject_id, u64::MAX).await? else { return Ok(None) };
    let until = |end: Moment| {
        let past = history.events.iter().take_while(move |event| event.recorded_at <= end);
        (past.clone().count() as u64, past)
    };
    let erased = replay(&history.policies, &history.events).filter(|now| now.erased_at.is_some());
    let (revision, past) = until(at);
    let subject = erased.or_else(|| replay(&history.policies, past));
    Ok(subject.map(|subject| (history.policies, subject, revision)))
}

fn standings<T>(
    policies: &Policies,
    person: Person<'_>,
    now: Interval,
    with: impl Fn(Standing<'_>) -> T,
) -> Vec<T> {
    let Some(subject) = person.subject else { return Vec::new() };
    let at = now.earliest;
    let deciding = policies
        .slots()
        .filter_map(|slot| policies.deciding(slot, &subject.attributes.jurisdiction, at).0);
    let mut deciding: Vec<Offer<'_>> = deciding.collect();
    deciding.sort_by_key(|offer| (offer.version.policy.number, offer.index));
    let standings = deciding.into_iter().map(|offer| {
        let decision = decide_throughout(policies, person, &offer.purpose().id, now);
        with(Standing { offer, decision, change: change(policies, subject, offer.slot(), at) })
    });
    standings.collect()
}
