//! One row of a table: a policy, what happened, a question, and the answer.

use super::*;

pub(super) struct Case {
    what: &'static str,
    steps: Vec<(i64, Step)>,
    is: Decision,
    policy: fn(&mut Spec),
    person: fn(&mut Attributes),
    id: &'static str,
    at: Moment,
}

/// Of an adult with accounts in both apps, about ads under the sample, on day 1: granted for this
/// reason.
pub(super) fn yes(what: &'static str, steps: Vec<(i64, Step)>, reason: Reason) -> Case {
    let is = Decision { granted: true, reason, valid_until: None };
    Case { what, steps, is, policy: |_| {}, person: |_| {}, id: ADS, at: day(1) }
}

/// As [`yes`], but denied.
pub(super) fn no(what: &'static str, steps: Vec<(i64, Step)>, reason: Reason) -> Case {
    let mut case = yes(what, steps, reason);
    case.is.granted = false;
    case
}

impl Case {
    pub(super) fn until(mut self, until: Moment) -> Self {
        self.is.valid_until = Some(until);
        self
    }

    pub(super) fn policy(self, policy: fn(&mut Spec)) -> Self {
        Self { policy, ..self }
    }

    pub(super) fn person(self, person: fn(&mut Attributes)) -> Self {
        Self { person, ..self }
    }

    pub(super) fn id(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    pub(super) fn at(self, at: Moment) -> Self {
        Self { at, ..self }
    }
}

pub(super) fn check(cases: impl IntoIterator<Item = Case>) {
    for case in cases {
        let mut spec = spec();
        (case.policy)(&mut spec);
        let policies = policies(vec![spec]);
        let mut subject = after(&policies, &case.steps);
        (case.person)(&mut subject.attributes);
        let answer = decide(&policies, Person::alone(&subject), case.id, case.at);
        assert_eq!(answer, case.is, "{}", case.what);
    }
}
