//! May this be done now?

use super::{
    AgeBand, AppliesTo, Mechanism, Moment, Offer, OnLapse, Policies, Slot, Span, Stance, Subject,
    Version, time::earlier,
};

/// The answer to "may we?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub granted: bool,
    /// The rule that decided.
    pub reason: Reason,
    /// The next instant at which the clock alone changes the answer or its reason; nothing: never.
    pub valid_until: Option<Moment>,
}

/// The rules that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The person chose so.
    Explicit,
    /// Nobody chose in time, and the policy says what that means.
    DefaultAfterLapse,
    /// There is nothing to choose, and the notice was served.
    NoticeServed,
    /// The person has been asked and may still answer, or the policy is only announced.
    WindowPending,
    /// The person has not been shown the notice.
    NoticeNotServed,
    /// The policy does not ask this person.
    NotAsked,
    /// The person withdrew.
    Withdrawn,
    /// The grant has outlived its lifetime.
    Expired,
    /// A purpose that this one requires is denied.
    PrerequisiteDenied,
    /// The person's device signals an objection.
    ObjectionSignal,
    /// A guardian must decide.
    GuardianRequired,
    /// No such subject.
    UnknownSubject,
    /// No policy covers this purpose for this subject.
    NoPolicy,
    /// The person has no account in the receiving app.
    NoReceivingAccount,
}

impl Decision {
    fn granted(reason: Reason) -> Self {
        Self { granted: true, reason, valid_until: None }
    }

    fn denied(reason: Reason) -> Self {
        Self { granted: false, reason, valid_until: None }
    }

    fn until(mut self, deadline: Option<Moment>) -> Self {
        self.valid_until = earlier(self.valid_until, deadline);
        self
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        self.granted == other.granted && self.reason == other.reason
    }
}

/// Whether something may be done now with a subject's data; `None` is a subject that nobody knows.
///
/// A purpose is granted if it is granted by itself and everything that it requires is. Its own
/// answer, if it is a no, gives the reason. Total: any state of the policies, the subject and the
/// clock has an answer.
pub fn decide(
    policies: &Policies,
    subject: Option<&Subject>,
    purpose_id: &str,
    now: Moment,
) -> Decision {
    let Some(subject) = subject else { return Decision::denied(Reason::UnknownSubject) };
    match policies.slot(purpose_id) {
        Some(slot) => decide_slot(policies, subject, slot, now),
        None => Decision::denied(Reason::NoPolicy),
    }
}

pub(super) fn decide_slot(
    policies: &Policies,
    subject: &Subject,
    slot: Slot,
    now: Moment,
) -> Decision {
    let mut answer = at_a_glance(policies, subject, slot, now);
    // A glance may name an instant at which nothing changes after all: a prerequisite's deadline,
    // say, while another prerequisite stays denied. Each step goes to a later one of finitely many.
    while let Some(instant) = answer.valid_until {
        let then = at_a_glance(policies, subject, slot, instant);
        if !then.says_the_same_as(&answer) {
            break;
        }
        answer.valid_until = then.valid_until;
    }
    answer
}

/// As [`decide_slot`], but the answer may also hold beyond `valid_until`.
fn at_a_glance(policies: &Policies, subject: &Subject, slot: Slot, now: Moment) -> Decision {
    let (offer, own) = by_itself(policies, subject, slot, now);
    let Some(offer) = offer.filter(|_| own.granted) else { return own };
    let mut answer = own;
    for required in offer.required() {
        let (_, prerequisite) = by_itself(policies, subject, *required, now);
        if !prerequisite.granted {
            answer.granted = false;
            answer.reason = Reason::PrerequisiteDenied;
        }
        answer = answer.until(prerequisite.valid_until);
    }
    answer
}

/// The answer for one purpose, whatever it requires; and who gave it.
pub(super) fn by_itself<'a>(
    policies: &'a Policies,
    subject: &Subject,
    slot: Slot,
    now: Moment,
) -> (Option<Offer<'a>>, Decision) {
    let (offer, next) = policies.deciding(slot, &subject.attributes.jurisdiction, now);
    let answer = match offer {
        Some(offer) => under(policies, offer, subject, now),
        None => Decision::denied(Reason::NoPolicy),
    };
    let answer = answer.until(next);
    debug_assert!(answer.valid_until.is_none_or(|deadline| deadline > now));
    (offer, answer)
}

