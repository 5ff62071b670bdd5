//! Until when people's consent to one purpose is in force: whose has lapsed counts for nothing
//! from that instant on.

use std::collections::BTreeMap;

use super::{Ordinal, bits::Bits};

/// Instants are kept together by the second, so that a year's worth of them is not a tree of
/// single ones.
const TOGETHER: i64 = 1_000;

/// Everybody's consent to one purpose.
#[derive(Debug)]
pub(super) struct Consents {
    /// The instant that this was last moved to, in Unix milliseconds.
    now: i64,
    /// By ordinal: until when, in Unix milliseconds.
    until: Vec<i64>,
    /// Whose is in force now.
    in_force: Bits,
    /// By second: whose may end in it. Some of them have another consent by now.
    due: BTreeMap<i64, Vec<Ordinal>>,
}

impl Default for Consents {
    fn default() -> Self {
        let (until, in_force, due) = (Vec::new(), Bits::default(), BTreeMap::new());
        Self { now: i64::MIN, until, in_force, due }
    }
}

impl Consents {
    /// Whether a person's is in force.
    #[inline]
    pub(super) fn has(&self, person: Ordinal) -> bool {
        self.in_force.has(person)
    }

    /// [`Consents::has`] for a loop.
    #[inline]
    pub(super) fn reading(&self) -> impl Fn(Ordinal) -> bool + use<'_> {
        self.in_force.reading()
    }

    /// Until when it is; `i64::MIN` for whom none is known.
    pub(super) fn until(&self, person: Ordinal) -> i64 {
        self.until.get(person as usize).copied().unwrap_or(i64::MIN)
    }

    /// Sets until when; `i64::MAX`: until it is withdrawn; `i64::MIN`: not at all. Gives whether it
    /// is in force now.
    pub(super) fn set(&mut self, person: Ordinal, until: i64) -> bool {
        let at = person as usize;
        if at >= self.until.len() {
            self.until.resize(at + 1, i64::MIN);
        }
        let is_in = until > self.now;
        if is_in && until != i64::MAX && self.until[at] != until {
            self.due.entry(until.div_euclid(TOGETHER)).or_default().push(person);
        }
        self.until[at] = until;
        self.in_force.set(person, is_in);
        is_in
    }

    /// Whether anybody's may have ended by this instant, in the second that it is in.
    pub(super) fn lapses_by(&self, now: i64) -> bool {
        let second = now.div_euclid(TOGETHER);
        self.due.iter().take_while(|(due, _)| **due <= second).any(|(_, people)| {
            people.iter().any(|person| self.until(*person) <= now && self.has(*person))
        })
    }

    /// Moves on to this instant; gives whose ended. A clock that was set back moves nothing: who
    /// has lapsed is back when a new consent is stored.
    pub(super) fn advance(&mut self, now: i64) -> Vec<Ordinal> {
        self.now = self.now.max(now);
        let mut lapsed = Vec::new();
        while let Some(first) = self.due.first_entry() {
            let second = *first.key();
            if second > self.now.div_euclid(TOGETHER) {
                break;
            }
            let mut later = first.remove();
            later.retain(|person| {
                let until = self.until[*person as usize];
                if until <= self.now && self.in_force.has(*person) {
                    self.in_force.set(*person, false);
                    lapsed.push(*person);
                }
                until > self.now && until.div_euclid(TOGETHER) == second
            });
            if !later.is_empty() {
                // What ends later in this very second.
                self.due.insert(second, later);
                break;
            }
        }
        lapsed
    }

    pub(super) fn bytes(&self) -> usize {
        8 * self.until.capacity()
            + self.due.values().map(|due| 24 + 4 * due.capacity()).sum::<usize>()
    }
}
