//! A person's contacts as they are kept: match keys of people who are here, and as much padding as
//! there are contacts who are not.
//!
//! What is stored has the same size, and takes the same work, whoever was found: a sync of n
//! different contacts leaves n entries. Padding is random and never matches.

use std::collections::HashSet;

use identifiers::MatchKey;

use super::{
    identifiers::Refusal,
    uploaded::{Mark, Marker},
};

/// The most refusals that an answer lists.
pub const REFUSALS_LISTED: usize = 100;

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 16;

/// The keys of one contact: it is the same person in every form.
pub type Forms = Vec<MatchKey>;

/// A contact that is there, or new.
#[derive(Debug)]
pub struct Contact {
    /// Its keys.
    pub forms: Forms,
    /// The account's fingerprints of them.
    pub marks: Vec<Mark>,
}

impl Contact {
    /// A contact of the account that the marker is of.
    pub fn new(forms: Forms, marker: &Marker) -> Self {
        let marks = forms.iter().map(|form| marker.mark(form)).collect();
        Self { forms, marks }
    }
}

/// What a sync has brought so far: each contact once, however often it was sent.
#[derive(Debug, Default)]
pub struct Received {
    /// Contacts that are there, or new.
    pub added: Vec<Contact>,
    /// The first that were refused, by position in the whole stream.
    pub refused: Vec<(u32, Refusal)>,
    /// How many were looked at.
    pub seen: usize,
    added_keys: HashSet<MatchKey>,
    removed: usize,
    removed_keys: HashSet<MatchKey>,
}

impl Received {
    /// Takes in the contacts of one message, those added before those removed.
    pub fn take(
        &mut self,
        added: Vec<Result<Contact, Refusal>>,
        removed: Vec<Result<Forms, Refusal>>,
    ) {
        for contact in added {
            if let Some(contact) = self.accept(contact)
                && is_new(&mut self.added_keys, &contact.forms)
            {
                self.added.push(contact);
            }
        }
        for forms in removed {
            if let Some(forms) = self.accept(forms)
                && is_new(&mut self.removed_keys, &forms)
            {
                self.removed += 1;
            }
        }
    }

    fn accept<T>(&mut self, contact: Result<T, Refusal>) -> Option<T> {
        let place = self.seen;
        self.seen += 1;
        let refusal = match contact {
            Ok(contact) => return Some(contact),
            Err(refusal) => refusal,
        };
        if self.refused.len() < REFUSALS_LISTED {
            // Far fewer contacts are taken than 2^32.
            self.refused.push((u32::try_from(place).unwrap_or(u32::MAX), refusal));
        }
        None
    }

    /// How many contacts were accepted.
    pub fn accepted(&self) -> usize {
        self.added.len() + self.removed
    }

    /// The entries to store after this: those of `before` that are contacts still and not removed
    /// now, and those added by which somebody is found, all others padding.
    ///
    /// Every entry and every form is tried, found or not, and written to a place of its own.
    pub fn settle(
        &self,
        before: &[MatchKey],
        is_contact: impl Fn(&MatchKey) -> bool,
        look_up: impl Fn(&MatchKey) -> LookUp,
        fill: impl Fn(&mut [u8]),
    ) -> Settled {
        let mut bytes = vec![0; (before.len() + self.added.len()) * ENTRY_BYTES];
        fill(&mut bytes);
        let mut padding = vec![0; self.added.len() * ENTRY_BYTES];
        fill(&mut padding);
        let (entries, _) = bytes.as_chunks_mut::<ENTRY_BYTES>();
        let (kept, added) = entries.split_at_mut(before.len());
        for (entry, key) in kept.iter_mut().zip(before) {
            let stays = is_contact(key) & !self.removed_keys.contains(key);
            *entry = if stays { *key.as_bytes() } else { *entry };
        }
        let mut results = Vec::with_capacity(self.added.len());
        for (entry, contact) in added.iter_mut().zip(&self.added) {
            let mut all = LookUp::default();
            // The first that is found is the last that is written.
            for key in contact.forms.iter().rev() {
                let one = look_up(key);
                *entry = if one.found { *key.as_bytes() } else { *entry };
                all.found |= one.found;
                all.closed |= one.closed;
            }
            results.push(all);
        }
        Settled { entries: bytes, padding, results }
    }
}

/// Whether a contact has a form that did not come before.
fn is_new(seen: &mut HashSet<MatchKey>, forms: &[MatchKey]) -> bool {
    forms.iter().fold(false, |new, form| new | seen.insert(*form))
}

/// What looking for a key gives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookUp {
    /// Somebody is found.
    pub found: bool,
    /// Nobody new is to be found in the key's range now.
    pub closed: bool,
}

/// What may become of the contacts of a sync.
pub struct Settled {
    entries: Vec<u8>,
    padding: Vec<u8>,
    /// What looking for each of the contacts added gave, in their order.
    pub results: Vec<LookUp>,
}

impl Settled {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of one of the contacts added.
    pub fn entry(&self, index: usize) -> Option<MatchKey> {
        let (entries, _) = self.entries.as_chunks::<ENTRY_BYTES>();
        let added = entries.get(entries.len().checked_sub(self.results.len())?..)?;
        added.get(index).map(|entry| MatchKey::from_bytes(*entry))
    }

