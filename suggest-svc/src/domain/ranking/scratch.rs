//! Working space, kept from one ranking to the next so that none allocates for the whole graph.

use super::{Candidate, WALKED_AT_MOST};
use crate::graph::Ordinal;

/// Of one person: how many mutual connections, and the sum of their weights, in one word, so that
/// adding one is one addition in one place in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally(u64);

/// Bits for the count, which is at most [`WALKED_AT_MOST`]. The rest is enough for so many weights
/// of at most 2^32.
const COUNT_BITS: u32 = 16;
const _: () = assert!(WALKED_AT_MOST < 1 << COUNT_BITS && WALKED_AT_MOST < 1 << (32 - COUNT_BITS));

impl Tally {
    /// What one of this weight adds.
    pub(super) fn one(weight: u64) -> Self {
        Self((weight << COUNT_BITS) | 1)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0 += other.0;
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }

    pub(super) fn weights(self) -> u64 {
        self.0 >> COUNT_BITS
    }

    pub(super) fn mutuals(self) -> usize {
        // 16 bits.
        (self.0 & ((1 << COUNT_BITS) - 1)) as usize
    }
}

/// People, each once: who was tallied. Written for every edge that is walked, without a branch that
/// nobody could foretell.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// Room for everybody, and for one more who is written and does not count.
    room: Vec<Ordinal>,
    len: usize,
}

impl Touched {
    fn fit(&mut self, people: usize) {
        self.room.resize(people + 1, 0);
    }

    /// Puts somebody in, if they are not there yet.
    #[inline]
    pub(super) fn push_if(&mut self, is_new: bool, person: Ordinal) {
        self.room[self.len] = person;
        self.len += usize::from(is_new);
    }

    pub(super) fn all(&self) -> &[Ordinal] {
        &self.room[..self.len]
    }
}

/// Working space of one thread.
#[derive(Debug, Default)]
pub struct Scratch {
    /// By ordinal: of the two-hop walk.
    pub(super) tallies: Vec<Tally>,
    /// By ordinal: of the three-hop walk.
    pub(super) circle: Vec<Tally>,
    /// By ordinal: the place in `walked` from 1 on; 0: not adjacent to the viewer;
    /// [`UNWALKED`]: adjacent, but nobody's mutual connection.
    pub(super) places: Vec<u32>,
    /// Whose tally is not nothing.
    pub(super) touched: Touched,
    pub(super) touched_far: Touched,
    pub(super) adjacent: Vec<Ordinal>,
    pub(super) walked: Vec<(Ordinal, u64)>,
    pub(super) short: Vec<(u64, Ordinal)>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) alone: Vec<Candidate>,
}

const UNWALKED: u32 = u32::MAX;

impl Scratch {
    pub(super) fn fit(&mut self, people: usize) {
        if self.tallies.len() < people {
            self.tallies.resize(people, Tally::default());
            self.circle.resize(people, Tally::default());
            self.places.resize(people, 0);
            self.touched.fit(people);
            self.touched_far.fit(people);
        }
    }

    /// Marks somebody as adjacent to the viewer.
    pub(super) fn is_adjacent(&mut self, person: Ordinal) {
        self.places[person as usize] = UNWALKED;
        self.adjacent.push(person);
    }

    pub(super) fn is_walked(place: u32) -> bool {
        place != 0 && place != UNWALKED
    }

    pub(super) fn is_stranger(place: u32) -> bool {
        place == 0
    }

    /// Undoes what one ranking wrote, and no more than that.
    pub(super) fn clear(&mut self) {
        for person in self.touched.all() {
            self.tallies[*person as usize] = Tally::default();
        }
        for person in self.touched_far.all() {
            self.circle[*person as usize] = Tally::default();
        }
        (self.touched.len, self.touched_far.len) = (0, 0);
        for person in self.adjacent.drain(..) {
            self.places[person as usize] = 0;
        }
        self.walked.clear();
        self.short.clear();
        self.candidates.clear();
        self.alone.clear();
    }
}
