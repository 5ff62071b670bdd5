//! May this be done now?

use super::{
    Coverage, Decision, Interval, Moment, Offer, Policies, Reason, Slot, Subject, under::under,
};

/// Whom an answer is about: a subject and the other accounts of the same person.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// The subject; nothing: nobody knows it.
    pub subject: Option<&'a Subject>,
    /// All of [`Subject::linked`]. While one of them is missing here, its answer counts as a no.
    pub linked: &'a [&'a Subject],
}

impl<'a> Person<'a> {
    /// A person with one account.
    pub fn alone(subject: &'a Subject) -> Self {
        Self { subject: Some(subject), linked: &[] }
    }
}

/// Whether something may be done now with a person's data.
///
/// A purpose is granted if it is granted by itself and everything that it requires is. Its own
/// answer, if it is a no, gives the reason. Of a person with several accounts all must be granted;
/// the subject's own answer, if it is a no, gives the reason. Total: any state of the policies, the
/// person and the clock has an answer.
pub fn decide(policies: &Policies, person: Person<'_>, purpose_id: &str, now: Moment) -> Decision {
    decide_throughout(policies, person, purpose_id, now.into())
}

/// As [`decide`], while it is not known exactly when now is: granted only if it is at every instant
/// of `now`, the first and the last included. Otherwise the first no gives the reason.
///
/// The answer is the same for every later interval (one that neither begins nor ends before this
/// one) for which it [still holds](Decision::still_holds): a yes for those that end before its
/// `valid_until`, a no for those that begin before it.
pub fn decide_throughout(
    policies: &Policies,
    person: Person<'_>,
    purpose_id: &str,
    now: Interval,
) -> Decision {
    match (policies.slot(purpose_id), person.subject) {
        (Some(slot), _) => decide_slot(policies, person, slot, now),
        (None, None) => Decision::denied(Reason::UnknownSubject),
        (None, Some(subject)) if subject.erased_at.is_some() => Decision::denied(Reason::Erased),
        (None, Some(_)) => Decision::denied(Reason::NoPolicy),
    }
}

/// As [`decide_throughout`], of a purpose whose slot is known.
pub fn decide_slot(
    policies: &Policies,
    person: Person<'_>,
    slot: Slot,
    now: impl Into<Interval>,
) -> Decision {
    let now = now.into();
    let mut answer = exactly(policies, person, slot, now.earliest);
    while answer.granted
        && let Some(instant) = answer.valid_until.filter(|until| *until <= now.latest)
    {
        answer = exactly(policies, person, slot, instant);
    }
    answer
}

/// The answers for all purposes, by slot ([`Policies::slots`]): for keeping, as long as each
/// [still holds](Decision::still_holds).
pub fn answers(policies: &Policies, person: Person<'_>, now: impl Into<Interval>) -> Vec<Decision> {
    let now = now.into();
    policies.slots().map(|slot| decide_slot(policies, person, slot, now)).collect()
}

/// The next instant at which the clock alone changes any of the person's answers, or its reason.
pub fn next_change(policies: &Policies, person: Person<'_>, now: Moment) -> Option<Moment> {
    let answers = policies.slots().map(|slot| decide_slot(policies, person, slot, now));
    answers.filter_map(|answer| answer.valid_until).min()
}

/// The answer at one instant.
fn exactly(policies: &Policies, person: Person<'_>, slot: Slot, now: Moment) -> Decision {
    let mut answer = at_a_glance(policies, person, slot, now);
    // A glance may name an instant at which nothing changes after all: a prerequisite's deadline,
    // say, while another prerequisite stays denied. Each step goes to a later one of finitely many.
    while let Some(instant) = answer.valid_until {
        let then = at_a_glance(policies, person, slot, instant);
        if !then.says_the_same_as(&answer) {
            break;
        }
        answer.valid_until = then.valid_until;
    }
    answer
}

/// As [`exactly`], but the answer may also hold beyond `valid_until`.
fn at_a_glance(policies: &Policies, person: Person<'_>, slot: Slot, now: Moment) -> Decision {
    let Some(subject) = person.subject else { return Decision::denied(Reason::UnknownSubject) };
    let mut answer = of_one_account(policies, subject, slot, now);
    if !answer.granted {
        return answer;
    }
    let mut all_granted = person.linked.len() >= subject.linked.len();
    for other in person.linked {
        let theirs = of_one_account(policies, other, slot, now);
        all_granted &= theirs.granted;
        answer = answer.until(theirs.valid_until);
    }
    if all_granted {
        answer
    } else {
        Decision::denied(Reason::LinkedSubject).until(answer.valid_until)
    }
}

/// The answer for one account, whatever those to which it is linked say.
fn of_one_account(policies: &Policies, subject: &Subject, slot: Slot, now: Moment) -> Decision {
    if subject.erased_at.is_some() {
        return Decision::denied(Reason::Erased);
    }
    let coverage = policies.coverage(&subject.attributes.jurisdiction);
    let (offer, mut answer) = by_itself(policies, coverage, subject, slot, now);
    let Some(offer) = offer.filter(|_| answer.granted) else { return answer };
    for required in offer.required() {
        let (_, prerequisite) = by_itself(policies, coverage, subject, *required, now);
        if !prerequisite.granted {
            answer.granted = false;
            answer.reason = Reason::PrerequisiteDenied;
        }
        answer = answer.until(prerequisite.valid_until);
    }
    answer
}

/// The answer for one purpose, whatever it requires; and who gave it.
fn by_itself<'a>(
    policies: &'a Policies,
    coverage: Option<&Coverage>,
    subject: &Subject,
    slot: Slot,
    now: Moment,
) -> (Option<Offer<'a>>, Decision) {
    let (offer, next) = policies.deciding_in(coverage, slot, now);
    let answer = match offer {
        Some(offer) => under(policies, offer, subject, now),
        None => Decision::denied(Reason::NoPolicy),
    };
    let answer = answer.until(next);
    debug_assert!(answer.valid_until.is_none_or(|deadline| deadline > now));
    (offer, answer)
}