    /// The entries to store, when these of the contacts added are admitted: of the others, padding.
    pub fn entries(&self, admitted: &[bool]) -> Vec<u8> {
        let mut bytes = self.entries.clone();
        let before = self.len().saturating_sub(self.results.len());
        let (entries, _) = bytes.as_chunks_mut::<ENTRY_BYTES>();
        let (padding, _) = self.padding.as_chunks::<ENTRY_BYTES>();
        for ((entry, padding), admitted) in
            entries.iter_mut().skip(before).zip(padding).zip(admitted)
        {
            *entry = if *admitted { *entry } else { *padding };
        }
        bytes
    }
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

    fn contact(numbers: &[u8]) -> Contact {
        Contact::new(forms(numbers), &Marker::new([0; 32]))
    }

    fn forms(numbers: &[u8]) -> Forms {
        numbers.iter().copied().map(key).collect()
    }

    fn received(added: &[&[u8]], removed: &[&[u8]]) -> Received {
        let mut received = Received::default();
        let added = added.iter().map(|numbers| Ok(contact(numbers))).collect();
        received.take(added, removed.iter().map(|numbers| Ok(forms(numbers))).collect());
        received
    }

    fn settle(received: &Received, before: &[u8], found: &[u8]) -> Settled {
        let before: Vec<_> = before.iter().copied().map(key).collect();
        let is_found = |one: &MatchKey| found.contains(&one.as_bytes()[0]);
        let look_up = |one: &MatchKey| LookUp { found: is_found(one), closed: false };
        received.settle(&before, is_found, look_up, |bytes| bytes.fill(0xff))
    }

    fn stored(settled: &Settled) -> Vec<u8> {
        let all = settled.entries(&vec![true; settled.results.len()]);
        entries(&all).iter().map(|entry| entry.as_bytes()[0]).collect()
    }

    #[test]
    fn the_stored_size_says_nothing_of_who_was_found() {
        let received = received(&[&[0], &[1], &[2], &[3], &[4]], &[]);
        let settled = [&[][..], &[1, 3], &[0, 1, 2, 3, 4]].map(|hits| settle(&received, &[], hits));
        let sizes = settled.each_ref().map(|one| (one.entries.len(), one.entries.capacity()));
        assert_eq!(sizes, [(5 * ENTRY_BYTES, 5 * ENTRY_BYTES); 3]);
        assert_eq!(stored(&settled[1]), [0xff, 1, 0xff, 3, 0xff]);
        let found: Vec<_> = settled[1].results.iter().map(|result| result.found).collect();
        assert_eq!(found, [false, true, false, true, false]);
    }

    #[test]
    fn a_contact_is_stored_in_the_first_of_its_forms_that_is_found() {
        let received = received(&[&[1, 2, 3]], &[]);
        for (found, expected) in [(&[2, 3][..], 2), (&[3], 3), (&[1, 3], 1), (&[], 0xff)] {
            let settled = settle(&received, &[], found);
            assert_eq!(stored(&settled), [expected]);
            assert_eq!(settled.entry(0), Some(key(expected)));
        }
    }

    #[test]
    fn who_is_gone_is_overwritten_and_the_others_stay() {
        let mut bytes = [[1; ENTRY_BYTES], [2; ENTRY_BYTES], [0xff; ENTRY_BYTES]].concat();
        let before = bytes.clone();
        assert!(!overwrite(&mut bytes, |k| *k == key(3), |entry| entry.fill(0xee)));
        assert_eq!(bytes, before);
        assert!(overwrite(&mut bytes, |k| *k == key(1), |entry| entry.fill(0xee)));
        assert_eq!(entries(&bytes), [key(0xee), key(2), key(0xff)]);
    }

    #[test]
    fn a_contact_is_removed_in_whichever_form_it_was_stored() {
        let received = received(&[&[7, 8]], &[&[1, 2]]);
        let settled = settle(&received, &[2, 3, 9], &[2, 3, 8]);
        // 9 is nobody any more.
        assert_eq!(stored(&settled), [0xff, 3, 0xff, 8]);
        assert_eq!((settled.entry(0), settled.entry(1)), (Some(key(8)), None));
    }

    #[test]
    fn who_is_not_admitted_is_padding() {
        let settled = settle(&received(&[&[1], &[2], &[3]], &[]), &[4], &[1, 2, 4]);
        let bytes = entries(&settled.entries(&[true, false, false]));
        assert_eq!(bytes, [key(4), key(1), key(0xff), key(0xff)]);
    }

    #[test]
    fn a_contact_counts_once_however_often_it_is_sent() {
        let mut received = received(&[&[1, 2], &[1, 2], &[2]], &[&[5], &[5]]);
        received.take(vec![Ok(contact(&[1])), Ok(contact(&[2, 3]))], vec![Ok(forms(&[1]))]);
        // The last has a form that was not there before; to be removed is another thing.
        assert_eq!((received.added.len(), received.accepted(), received.seen), (2, 4, 8));
    }

    #[test]
    fn refusals_are_counted_over_the_stream_and_cut_at_a_hundred() {
        let mut received = Received::default();
        let why = Refusal::Value(Rejection::Empty);
        received.take(vec![Ok(contact(&[1])), Err(why)], vec![Err(why)]);
        received.take((0..200).map(|_| Err(why)).collect(), vec![]);
        let places: Vec<u32> = received.refused.iter().map(|(place, _)| *place).collect();
        assert_eq!(places[..3], [1, 2, 3]);
        assert_eq!((places.len(), received.accepted(), received.seen), (REFUSALS_LISTED, 1, 203));
    }
}
