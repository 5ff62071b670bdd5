//! Consent that ends with time: whose has lapsed counts for nothing from that instant on.

use std::collections::BTreeSet;

use super::{Graph, Ordinal};
use crate::domain::Subject;

/// When whose consent ends.
#[derive(Debug)]
pub(super) struct Lapses {
    /// The instant that the graph was last moved to, in Unix milliseconds.
    now: i64,
    /// Live people whose consent ends some time, soonest first.
    due: BTreeSet<(i64, Ordinal)>,
}

impl Default for Lapses {
    fn default() -> Self {
        Self { now: i64::MIN, due: BTreeSet::new() }
    }
}

impl Graph {
    /// Sets until when a person's consent to the transfer is in force, in Unix milliseconds;
    /// `i64::MAX`: until it is withdrawn; `i64::MIN`: not at all.
    pub fn set_consent(&mut self, subject: &Subject, until: i64) {
        let Some(person) = self.named(subject, until == i64::MIN) else { return };
        self.replace_consent(person, until);
        self.relate_all(person);
    }

    /// Sets until when a person agrees to be suggested, in Unix milliseconds, as far as is known.
    pub fn set_suggestible(&mut self, subject: &Subject, until: i64) {
        let Some(person) = self.ordinal(subject) else { return };
        self.person_mut(person).suggest_until = until;
    }

    /// Whether a person agrees to be suggested, as far as is known: worth a place in a ranking.
    /// Whoever is shown was asked about at that moment.
    pub fn may_be_suggested(&self, person: Ordinal) -> bool {
        self.person(person).suggest_until > self.lapses.now
    }

    /// Whether [`Graph::advance`] to this instant would change anything.
    pub fn lapses_by(&self, now: i64) -> bool {
        self.lapses.due.first().is_some_and(|(until, _)| *until <= now)
    }

    /// Moves the graph to this instant. A clock that was set back moves nothing: who has lapsed
    /// is back when a new consent is stored.
    pub fn advance(&mut self, now: i64) {
        self.lapses.now = self.lapses.now.max(now);
        while let Some((until, person)) = self.lapses.due.first().copied() {
            if until > self.lapses.now {
                break;
            }
            self.lapses.due.pop_first();
            self.person_mut(person).live = false;
            self.relate_all(person);
        }
    }

    pub(super) fn replace_consent(&mut self, person: Ordinal, until: i64) {
        let before = self.person(person).consent_until;
        self.lapses.due.remove(&(before, person));
        let live = until > self.lapses.now;
        if live && until != i64::MAX {
            self.lapses.due.insert((until, person));
        }
        let person = self.person_mut(person);
        person.consent_until = until;
        person.live = live;
    }
}
