//! People and who knows whom: read from a file, or drawn.

use std::{collections::HashMap, fs, path::Path};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use suggest_svc::{
    domain::Subject,
    graph::{Builder, Graph},
};

use crate::{Result, consent::stage::id};

/// Who knows whom, by number from 0.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Where each one's row ends.
    ends: Vec<usize>,
    /// Rows: sorted, each once, without the person.
    rows: Vec<u32>,
}

/// How drawn people are connected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Synthetic {
    /// How many people.
    pub people: usize,
    /// How many connections each has on average.
    pub degree: usize,
}

impl std::str::FromStr for Synthetic {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once(',').and_then(|(people, degree)| {
            Some(Self { people: people.parse().ok()?, degree: degree.parse().ok()? })
        });
        let fits = |one: &Self| (10..=100_000_000).contains(&one.people) && one.degree > 0;
        numbers.filter(fits).ok_or_else(|| "not USERS,DEGREE, as in 68000,79".to_owned())
    }
}

/// How uneven degrees are: who is drawn has as rank the number of people times a uniform number to
/// this power, so that the k-th has a degree in proportion to k^(1/1.5 - 1).
const UNEVEN: f64 = 1.5;
/// People of a community, and the share of connections within it.
const COMMUNITY: usize = 500;
const WITHIN: f64 = 0.5;

impl People {
    /// Reads lines of two numbers.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let mut numbers = HashMap::new();
        let mut pairs = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let mut ends = line.split_whitespace().map(|end| {
                let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                *numbers.entry(end.to_owned()).or_insert(next)
            });
            if let (Some(one), Some(other)) = (ends.next(), ends.next()) {
                pairs.push((one, other));
            }
        }
        Ok(Self::of(numbers.len(), || pairs.iter().copied()))
    }

    /// Draws them.
    pub(super) fn draw(synthetic: Synthetic, seed: u64) -> Self {
        let Synthetic { people, degree } = synthetic;
        let communities = (people / COMMUNITY).max(1);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let rank = move |rng: &mut ChaCha8Rng, of: usize| {
            let uniform: f64 = rng.random();
            ((of as f64 * uniform.powf(UNEVEN)) as usize).min(of - 1)
        };
        let pairs = move || {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..people * degree / 2).map(move |_| {
                let one = rank(&mut rng, people);
                let other = if rng.random_bool(WITHIN) {
                    let place = rank(&mut rng, COMMUNITY.min(people));
                    (one % communities + communities * place) % people
                } else {
                    rank(&mut rng, people)
                };
                // Ranks are spread, so that neighbours in number are not neighbours in degree.
                (spread(one, people), spread(other, people))
            })
        };
        Self::of(people, pairs)
    }

    /// Rows of pairs, which are gone through twice: they may be too many to keep.
    fn of<P: Iterator<Item = (u32, u32)>>(people: usize, pairs: impl Fn() -> P) -> Self {
        let mut starts = vec![0_usize; people + 1];
        for (one, other) in pairs() {
            starts[one as usize + 1] += 1;
            starts[other as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut rows, mut next) = (vec![0; starts[people]], starts.clone());
        for (one, other) in pairs() {
            for (of, to) in [(one, other), (other, one)] {
                rows[next[of as usize]] = to;
                next[of as usize] += 1;
            }
        }
        drop(next);
        let (mut ends, mut kept) = (Vec::with_capacity(people), 0);
        for person in 0..people {
            let range = starts[person]..starts[person + 1];
            rows[range.clone()].sort_unstable();
            let mut last = None;
            for at in range {
                let to = rows[at];
                if last != Some(to) && to as usize != person {
                    rows[kept] = to;
                    kept += 1;
                }
                last = Some(to);
            }
            ends.push(kept);
        }
        rows.truncate(kept);
        Self { ends, rows }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn row(&self, person: usize) -> &[u32] {
        let start = if person == 0 { 0 } else { self.ends[person - 1] };
        &self.rows[start..self.ends[person]]
    }

    /// Entries of all rows: two for each connection.
    pub(super) fn entries(&self) -> usize {
        self.rows.len()
    }

    /// All connections, each once.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.len()).flat_map(|one| {
            let later = self.row(one).iter().map(|other| *other as usize);
            later.filter(move |other| *other > one).map(move |other| (one, other))
        })
    }

    /// The engine's graph of them; everybody agreed to everything.
    pub(super) fn graph(self) -> Graph {
        let mut builder = Builder::default();
        builder.expect(self.len(), self.entries());
        for person in 0..self.len() {
            let subject = Subject::from(id(person));
            builder.consent(&subject, i64::MAX, i64::MAX);
            builder.row(&subject, self.row(person).iter().copied());
        }
        drop(self);
        builder.finish(0)
    }
}

/// A bijection of the numbers below `people`, as far as it goes without a table: a step that has no
/// divisor in common with them.
fn spread(rank: usize, people: usize) -> u32 {
    // The next number of people has no divisor in common with them: it is found by then.
    let step = (7_919..=7_920 + people).find(|step| gcd(*step, people) == 1).unwrap_or(1);
    u32::try_from(rank * step % people).unwrap_or(0)
}

fn gcd(one: usize, other: usize) -> usize {
    if other == 0 { one } else { gcd(other, one % other) }
}
