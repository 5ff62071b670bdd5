//! What a person chose, and which of several choices counts.

use super::{Moment, Offer, Policies, PolicyNumber, Subject, time::earlier};

/// A choice about one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The version under which it was made.
    pub policy: PolicyNumber,
    /// The purpose's place in that version.
    pub index: u16,
    /// What was chosen.
    pub stance: Stance,
    /// When.
    pub at: Moment,
    /// Who chose. A no counts whoever said it; a yes only of whoever decides for the subject.
    pub by: Decider,
}

/// What a person can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stance {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// No longer.
    Withdrawn,
}

/// Who makes a subject's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decider {
    /// The subject, of age at that time.
    Adult,
    /// The subject, not of age (or of unknown age) at that time.
    Child,
    /// The subject's guardian at that time.
    Guardian,
}

impl Choice {
    /// Whether this is a yes by whoever decides for the subject: an adult's own, a child's
    /// guardian's. A child's yes does not become an adult's, nor does its guardian's.
    pub(super) fn agrees_for(&self, subject: &Subject) -> bool {
        let decider = if subject.is_adult() { Decider::Adult } else { Decider::Guardian };
        self.stance == Stance::Granted && self.by == decider
    }

    /// Whether an older choice about the same purpose can never count again beside this one.
    fn replaces(&self, older: &Choice, policies: &Policies, now: Moment) -> bool {
        if self.stance != Stance::Granted {
            // What was said under other policies counts again when this no is taken back: a no
            // there, or the yes that took it back.
            return policies.same_policy(older.policy, self.policy);
        }
        // A yes leaves a no in place: a yes that arrives later and is dated before that no must
        // still find it, and be nothing. And which of two people's yes counts depends on the
        // subject's age, which may change.
        if older.stance != Stance::Granted || older.by != self.by {
            return false;
        }
        let in_effect = policies
            .version(self.policy)
            .is_some_and(|version| version.policy.spec.effective_at <= now);
        older.policy == self.policy || in_effect && policies.same_policy(older.policy, self.policy)
    }
}

impl Subject {
    /// `now`, or the latest instant of any choice if another clock put it later.
    pub fn after_all_choices(&self, now: Moment) -> Moment {
        self.choices.last().map_or(now, |last| last.at.max(now))
    }

    /// Keeps a choice, and forgets those that it replaces for good, so that a subject's state stays
    /// small: about a purpose the last no to each policy, and after it at most one yes to each of its
    /// versions by each of those who decided.
    pub(super) fn keep(&mut self, policies: &Policies, choice: Choice, now: Moment) {
        let Some(slot) = policies.slot_at(choice.policy, choice.index) else { return };
        let same = |other: &Choice| policies.slot_at(other.policy, other.index) == Some(slot);
        let at = self.choices.partition_point(|known| known.at <= choice.at);
        // Whichever of the two arrives first.
        let later = self.choices.split_off(at);
        self.choices.retain(|known| !(same(known) && choice.replaces(known, policies, now)));
        if !later.iter().any(|newer| same(newer) && newer.replaces(&choice, policies, now)) {
            self.choices.push(choice);
        }
        self.choices.extend(later);
    }

    /// Which of the choices about a purpose counts under a version's policy now.
    ///
    /// The latest does, except that
    /// - a refusal or a withdrawal counts under every policy, whichever it answered, and whoever
    ///   made it, until there is a yes to that policy, or under it;
    /// - a yes counts only under versions of the policy that was agreed to (a purpose's meaning
    ///   cannot change under one id, so it carries over to later versions), and only once that
    ///   version is in effect. Under another policy it counts for nothing, and takes back the no to
    ///   the policy that it answers;
    /// - a yes by somebody who does not decide for the subject neither takes back a no nor stands
    ///   before a yes by whoever does. A child's is the standing choice where there is no other; of
    ///   one who has come of age, what was said before is none.
    ///
    /// Also the next instant at which the clock alone could change that.
    pub fn standing_choice(
        &self,
        policies: &Policies,
        offer: Offer<'_>,
        now: Moment,
    ) -> (Option<Choice>, Option<Moment>) {
        let slot = offer.slot();
        let mut refused: Vec<Choice> = Vec::new();
        let mut agreed: Option<Choice> = None;
        let mut next = None;
        for choice in &self.choices {
            let Some(version) = policies.version(choice.policy) else { continue };
            if version.slot_at(choice.index) != Some(slot) {
                continue;
            }
            let decides = choice.agrees_for(self);
            if choice.stance != Stance::Granted {
                refused.push(*choice);
                agreed = None;
            } else if version.policy.spec.effective_at > now {
                next = earlier(next, Some(version.policy.spec.effective_at));
            } else if !version.same_policy(offer.version) {
                let same = |known: &Choice| policies.same_policy(known.policy, choice.policy);
                refused.retain(|known| !(decides && same(known)));
            } else if decides {
                refused.clear();
                agreed = Some(*choice);
            } else if refused.is_empty()
                && !self.is_adult()
                && agreed.is_none_or(|known| !known.agrees_for(self))
            {
                agreed = Some(*choice);
            }
        }
        // One of them at most.
        let standing = agreed.or(refused.pop());
        (standing, next)
    }
}
