//! How often people were shown within a day, so that nobody is shown to everybody.
//!
//! In the memory of one replica, of a size that does not grow: a sketch under a *sliding window
//! counter*, which is what was counted today and of yesterday the share that is still within 24
//! hours. Another replica counts what it shows itself; a restart begins anew.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    sync::{PoisonError, RwLock},
};

use service_kit::clock::{Clock, UnixMillis};

use crate::{
    domain::Subject,
    sketch::{CountMin, place},
};

/// Bits of the filter of viewers: 4 MiB a day. With 3 million viewers a day at one replica, 3 in
/// 100 are taken for ones who were here already.
const BITS: usize = 1 << 25;
const DAY: i64 = 86_400_000;

/// Who was shown how often.
pub(crate) struct Exposure {
    clock: Clock,
    max_per_day: u32,
    hasher: RandomState,
    days: RwLock<Days>,
}

struct Days {
    /// Which day today is, since 1970.
    number: i64,
    today: Shown,
    yesterday: Option<Shown>,
    /// Whoever may have been shown as often as anybody may be.
    near: HashSet<u64>,
}

/// What was shown within one day.
struct Shown {
    people: CountMin,
    viewers: Vec<u64>,
}

impl Exposure {
    /// Nobody was shown yet.
    pub(crate) fn new(clock: Clock, max_per_day: u32) -> Self {
        let number = day(clock.now());
        let days = Days { number, today: Shown::new(), yesterday: None, near: HashSet::new() };
        Self { clock, max_per_day, hasher: RandomState::new(), days: RwLock::new(days) }
    }

    /// These people were shown to this viewer. One list of each viewer counts a day, the first with
    /// anybody in it: nobody can make somebody disappear by asking again and again.
    pub(crate) fn shown<'s>(
        &self,
        viewer: &Subject,
        people: impl IntoIterator<Item = &'s Subject>,
    ) {
        let mut people = people.into_iter().peekable();
        if people.peek().is_none() {
            return;
        }
        let mut days = self.days.write().unwrap_or_else(PoisonError::into_inner);
        days.turn(day(self.clock.now()), self.max_per_day);
        if days.today.is_first_of(self.hasher.hash_one(viewer)) {
            for person in people {
                let hash = self.hasher.hash_one(person.as_str());
                let shown = u32::from(days.today.people.count(hash));
                if shown + u32::from(days.before(hash)) >= self.max_per_day {
                    days.near.insert(hash);
                }
            }
        }
    }

    /// Whether people were shown as often as anybody may be, as of now; nothing: nobody was. Nobody
    /// is counted meanwhile.
    pub(crate) fn reading(&self) -> Option<impl Fn(&str) -> bool + use<'_>> {
        let now = self.clock.now();
        // How many milliseconds of yesterday are within the last 24 hours.
        let within = u64::try_from(DAY - now.get().rem_euclid(DAY)).unwrap_or_default();
        let days = self.days.read().unwrap_or_else(PoisonError::into_inner);
        if days.near.is_empty() {
            return None;
        }
        Some(move |person: &str| {
            // Hardly anybody is: nothing is counted for the others.
            let hash = self.hasher.hash_one(person);
            if !days.near.contains(&hash) {
                return false;
            }
            let [before, today] = match day(now) - days.number {
                ..=0 => [days.before(hash), days.today.people.estimate(hash)],
                1 => [days.today.people.estimate(hash), 0],
                2.. => [0, 0],
            };
            let count = u64::from(today) + u64::from(before) * within / DAY.unsigned_abs();
            count >= u64::from(self.max_per_day)
        })
    }
}

impl Days {
    /// How often somebody was shown yesterday.
    fn before(&self, hash: u64) -> u16 {
        self.yesterday.as_ref().map_or(0, |day| day.people.estimate(hash))
    }

    /// Begins a new day, if it is one.
    fn turn(&mut self, number: i64, max_per_day: u32) {
        if self.number < number {
            let before = std::mem::replace(&mut self.today, Shown::new());
            self.yesterday = (self.number + 1 == number).then_some(before);
            self.number = number;
            // Whoever was not shown that often yesterday is not near it before they are shown again.
            let mut near = std::mem::take(&mut self.near);
            near.retain(|hash| u32::from(self.before(*hash)) >= max_per_day);
            self.near = near;
        }
    }
}

impl Shown {
    fn new() -> Self {
        Self { people: CountMin::new(), viewers: vec![0; BITS / 64] }
    }

    /// Whether nobody with this hash was here before: a Bloom filter of two bits each.
    fn is_first_of(&mut self, viewer: u64) -> bool {
        let mut is_first = false;
        for row in 0..2 {
            let bit = place(viewer, row, BITS);
            let (word, mask) = (&mut self.viewers[bit / 64], 1 << (bit % 64));
            is_first |= *word & mask == 0;
            *word |= mask;
        }
        is_first
    }
}

fn day(now: UnixMillis) -> i64 {
    now.get().div_euclid(DAY)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn who(name: impl std::fmt::Display) -> Subject {
        Subject::from(name.to_string())
    }

    fn exposure(max_per_day: u32) -> (Exposure, Clock) {
        let clock = Clock::manual(UnixMillis::new(20_000 * DAY));
        (Exposure::new(clock.clone(), max_per_day), clock)
    }

    fn is_capped(exposure: &Exposure, person: &Subject) -> bool {
        exposure.reading().is_some_and(|is_capped| is_capped(person.as_str()))
    }

    #[test]
    fn who_was_shown_to_enough_viewers_is_capped_and_nobody_else() {
        let (exposure, _) = exposure(50);
        for n in 0..50 {
            assert!(!is_capped(&exposure, &who("bob")), "{n}");
            let others: Vec<_> = (0..20).map(|other| who(n * 100 + other)).collect();
            exposure.shown(&who(format!("viewer-{n}")), others.iter().chain([&who("bob")]));
        }
        assert!(is_capped(&exposure, &who("bob")));
        assert!((0..5_000).all(|n| !is_capped(&exposure, &who(n))));
    }

    #[test]
    fn one_viewer_who_asks_often_counts_once_a_day() {
        let (exposure, clock) = exposure(2);
        for _ in 0..100 {
            exposure.shown(&who("ann"), [&who("bob")]);
        }
        assert!(!is_capped(&exposure, &who("bob")));
        clock.advance(Duration::from_hours(24));
        exposure.shown(&who("ann"), [&who("bob")]);
        assert!(is_capped(&exposure, &who("bob")));
    }

    #[test]
    fn what_was_shown_fades_within_two_days() {
        let (exposure, clock) = exposure(50);
        for n in 0..100 {
            exposure.shown(&who(n), [&who("bob")]);
        }
        // At noon of the next day half of it counts; a minute later less.
        clock.advance(Duration::from_hours(36));
        assert!(is_capped(&exposure, &who("bob")));
        exposure.shown(&who("late"), [&who("eve")]);
        assert!(is_capped(&exposure, &who("bob")));
        clock.advance(Duration::from_mins(15));
        assert!(!is_capped(&exposure, &who("bob")));
        clock.advance(Duration::from_hours(24));
        assert!(!is_capped(&exposure, &who("bob")) && !is_capped(&exposure, &who("eve")));
    }
}
