//! A person's contacts as they are kept: match keys of people who are here, and as much padding as
//! there are contacts who are not.
//!
//! What is stored has the same size, and takes the same work, whoever was found: a sync of n
//! accepted contacts leaves n entries. Padding is random and never matches.

use std::collections::HashSet;

use identifiers::MatchKey;

use super::identifiers::Refusal;

/// The most refusals that an answer lists.
pub const REFUSALS_LISTED: usize = 100;

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 16;

/// The keys of one contact: it is the same person in every form.
pub type Forms = Vec<MatchKey>;

/// What a sync has brought so far.
#[derive(Debug, Default)]
pub struct Received {
    /// Contacts that are there, or new.
    pub added: Vec<Forms>,
    /// Contacts that are gone.
    pub removed: Vec<Forms>,
    /// The first that were refused, by position in the whole stream.
    pub refused: Vec<(u32, Refusal)>,
    /// How many were looked at.
    pub seen: usize,
}

impl Received {
    /// Takes in the contacts of one message, those added before those removed.
    pub fn take(
        &mut self,
        added: Vec<Result<Forms, Refusal>>,
        removed: Vec<Result<Forms, Refusal>>,
    ) {
        for (contacts, into) in [(added, &mut self.added), (removed, &mut self.removed)] {
            for contact in contacts {
                match contact {
                    Ok(forms) => into.push(forms),
                    Err(why) if self.refused.len() < REFUSALS_LISTED => {
                        // Far fewer contacts are taken than 2^32.
                        self.refused.push((u32::try_from(self.seen).unwrap_or(u32::MAX), why));
                    }
                    Err(_) => {}
                }
                self.seen += 1;
            }
        }
    }

    /// How many contacts were accepted.
    pub fn accepted(&self) -> usize {
        self.added.len() + self.removed.len()
    }

    /// The entries that match after this: those `kept` from before that are not removed now, and
    /// those added by which somebody is found. Every form is tried, found or not.
    pub fn matching(
        &self,
        kept: impl Iterator<Item = MatchKey>,
        is_found: impl Fn(&MatchKey) -> bool,
    ) -> Vec<MatchKey> {
        let removed: HashSet<&MatchKey> = self.removed.iter().flatten().collect();
        let mut matching: HashSet<MatchKey> = kept.filter(|key| !removed.contains(key)).collect();
        for forms in &self.added {
            let found = forms.iter().fold(None, |first, key| {
                let hit = is_found(key).then_some(key);
                first.or(hit)
            });
            matching.extend(found);
        }
        matching.into_iter().collect()
    }
}

/// The bytes to store: the matching keys within `entries` entries of random padding.
pub fn padded(matching: &[MatchKey], entries: usize, mut fill: impl FnMut(&mut [u8])) -> Vec<u8> {
    let mut bytes = vec![0; entries.max(matching.len()) * ENTRY_BYTES];
    fill(&mut bytes);
    for (entry, key) in bytes.chunks_exact_mut(ENTRY_BYTES).zip(matching) {
        entry.copy_from_slice(key.as_bytes());
    }
    bytes
}

/// The entries of stored bytes, padding among them.
pub fn entries(bytes: &[u8]) -> Vec<MatchKey> {
    let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
    entries.iter().map(|entry| MatchKey::from_bytes(*entry)).collect()
}

/// Overwrites the entries that are `gone` with padding; says whether there were any.
pub fn overwrite(
    bytes: &mut [u8],
    gone: impl Fn(&MatchKey) -> bool,
    mut fill: impl FnMut(&mut [u8]),
) -> bool {
    let (entries, _) = bytes.as_chunks_mut::<ENTRY_BYTES>();
    let mut any = false;
    for entry in entries {
        if gone(&MatchKey::from_bytes(*entry)) {
            fill(entry);
            any = true;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use identifiers::Rejection;

    use super::*;

    fn key(n: u8) -> MatchKey {
        MatchKey::from_bytes([n; 16])
    }

    fn sorted(mut keys: Vec<MatchKey>) -> Vec<MatchKey> {
        keys.sort_unstable();
        keys
    }

    #[test]
    fn the_stored_size_says_nothing_of_who_was_found() {
        let received =
            Received { added: (0..5).map(|n| vec![key(n)]).collect(), ..Received::default() };
        let sizes = [0, 2, 5].map(|found| {
            let matching = received.matching(std::iter::empty(), |k| k.as_bytes()[0] < found);
            assert_eq!(matching.len(), usize::from(found));
            padded(&matching, received.added.len(), |bytes| bytes.fill(0xff)).len()
        });
        assert_eq!(sizes, [5 * ENTRY_BYTES; 3]);
    }

    #[test]
    fn stored_bytes_lead_back_to_the_keys_and_padding() {
        let bytes = padded(&[key(1)], 2, |bytes| bytes.fill(0xff));
        assert_eq!(entries(&bytes), [key(1), key(0xff)]);
    }

    #[test]
    fn who_is_gone_is_overwritten_and_the_others_stay() {
        let mut bytes = padded(&[key(1), key(2)], 3, |bytes| bytes.fill(0xff));
        let before = bytes.clone();
        assert!(!overwrite(&mut bytes, |k| *k == key(3), |entry| entry.fill(0xee)));
        assert_eq!(bytes, before);
        assert!(overwrite(&mut bytes, |k| *k == key(1), |entry| entry.fill(0xee)));
        assert_eq!(entries(&bytes), [key(0xee), key(2), key(0xff)]);
    }

    #[test]
    fn a_contact_is_removed_in_whichever_form_it_was_stored() {
        let received = Received {
            added: vec![vec![key(7), key(8)]],
            removed: vec![vec![key(1), key(2)]],
            ..Received::default()
        };
        let after = received.matching([key(2), key(3)].into_iter(), |k| *k == key(8));
        assert_eq!(sorted(after), [key(3), key(8)]);
    }

    #[test]
    fn refusals_are_counted_over_the_stream_and_cut_at_a_hundred() {
        let mut received = Received::default();
        let why = Refusal::Value(Rejection::Empty);
        received.take(vec![Ok(vec![key(1)]), Err(why)], vec![Err(why)]);
        received.take(vec![Err(why); 200], vec![]);
        let places: Vec<u32> = received.refused.iter().map(|(place, _)| *place).collect();
        assert_eq!(places[..3], [1, 2, 3]);
        assert_eq!((places.len(), received.accepted(), received.seen), (REFUSALS_LISTED, 1, 203));
    }
}
