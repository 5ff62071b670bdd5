//! The answer to "may we?".

use super::{Interval, Moment, time::earlier};

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
    /// The subject was erased.
    Erased,
    /// Another account of the same person is denied it.
    LinkedSubject,
}

impl Decision {
    /// Whether this answer, given earlier of the same state, is still the answer now. A yes must
    /// hold for as long as the clock is uncertain; a no need only begin to.
    pub fn still_holds(&self, now: Interval) -> bool {
        let last = if self.granted { now.latest } else { now.earliest };
        self.valid_until.is_none_or(|until| last < until)
    }

    pub(super) fn granted(reason: Reason) -> Self {
        Self { granted: true, reason, valid_until: None }
    }

    /// A no, for ever.
    pub fn denied(reason: Reason) -> Self {
        Self { granted: false, reason, valid_until: None }
    }

    pub(super) fn until(mut self, deadline: Option<Moment>) -> Self {
        self.valid_until = earlier(self.valid_until, deadline);
        self
    }

    pub(super) fn says_the_same_as(&self, other: &Self) -> bool {
        self.granted == other.granted && self.reason == other.reason
    }
}
