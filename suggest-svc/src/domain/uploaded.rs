//! What an account has uploaded, so that it costs nothing to upload it again: sorted fingerprints
//! of 39 bits and a flag, five bytes each, one for each form of a contact.
//!
//! Whether a contact was found has no part in it, so that what an account may still upload tells
//! nothing of hits. (The flag says that a contact that was found was counted in the budget of its
//! range; it has its bit whether or not.)
//!
//! **How large it gets.** There are two generations. What a sync brings goes into the recent one,
//! known or not; when that would hold more than `keep` fingerprints it becomes the older one, and
//! the older one is forgotten. So at least the `keep` fingerprints that were uploaded last are
//! known and at most twice as many, 10 bytes for each of `keep`. Forgetting is never to the
//! account's advantage: it pays again. With room for three forms of each contact of the largest
//! sync ([`Uploaded::keep`]: 600 kB with 20,000), an account has to bring 20,000 other contacts
//! before one is forgotten, for which a bucket of 5,000 a month takes three months.
//!
//! **How often it errs.** A new identifier that is taken for a known one costs nothing. Among n
//! fingerprints that happens to one form of 2^39 / n: of 100 million new phone numbers, of two forms
//! each, brought by accounts that know 2,000 fingerprints, to 0.7; with the most, 120,000, to 44.
//! Nobody can choose which: fingerprints are keyed.

use std::collections::HashMap;

use hmac::{Hmac, Mac};
use identifiers::MatchKey;
use sha2::Sha256;

/// Bytes of one fingerprint with its flag.
pub const BYTES: usize = 5;

/// The most forms that a contact has: one for each normalisation profile.
const FORMS: usize = identifiers::Profile::ALL.len();

/// A fingerprint of one form of a contact: 39 bits, under the account's own key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark(u64);

/// Makes the fingerprints of one account. Those of two accounts have nothing to do with each other:
/// who stole the store does not see who knows the same people.
#[derive(Clone)]
pub struct Marker(Hmac<Sha256>);

impl Marker {
    /// With a key of the account's own.
    pub fn new(account_key: [u8; 32]) -> Self {
        // A key shorter than a block is filled up with zeros (RFC 2104, 2).
        let mut block = [0; 64];
        block[..32].copy_from_slice(&account_key);
        Self(Mac::new(&block.into()))
    }

    /// The fingerprint of one form.
    pub fn mark(&self, key: &MatchKey) -> Mark {
        let mut mac = self.0.clone();
        mac.update(key.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut first = [0; 8];
        first[8 - BYTES..].copy_from_slice(&full[..BYTES]);
        Mark(u64::from_be_bytes(first) >> 1)
    }
}

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mark(hidden)")
    }
}

/// The fingerprints that an account is known by.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Uploaded {
    recent: Generation,
    older: Generation,
}

/// One contact of a sync, in all its forms.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'m> {
    /// Its fingerprints.
    pub marks: &'m [Mark],
    /// Whether somebody is found by it.
    pub found: bool,
    /// Whether its range is over its budget, so that nobody new is found in it.
    pub closed: bool,
}

/// What a sync brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Brought {
    /// How many contacts were not known in any of their forms.
    pub new: usize,
    /// By which somebody may be found, those counted before among them; in the order of the sync.
    pub admitted: Vec<bool>,
    /// Which are to be counted: those that are found and were not counted before, by index.
    pub counted: Vec<usize>,
}

impl Uploaded {
    /// How many fingerprints a generation holds, for syncs of at most so many contacts.
    pub const fn keep(max_per_sync: usize) -> usize {
        FORMS * max_per_sync
    }

