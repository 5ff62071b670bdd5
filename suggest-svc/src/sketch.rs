//! Counting many things in little memory.
//!
//! A *count-min sketch* with *conservative update* (Cormode and Muthukrishnan, "An improved data
//! stream summary: the count-min sketch and its applications", Journal of Algorithms 55, 2005; Estan
//! and Varghese, "New directions in traffic measurement and accounting", SIGCOMM 2002): a count is
//! never too low, and too high only for what shares all of its cells with others.

/// Rows, and cells of each.
const ROWS: usize = 4;
const CELLS: usize = 1 << 20;

/// Counts of things known by a hash, up to 65,535. 8 MiB when there were many; pages in which
/// nothing was counted take no memory.
pub(crate) struct CountMin(Vec<u16>);

impl CountMin {
    /// Nothing was counted yet.
    pub(crate) fn new() -> Self {
        Self(vec![0; ROWS * CELLS])
    }

    /// How often something was counted.
    pub(crate) fn estimate(&self, hash: u64) -> u16 {
        let counts = cells(hash).map(|cell| self.0[cell]);
        counts.into_iter().min().unwrap_or_default()
    }

    /// Counts something once more; how often it was now. Raises only the cells that are lowest:
    /// the others have counted something else.
    pub(crate) fn count(&mut self, hash: u64) -> u16 {
        let next = self.estimate(hash).saturating_add(1);
        for cell in cells(hash) {
            self.0[cell] = self.0[cell].max(next);
        }
        next
    }
}

/// The cells of a hash, one in each row.
fn cells(hash: u64) -> [usize; ROWS] {
    std::array::from_fn(|row| row * CELLS + place(hash, row, CELLS))
}

/// Where a hash belongs in a row, by double hashing (Kirsch and Mitzenmacher, "Less hashing, same
/// performance", Random Structures and Algorithms 33, 2008).
#[allow(clippy::cast_possible_truncation)] // the low bits of both halves are what is wanted
pub(crate) fn place(hash: u64, row: usize, places: usize) -> usize {
    let (one, other) = (hash as usize, (hash >> 32) as usize);
    one.wrapping_add(other.wrapping_mul(row)) % places
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[test]
    fn counts_are_never_too_low_and_hardly_ever_too_high() {
        let (hasher, mut sketch) = (RandomState::new(), CountMin::new());
        let often = |n: u32| u16::try_from(n % 7).unwrap_or_default();
        for n in 0..100_000u32 {
            for _ in 0..often(n) {
                sketch.count(hasher.hash_one(n));
            }
        }
        let estimates = (0..100_000u32).map(|n| (often(n), sketch.estimate(hasher.hash_one(n))));
        let too_high = estimates.filter(|(often, estimate)| {
            assert!(estimate >= often);
            estimate > often
        });
        assert!(too_high.count() < 100);
        assert_eq!(sketch.estimate(hasher.hash_one("never")), 0);
    }
}