/// The answer that one version gives for one of its purposes. In this order:
pub(super) fn under(
    policies: &Policies,
    offer: Offer<'_>,
    subject: &Subject,
    now: Moment,
) -> Decision {
    let (policy, purpose) = (&offer.version.policy, offer.purpose());
    // 1. A child, or a person of unknown age, does not decide alone.
    if subject.attributes.age_band != AgeBand::Adult {
        return Decision::denied(Reason::GuardianRequired);
    }
    // 2. The policy may be for older accounts only.
    let is_new = subject.attributes.account_created_at >= policy.spec.effective_at;
    if policy.spec.applies_to == AppliesTo::ExistingSubjects && is_new {
        return Decision::denied(Reason::NotAsked);
    }
    // 3. Data moves only to an app in which the person has an account.
    if let Some(app) = &purpose.receiving_app
        && !subject.attributes.apps.contains(app)
    {
        return Decision::denied(Reason::NoReceivingAccount);
    }
    let asked = subject.asked(policy.number);
    // 4. What is only announced grants nothing yet, whatever was chosen.
    if policy.spec.effective_at > now {
        let reason = if asked.is_some() { Reason::WindowPending } else { Reason::NoticeNotServed };
        return Decision::denied(reason).until(Some(policy.spec.effective_at));
    }
    // 5. The person's own choice.
    let (choice, next) = subject.standing_choice(policies, offer.slot(), &policy.id, now);
    if let Some(choice) = choice {
        let answer = match choice.stance {
            Stance::Refused => Decision::denied(Reason::Explicit),
            Stance::Withdrawn => Decision::denied(Reason::Withdrawn),
            // A child's yes does not become an adult's.
            Stance::Granted if !choice.of_age => Decision::denied(Reason::GuardianRequired),
            // An objection that the device began to signal later outweighs a yes; a yes that the
            // person gave in spite of the signal stands.
            Stance::Granted if subject.objection_since.is_some_and(|since| since >= choice.at) => {
                Decision::denied(Reason::ObjectionSignal)
            }
            Stance::Granted => lasting(Reason::Explicit, choice.at, purpose.consent_lifetime, now),
        };
        return answer.until(next);
    }
    // 6. Nobody chose.
    let silent = if purpose.mechanism == Mechanism::NoticeOnly {
        noticed(policies, offer, subject)
    } else {
        silence(offer, subject, now)
    };
    silent.until(next)
}

/// There is nothing to choose: the notice is enough, of this version or of an earlier one of the
/// same policy with the same purpose in it. An objection counts where the law gives a right to it.
fn noticed(policies: &Policies, offer: Offer<'_>, subject: &Subject) -> Decision {
    let policy = &offer.version.policy;
    let served = subject.asked.iter().any(|asked| {
        policies.version(asked.policy).is_some_and(|known| {
            known.policy.id == policy.id
                && known.policy.version <= policy.version
                && known.offers().any(|other| other.slot() == offer.slot())
        })
    });
    let objects = subject.objection_since.is_some();
    if !served {
        Decision::denied(Reason::NoticeNotServed)
    } else if objects && offer.purpose().lawful_basis.open_to_objection() {
        Decision::denied(Reason::ObjectionSignal)
    } else {
        Decision::granted(Reason::NoticeServed)
    }
}

/// The person said nothing about what they were asked: pending while they may, and then what the
/// policy says. A yes by silence gives way to an objection signal, and does not last longer than
/// a spoken one.
fn silence(offer: Offer<'_>, subject: &Subject, now: Moment) -> Decision {
    let (policy, purpose) = (&offer.version.policy, offer.purpose());
    let Some(asked) = subject.asked(policy.number) else {
        return Decision::denied(Reason::NoticeNotServed);
    };
    let deadline = accept_until(offer.version, asked.served);
    if now < deadline {
        return Decision::denied(Reason::WindowPending).until(Some(deadline));
    }
    let granted =
        policy.spec.on_lapse == OnLapse::Default && purpose.mechanism == Mechanism::OptOut;
    if !granted {
        Decision::denied(Reason::DefaultAfterLapse)
    } else if subject.objection_since.is_some() {
        Decision::denied(Reason::ObjectionSignal)
    } else {
        lasting(Reason::DefaultAfterLapse, deadline, purpose.consent_lifetime, now)
    }
}

/// Until when a version may be accepted: `accept_within` from the later of `effective_at` and
/// the first time that its notice was served.
pub fn accept_until(version: &Version, served: Moment) -> Moment {
    let spec = &version.policy.spec;
    spec.effective_at.max(served).plus(spec.accept_within)
}

/// A yes that began at `since` and lasts for `lifetime`.
fn lasting(reason: Reason, since: Moment, lifetime: Option<Span>, now: Moment) -> Decision {
    match lifetime.map(|lifetime| since.plus(lifetime)) {
        Some(end) if end <= now => Decision::denied(Reason::Expired),
        end => Decision::granted(reason).until(end),
    }
}
