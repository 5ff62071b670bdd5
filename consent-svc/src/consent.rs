//! Everything that a settings page needs, now or at any past instant.

use crate::{
    domain::{
        Change, Decision, Event, Interval, Moment, Offer, Person, Policies, Subject, change,
        decide_throughout,
    },
    error::Error,
    past::{Past, past},
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
    let by_then = |event: &Event| event.recorded_at <= at;
    let Past { policies, subject, revision } =
        past(store, subject_id, by_then).await?.ok_or(Error::SubjectUnknown)?;
    if subject.erased_at.is_some() {
        return Err(Error::SubjectErased);
    }
    let mut others = Vec::new();
    for other in &subject.linked {
        others.extend(past(store, other, by_then).await?.map(|other| other.subject));
    }
    let linked: Vec<&Subject> = others.iter().collect();
    let person = Person { subject: Some(&subject), linked: &linked };
    let purposes = standings(&policies.as_of(at), person, at.into(), with);
    Ok(Consent { subject, revision, purposes })
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