    /// Takes in the contacts of one sync. Equal ones count once, and so do forms of one contact,
    /// once they have been seen together.
    pub fn offer<'m>(
        &mut self,
        offers: impl ExactSizeIterator<Item = Offer<'m>>,
        keep: usize,
    ) -> Brought {
        let mut fresh: HashMap<Mark, bool> = HashMap::with_capacity(2 * offers.len());
        let mut brought = Brought {
            new: 0,
            admitted: Vec::with_capacity(offers.len()),
            counted: Vec::with_capacity(offers.len()),
        };
        for (index, Offer { marks, found, closed }) in offers.enumerate() {
            let (mut known, mut counted) = (false, false);
            for mark in marks {
                let states =
                    [fresh.get(mark).copied(), self.recent.get(*mark), self.older.get(*mark)];
                for state in states.into_iter().flatten() {
                    known = true;
                    counted |= state;
                }
            }
            brought.new += usize::from(!known);
            let countable = found && !closed;
            if countable && !counted {
                brought.counted.push(index);
            }
            brought.admitted.push(!closed | counted);
            for mark in marks {
                *fresh.entry(*mark).or_default() |= countable | counted;
            }
        }
        self.remember(Generation::from(fresh), keep);
        brought
    }

    fn remember(&mut self, fresh: Generation, keep: usize) {
        let all = self.recent.merged(&fresh);
        if all.0.len() <= keep {
            self.recent = all;
        } else {
            self.older = std::mem::replace(&mut self.recent, fresh);
        }
    }

    /// How many fingerprints are kept; one that is in both generations counts twice.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.recent.0.len() + self.older.0.len()
    }

    /// The bytes to store: the recent generation and the older one.
    pub fn encode(&self) -> [Vec<u8>; 2] {
        [&self.recent, &self.older].map(Generation::encode)
    }

    /// What was stored.
    pub fn decode(recent: &[u8], older: &[u8]) -> Self {
        Self { recent: Generation::decode(recent), older: Generation::decode(older) }
    }
}

/// Fingerprints, each with its flag as the lowest bit; sorted, each once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Generation(Vec<u64>);

impl Generation {
    /// Whether it was counted; nothing when it is not known.
    fn get(&self, mark: Mark) -> Option<bool> {
        let place = self.0.binary_search_by_key(&mark.0, |entry| entry >> 1).ok()?;
        Some(self.0[place] & 1 == 1)
    }

