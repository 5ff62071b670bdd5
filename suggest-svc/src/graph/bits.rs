//! A set of people as one bit each: read for every edge that a ranking looks at.

use super::Ordinal;

/// A set of people.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    #[inline]
    pub(super) fn has(&self, person: Ordinal) -> bool {
        self.reading()(person)
    }

    /// [`Bits::has`] for a loop that writes elsewhere: where the bits are is not read again and again.
    #[inline]
    pub(super) fn reading(&self) -> impl Fn(Ordinal) -> bool + use<'_> {
        let words = self.0.as_slice();
        move |person| {
            let word = words.get(person as usize / 64);
            word.is_some_and(|word| word >> (person % 64) & 1 == 1)
        }
    }

    /// Puts somebody in or out.
    pub(super) fn set(&mut self, person: Ordinal, is_in: bool) {
        let (word, bit) = (person as usize / 64, 1 << (person % 64));
        if word >= self.0.len() {
            if !is_in {
                return;
            }
            self.0.resize(word + 1, 0);
        }
        if is_in {
            self.0[word] |= bit;
        } else {
            self.0[word] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_put_in_is_in_and_nobody_else() {
        let mut bits = Bits::default();
        bits.set(1_000, false);
        for person in [0, 63, 64, 200] {
            assert!(!bits.has(person));
            bits.set(person, true);
        }
        bits.set(64, false);
        let there: Vec<Ordinal> = (0..1_001).filter(|person| bits.has(*person)).collect();
        assert_eq!(there, [0, 63, 200]);
    }
}
