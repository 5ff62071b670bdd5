//! Working space, kept from one ranking to the next so that none allocates for the whole graph.

use super::{Candidate, WALKED_AT_MOST, weight};
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

/// Everybody's tally, and who has one.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    by_ordinal: Vec<Tally>,
    /// Those whose tally is not nothing, each once. There is room for everybody, and for one more who
    /// is written and does not count.
    touched: Vec<Ordinal>,
    len: usize,
}

impl Tallies {
    fn fit(&mut self, people: usize) {
        self.by_ordinal.resize(people, Tally::default());
        self.touched.resize(people + 1, 0);
    }

    /// Adds one to each of these people: the innermost loop, which goes over every edge that is
    /// walked. Whether somebody is new is not branched on: nobody could foretell it.
    #[inline]
    pub(super) fn add(&mut self, people: impl Iterator<Item = Ordinal>, one: Tally) {
        let (tallies, touched) = (self.by_ordinal.as_mut_slice(), self.touched.as_mut_slice());
        self.len = people.fold(self.len, |len, person| {
            let tally = &mut tallies[person as usize];
            touched[len] = person;
            let is_new = tally.is_none();
            tally.add(one);
            len + usize::from(is_new)
        });
    }

    pub(super) fn of(&self, person: Ordinal) -> Tally {
        self.by_ordinal[person as usize]
    }

    pub(super) fn touched(&self) -> &[Ordinal] {
        &self.touched[..self.len]
    }

    fn clear(&mut self) {
        for person in &self.touched[..self.len] {
            self.by_ordinal[*person as usize] = Tally::default();
        }
        self.len = 0;
    }
}

/// `degree^-β` of degrees that were seen: a power takes longer than a look-up.
#[derive(Debug, Default)]
pub(super) struct WeightTable {
    exponent: f64,
    /// By degree, in fixed point, which is at least 1 for these; 0: not computed yet.
    by_degree: Vec<u64>,
}

impl WeightTable {
    /// Larger degrees are computed each time: there are few.
    const DEGREES: usize = 4_096;

    #[allow(clippy::float_cmp)] // the same setting, or another one
    pub(super) fn of(&mut self, degree: usize, exponent: f64) -> u64 {
        if self.by_degree.is_empty() || self.exponent != exponent {
            self.exponent = exponent;
            self.by_degree = vec![0; Self::DEGREES];
        }
        match self.by_degree.get_mut(degree) {
            Some(known) => {
                if *known == 0 {
                    *known = weight(degree, exponent);
                }
                *known
            }
            None => weight(degree, exponent),
        }
    }
}

/// Working space of one thread.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) two_hop: Tallies,
    pub(super) three_hop: Tallies,
    pub(super) weights: WeightTable,
    /// By ordinal: the place in `walked` from 1 on; 0: not adjacent to the viewer;
    /// [`UNWALKED`]: adjacent, but nobody's mutual connection.
    pub(super) places: Vec<u32>,
    /// The candidates that were chosen, by their place among them.
    chosen: Vec<Ordinal>,
    /// A bit for each ordinal: who is chosen. So few bytes that they stay at hand, where a look at a
    /// place in memory for each edge would take most of the time.
    is_chosen: Vec<u64>,
    pub(super) adjacent: Vec<Ordinal>,
    pub(super) walked: Vec<(Ordinal, u64)>,
    pub(super) short: Vec<(u64, Ordinal)>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) alone: Vec<Candidate>,
}

const UNWALKED: u32 = u32::MAX;

impl Scratch {
    pub(super) fn fit(&mut self, people: usize) {
        if self.places.len() < people {
            self.places.resize(people, 0);
            self.is_chosen.resize(people.div_ceil(64), 0);
            self.two_hop.fit(people);
            self.three_hop.fit(people);
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

    /// Chooses one more candidate.
    pub(super) fn choose(&mut self, person: Ordinal) {
        self.chosen.push(person);
        self.is_chosen[person as usize / 64] |= 1 << (person % 64);
    }

    /// Who of these people is chosen: the place among those who are.
    #[inline]
    pub(super) fn chosen_among(
        &self,
        people: impl Iterator<Item = Ordinal>,
        mut found: impl FnMut(usize),
    ) {
        let is_chosen = self.is_chosen.as_slice();
        people.for_each(|person| {
            if is_chosen[person as usize / 64] >> (person % 64) & 1 == 1 {
                self.chosen.iter().position(|one| *one == person).into_iter().for_each(&mut found);
            }
        });
    }

    pub(super) fn is_stranger(place: u32) -> bool {
        place == 0
    }

    /// Undoes what one ranking wrote, and no more than that.
    pub(super) fn clear(&mut self) {
        self.two_hop.clear();
        self.three_hop.clear();
        for person in self.adjacent.drain(..) {
            self.places[person as usize] = 0;
        }
        for person in self.chosen.drain(..) {
            self.is_chosen[person as usize / 64] = 0;
        }
        self.walked.clear();
        self.short.clear();
        self.candidates.clear();
        self.alone.clear();
    }
}