    fn merged(&self, other: &Self) -> Self {
        let mut all = Vec::with_capacity(self.0.len() + other.0.len());
        let mut others = other.0.iter().copied().peekable();
        for entry in &self.0 {
            while let Some(before) = others.next_if(|one| one >> 1 < entry >> 1) {
                all.push(before);
            }
            // Of a fingerprint that is in both the flag of either counts.
            let same = others.next_if(|one| one >> 1 == entry >> 1).unwrap_or(0);
            all.push(entry | (same & 1));
        }
        all.extend(others);
        Self(all)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * BYTES);
        for entry in &self.0 {
            bytes.extend_from_slice(&entry.to_be_bytes()[8 - BYTES..]);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let (entries, _) = bytes.as_chunks::<BYTES>();
        let entry = |entry: &[u8; BYTES]| {
            entry.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        Self(entries.iter().map(entry).collect())
    }
}

impl From<HashMap<Mark, bool>> for Generation {
    fn from(marks: HashMap<Mark, bool>) -> Self {
        let entry = |(mark, counted): (Mark, bool)| mark.0 << 1 | u64::from(counted);
        let mut entries: Vec<_> = marks.into_iter().map(entry).collect();
        entries.sort_unstable();
        Self(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: usize = 60;

    fn marks(numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<Mark>> {
        numbers.into_iter().map(|n| vec![Mark(n)]).collect()
    }

    fn offer(uploaded: &mut Uploaded, contacts: &[Vec<Mark>], found: bool) -> Brought {
        uploaded.offer(contacts.iter().map(|marks| Offer { marks, found, closed: false }), KEEP)
    }

    #[test]
    fn what_was_uploaded_before_is_not_new_in_any_of_its_forms() {
        let mut uploaded = Uploaded::default();
        let both = vec![vec![Mark(1), Mark(2)]];
        assert_eq!(offer(&mut uploaded, &both, false).new, 1);
        for forms in [vec![Mark(1)], vec![Mark(2)], vec![Mark(2), Mark(1)]] {
            assert_eq!(offer(&mut uploaded, &[forms], false).new, 0);
        }
        // Forms that come apart are two, and one once they have come together.
        assert_eq!(offer(&mut uploaded, &marks([8, 9]), false).new, 2);
        assert_eq!(offer(&mut uploaded, &[vec![Mark(8), Mark(9)]], false).new, 0);
    }

    #[test]
    fn a_contact_counts_once_in_a_sync() {
        let mut uploaded = Uploaded::default();
        let contacts = vec![vec![Mark(1), Mark(2)], vec![Mark(2)], vec![Mark(1), Mark(2)]];
        let brought = offer(&mut uploaded, &contacts, true);
        assert_eq!(brought, Brought { new: 1, admitted: vec![true; 3], counted: vec![0] });
    }

    #[test]
    fn whoever_is_found_the_same_is_new_and_as_much_is_stored() {
        let contacts = marks(0..40);
        let stored = [false, true].map(|found| {
            let mut uploaded = Uploaded::default();
            assert_eq!(offer(&mut uploaded, &contacts, found).new, 40);
            assert_eq!(offer(&mut uploaded, &contacts, !found).new, 0);
            uploaded.encode().map(|bytes| bytes.len())
        });
        assert_eq!(stored, [[40 * BYTES, 0]; 2]);
    }

    #[test]
    fn a_contact_is_counted_when_it_is_found_first() {
        let mut uploaded = Uploaded::default();
        let one = marks([7]);
        let counted = [false, true, true, false, true].map(|found| {
            let bytes = uploaded.encode();
            uploaded = Uploaded::decode(&bytes[0], &bytes[1]);
            offer(&mut uploaded, &one, found).counted.len()
        });
        assert_eq!(counted, [0, 1, 0, 0, 0]);
    }

    #[test]
    fn in_a_closed_range_only_who_was_counted_before_is_found() {
        let mut uploaded = Uploaded::default();
        offer(&mut uploaded, &marks([1]), true);
        let mut sync = |closed| {
            let contacts = marks([1, 2]);
            let offers = contacts.iter().map(|marks| Offer { marks, found: true, closed });
            let brought = uploaded.offer(offers, KEEP);
            (brought.new, brought.admitted, brought.counted)
        };
        assert_eq!(sync(true), (1, vec![true, false], vec![]));
        // Known does not make it found.
        assert_eq!(sync(true), (0, vec![true, false], vec![]));
        assert_eq!(sync(false), (0, vec![true, true], vec![1]));
        assert_eq!(sync(true), (0, vec![true, true], vec![]));
    }

    #[test]
    fn stored_bytes_lead_back_to_the_fingerprints() {
        let mut uploaded = Uploaded::default();
        offer(&mut uploaded, &marks([3, (1 << 39) - 1, 0]), true);
        offer(&mut uploaded, &marks(100..150), false);
        offer(&mut uploaded, &marks(200..250), false);
        let [recent, older] = uploaded.encode();
        assert!(!older.is_empty());
        assert_eq!(Uploaded::decode(&recent, &older), uploaded);
    }

    #[test]
    fn it_is_bounded_and_knows_at_least_what_came_last() {
        let mut uploaded = Uploaded::default();
        for first in (0..10_000).step_by(10) {
            assert_eq!(offer(&mut uploaded, &marks(first..first + 10), false).new, 10);
            let [recent, older] = uploaded.encode();
            assert!(recent.len() <= KEEP * BYTES && older.len() <= KEEP * BYTES);
            let last = (first + 10).saturating_sub(KEEP as u64)..first + 10;
            let mut known = Uploaded::decode(&recent, &older);
            assert_eq!(offer(&mut known, &marks(last), false).new, 0);
        }
        // A book that is sent again and again is known however much is tried beside it.
        let book = marks(1_000_000..1_000_020);
        offer(&mut uploaded, &book, false);
        for first in (0..10_000).step_by(10) {
            offer(&mut uploaded, &marks(first..first + 10), false);
            assert_eq!(offer(&mut uploaded, &book, false).new, 0);
        }
    }

    #[test]
    fn two_accounts_have_nothing_in_common() {
        let [one, other] = [1, 2].map(|n| Marker::new([n; 32]));
        let key = MatchKey::from_bytes([5; 16]);
        assert_eq!(one.mark(&key), one.mark(&key));
        assert_ne!(one.mark(&key), other.mark(&key));
        assert_ne!(one.mark(&key), one.mark(&MatchKey::from_bytes([6; 16])));
        assert!(one.mark(&key).0 < 1 << 39);
    }
}
