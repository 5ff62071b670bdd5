//! What a person can still change.

use super::{
    AfterWindow, ConsentRegime, LawfulBasis, Moment, Offer, OnLapse, Policies, Reason, Slot,
    Stance, Subject, accept_until, under::under,
};

/// What a person can do about a purpose now, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub option: ChangeOption,
    /// Until when; nothing: without limit.
    pub until: Option<Moment>,
}

/// What a person can do about a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeOption {
    /// Agree or refuse, either way.
    Any,
    /// Withdraw only.
    Withdraw,
    /// Agree only.
    Grant,
    /// Nothing.
    None,
}

impl Change {
    /// Whether a person whose present answer is `granted_now` may now say yes or no.
    /// Repeating what already is so is no change.
    pub fn permits(self, yes: bool, granted_now: bool) -> bool {
        yes == granted_now
            || match self.option {
                ChangeOption::Any => true,
                ChangeOption::Withdraw => !yes,
                ChangeOption::Grant => yes,
                ChangeOption::None => false,
            }
    }
}

/// What the person can change about a purpose under the version that decides now; nothing can be
/// where none does.
pub fn change(policies: &Policies, subject: &Subject, slot: Slot, now: Moment) -> Change {
    match policies.deciding(slot, &subject.attributes.jurisdiction, now).0 {
        Some(offer) => change_under(policies, offer, subject, now).0,
        None => Change { option: ChangeOption::None, until: None },
    }
}

/// What can be changed about a purpose under one version, and whether there is agreement to it at
/// present (by choice or by silence). For a subject under age it is what its guardian can change,
/// and whether the guardian agrees; a child's own yes is no agreement. The first of these that holds:
///
/// 1. There is nothing to choose, or nobody whose choice it would be, since the subject was
///    erased or its account is one that the policy does not ask: nothing.
/// 2. A grant has expired: anything, since the person is to be asked again.
/// 3. The person has not decided on this version, and may still accept it (`accept_within`; the
///    time does not run before the notice is served): anything.
/// 4. `change_within` has not passed since the person agreed: since they first decided on this
///    version, since their choice under an earlier one that carries over, or since silence became
///    a yes for the whole policy (`on_lapse` DEFAULT): anything.
/// 5. They agree at present: withdrawal, unless the policy is CLOSED. In an `OPT_IN` regime, and
///    where a purpose rests on consent, the way out never closes, whatever the policy says.
/// 6. They do not: agreeing, if a refusal is reversible.
pub fn change_under(
    policies: &Policies,
    offer: Offer<'_>,
    subject: &Subject,
    now: Moment,
) -> (Change, bool) {
    let spec = &offer.version.policy.spec;
    let free = |option, until| Change { option, until };
    // The answer when this version is in effect: a choice for an announced version is a choice.
    let (answer, agreed) = present(policies, offer, subject, now);
    let asks = spec.asks(subject.attributes.account_created_at);
    if subject.erased_at.is_some() || !asks || !offer.purpose().choosable() {
        return (free(ChangeOption::None, None), agreed);
    }
    if answer == Reason::Expired {
        return (free(ChangeOption::Any, None), agreed);
    }
    match open_until(policies, offer, subject, now) {
        None => return (free(ChangeOption::Any, None), agreed),
        Some(end) if now < end => return (free(ChangeOption::Any, Some(end)), agreed),
        Some(_) => {}
    }
    let way_out_stays = spec.after_window == AfterWindow::WithdrawAlways
        || spec.regime == ConsentRegime::OptIn
        || offer.purpose().lawful_basis == LawfulBasis::Consent;
    let option = match agreed {
        true if way_out_stays => ChangeOption::Withdraw,
        false if spec.refusal_reversible => ChangeOption::Grant,
        _ => ChangeOption::None,
    };
    (free(option, None), agreed)
}

/// The reason that this version gives, or will give once in effect, and whether the person agrees.
fn present(
    policies: &Policies,
    offer: Offer<'_>,
    subject: &Subject,
    now: Moment,
) -> (Reason, bool) {
    let spec = &offer.version.policy.spec;
    let at = now.max(spec.effective_at);
    let answer = under(policies, offer, subject, at);
    let chosen = subject.standing_choice(policies, offer, at).0;
    // A yes is the person's even while something else (an objection, say) outweighs it.
    let agreed = match chosen {
        Some(choice) => choice.agrees_for(subject) && answer.reason != Reason::Expired,
        None => answer.granted,
    };
    (answer.reason, agreed)
}

/// Until when anything can be changed; nothing: no end is set yet.
fn open_until(
    policies: &Policies,
    offer: Offer<'_>,
    subject: &Subject,
    now: Moment,
) -> Option<Moment> {
    let policy = &offer.version.policy;
    let spec = &policy.spec;
    let asked = subject.asked(policy.number)?;
    let carried = subject.standing_choice(policies, offer, now).0;
    let carried = carried.filter(|choice| {
        let counts = choice.stance != Stance::Granted || choice.agrees_for(subject);
        counts && policies.same_policy(choice.policy, policy.number)
    });
    let deadline = accept_until(offer.version, asked.served);
    let agreed = asked.accepted.or_else(|| {
        // A child's silence becomes no yes.
        let lapsed = spec.on_lapse == OnLapse::Default && subject.is_adult() && deadline <= now;
        carried.map(|choice| choice.at).or(lapsed.then_some(deadline))
    });
    let change_end = agreed.map(|agreed| agreed.plus(spec.change_within));
    let accept_end = asked.accepted.is_none().then_some(deadline);
    change_end.max(accept_end)
}
