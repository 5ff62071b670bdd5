//! What one policy version says of one of its purposes.

use super::{
    Choice, Decision, Mechanism, Moment, Offer, OnLapse, Policies, Purpose, Reason, Span, Stance,
    Subject, Version,
};

/// The answer that one version gives for one of its purposes. In this order:
pub(super) fn under(
    policies: &Policies,
    offer: Offer<'_>,
    subject: &Subject,
    now: Moment,
) -> Decision {
    let (policy, purpose) = (&offer.version.policy, offer.purpose());
    // 1. The policy may be for older accounts only.
    if !policy.spec.asks(subject.attributes.account_created_at) {
        return Decision::denied(Reason::NotAsked);
    }
    // 2. Data moves only to an app in which the person has an account.
    if let Some(app) = &purpose.receiving_app
        && !subject.attributes.apps.contains(app)
    {
        return Decision::denied(Reason::NoReceivingAccount);
    }
    let asked = subject.asked(policy.number);
    // 3. What is only announced grants nothing yet, whatever was chosen.
    if policy.spec.effective_at > now {
        let reason = if asked.is_some() { Reason::WindowPending } else { Reason::NoticeNotServed };
        return Decision::denied(reason).until(Some(policy.spec.effective_at));
    }
    let (choice, next) = subject.standing_choice(policies, offer, now);
    let answer = match choice {
        // 4. A choice.
        Some(choice) => chosen(policies, choice, purpose, subject, now),
        // 5. Nobody chose for a child, or for a person of unknown age: its guardian must, or must be
        // there to be told.
        None if !subject.is_adult() && (purpose.choosable() || subject.guardian.is_none()) => {
            Decision::denied(Reason::GuardianRequired)
        }
        // 6. There was nothing to choose.
        None if !purpose.choosable() => noticed(policies, offer, subject),
        // 7. The person said nothing.
        None => silence(offer, subject, now),
    };
    answer.until(next)
}

/// The answer that the standing choice gives.
fn chosen(
    policies: &Policies,
    choice: Choice,
    purpose: &Purpose,
    subject: &Subject,
    now: Moment,
) -> Decision {
    match choice.stance {
        // A no counts whoever said it.
        Stance::Refused => Decision::denied(Reason::Explicit),
        Stance::Withdrawn => Decision::denied(Reason::Withdrawn),
        Stance::Granted if !choice.agrees_for(subject) => {
            Decision::denied(Reason::GuardianRequired)
        }
        // An objection that the device began to signal later outweighs a yes; a yes that was
        // given in spite of the signal stands.
        Stance::Granted if subject.objection_since.is_some_and(|since| since >= choice.at) => {
            Decision::denied(Reason::ObjectionSignal)
        }
        Stance::Granted => {
            // A later version may shorten how long a yes lasts; it cannot make one that was given
            // for a month last a year.
            let agreed_to = policies.version(choice.policy);
            let agreed_to = agreed_to.and_then(|v| v.purpose_at(choice.index)?.consent_lifetime);
            let lifetime = agreed_to.into_iter().chain(purpose.consent_lifetime).min();
            lasting(Reason::Explicit, choice.at, lifetime, now)
        }
    }
}

/// There is nothing to choose: the notice is enough, of this version or of an earlier one of the
/// same policy with the same purpose in it. An objection counts where the law gives a right to it.
fn noticed(policies: &Policies, offer: Offer<'_>, subject: &Subject) -> Decision {
    let policy = &offer.version.policy;
    let served = subject.asked.iter().any(|asked| {
        policies.version(asked.policy).is_some_and(|known| {
            known.same_policy(offer.version)
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
