//! Suggestion ids: what was suggested to whom, when and why, sealed. Nothing is stored of them.
//!
//! An id is sealed with a synthetic initialisation vector (SIV: Rogaway and Shrimpton, "A
//! provable-security treatment of the key-wrap problem", EUROCRYPT 2006), with HMAC-SHA256 as the
//! pseudorandom function of both halves, under keys of its own that are derived from the service's
//! secret:
//!
//! ```text
//! iv = HMAC(k1, content)[..16]      id = base64url(iv | content xor HMAC(k2, iv | 0) | HMAC(k2, iv | 1) …)
//! ```
//!
//! No randomness goes in, so that a person who is suggested to the same viewer for the same reason
//! on the same day has the same id, in every answer and on every replica: two answers that say the
//! same are the same bytes. Content is padded to one length, so all ids have one too.
//!
//! The purposes under which people's data was used are part of the keys' derivation: with other
//! ones configured an id is unknown, so that nothing is explained by purposes it did not have.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    config::PurposeConfig,
    domain::{Subject, listing::Reason},
};

/// The longest subject id of the contract.
const SUBJECT: usize = 128;
const IV: usize = 16;
/// Whose it is, why, when, and who: the length before the id.
const CONTENT: usize = 16 + 1 + 4 + 1 + SUBJECT;
const BLOCK: usize = 32;
/// For how long an id is good, in days: nobody's consent can be watched with it for longer.
const DAYS: u32 = 30;

/// What was suggested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggested {
    /// Who.
    pub(crate) subject: Subject,
    /// Why.
    pub(crate) reason: Reason,
    /// When, in days since 1970 in UTC.
    pub(crate) day: u32,
}

/// Why an id is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotYours {
    /// Nobody was given it, or too long ago.
    Unknown,
    /// Somebody else was.
    Another,
}

/// Makes ids and opens them.
#[derive(Clone)]
pub(crate) struct SuggestionIds {
    iv: Hmac<Sha256>,
    stream: Hmac<Sha256>,
    viewer: Hmac<Sha256>,
}

impl SuggestionIds {
    /// Under the service's secret, for what is suggested under these purposes.
    pub(crate) fn new(secret: &[u8], purposes: &PurposeConfig) -> Self {
        let key = |part: u8| {
            let mut key = keyed(secret);
            // Longer than the 33 bytes that match keys are made from: never one of them.
            key.update(b"assent suggest-svc: what a suggestion was, v1;");
            key.update(&[part]);
            for purpose in [&purposes.transfer, &purposes.friend_suggestions] {
                key.update(&(purpose.len() as u64).to_be_bytes());
                key.update(purpose.as_bytes());
            }
            keyed(&key.finalize().into_bytes())
        };
        Self { iv: key(1), stream: key(2), viewer: key(3) }
    }

    /// The id of what was suggested to a viewer. A subject longer than the contract allows has
    /// none.
    pub(crate) fn seal(&self, viewer: &Subject, suggested: &Suggested) -> String {
        let subject = suggested.subject.as_str().as_bytes();
        let Ok(length) = u8::try_from(subject.len()) else { return String::new() };
        let mut content = [0; CONTENT];
        content[..16].copy_from_slice(&self.mark(viewer));
        content[16] = code(suggested.reason);
        content[17..21].copy_from_slice(&suggested.day.to_be_bytes());
        content[21] = length;
        let Some(place) = content[22..].get_mut(..subject.len()) else { return String::new() };
        place.copy_from_slice(subject);
        let iv = self.vector(&content);
        self.mask(&iv, &mut content);
        BASE64_URL_SAFE_NO_PAD.encode([iv.as_slice(), content.as_slice()].concat())
    }

    /// What an id says that was given to this viewer, lately as of `today`.
    pub(crate) fn open(
        &self,
        viewer: &Subject,
        id: &str,
        today: u32,
    ) -> Result<Suggested, NotYours> {
        let content = self.genuine(id).ok_or(NotYours::Unknown)?;
        if content[..16] != self.mark(viewer) {
            return Err(NotYours::Another);
        }
        let suggested = parse(&content).ok_or(NotYours::Unknown)?;
        // A replica whose clock is ahead may already be in tomorrow.
        let fresh = today.saturating_sub(DAYS) <= suggested.day;
        if fresh { Ok(suggested) } else { Err(NotYours::Unknown) }
    }

    /// The content of an id that was made here.
    fn genuine(&self, id: &str) -> Option<[u8; CONTENT]> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(id).ok()?;
        let (iv, content) = sealed.split_first_chunk::<IV>()?;
        let mut content: [u8; CONTENT] = content.try_into().ok()?;
        self.mask(iv, &mut content);
        let mut mac = self.iv.clone();
        mac.update(&content);
        // In constant time.
        mac.verify_truncated_left(iv).ok()?;
        Some(content)
    }

    fn vector(&self, content: &[u8]) -> [u8; IV] {
        let mut mac = self.iv.clone();
        mac.update(content);
        first(&mac)
    }

    /// Whose it is: of fixed length, and nothing to whoever has not the secret.
    fn mark(&self, viewer: &Subject) -> [u8; 16] {
        let mut mac = self.viewer.clone();
        mac.update(viewer.as_str().as_bytes());
        first(&mac)
    }

    fn mask(&self, iv: &[u8; IV], content: &mut [u8; CONTENT]) {
        for (counter, block) in (0u8..).zip(content.chunks_mut(BLOCK)) {
            let mut mac = self.stream.clone();
            mac.update(iv);
            mac.update(&[counter]);
            let mask = mac.finalize().into_bytes();
            block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
    }
}

impl fmt::Debug for SuggestionIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SuggestionIds")
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // Unwrap safety: HMAC takes keys of every length.
    #[allow(clippy::unwrap_used)]
    Hmac::new_from_slice(key).unwrap()
}

fn first(mac: &Hmac<Sha256>) -> [u8; 16] {
    let whole: [u8; 32] = mac.clone().finalize().into_bytes().into();
    let mut first = [0; 16];
    first.copy_from_slice(&whole[..16]);
    first
}

fn parse(content: &[u8; CONTENT]) -> Option<Suggested> {
    let day = u32::from_be_bytes(content[17..21].try_into().ok()?);
    let subject = content[22..].get(..usize::from(content[21]))?;
    let subject = std::str::from_utf8(subject).ok()?.into();
    Some(Suggested { subject, reason: reason(content[16])?, day })
}

/// As in the contract, and never another.
fn code(reason: Reason) -> u8 {
    match reason {
        Reason::MutualConnections => 1,
        Reason::ReciprocalContact => 2,
        Reason::InYourContacts => 3,
        Reason::PopularNearYou => 4,
        Reason::WiderCircle => 5,
    }
}

fn reason(code: u8) -> Option<Reason> {
    let all = [
        Reason::MutualConnections,
        Reason::ReciprocalContact,
        Reason::InYourContacts,
        Reason::PopularNearYou,
        Reason::WiderCircle,
    ];
    all.into_iter().find(|reason| self::code(*reason) == code)
}

/// As an id, and as the content of one: for the fuzz targets.
///
/// # Panics
/// When an id is accepted that was not given.
#[cfg(any(test, fuzzing))]
pub fn fuzz(data: &[u8]) {
    let ids = SuggestionIds::new(b"secret", &PurposeConfig::default());
    let viewer = Subject::from("ann");
    if let Ok(text) = std::str::from_utf8(data) {
        // Under a secret that makes none here: a fuzzer sees what is compared, and would send it back.
        let unused = SuggestionIds::new(b"never used", &PurposeConfig::default());
        assert_eq!(unused.open(&viewer, text, 100), Err(NotYours::Unknown), "nobody was given it");
        let what = Suggested { subject: text.into(), reason: Reason::WiderCircle, day: 100 };
        let id = ids.seal(&viewer, &what);
        let fits = text.len() <= SUBJECT;
        assert_eq!(
            ids.open(&viewer, &id, 100),
            if fits { Ok(what) } else { Err(NotYours::Unknown) }
        );
    }
    let mut content = [0; CONTENT];
    let bytes = data.len().min(CONTENT);
    content[..bytes].copy_from_slice(&data[..bytes]);
    let iv = ids.vector(&content);
    let mut sealed = content;
    ids.mask(&iv, &mut sealed);
    let id = BASE64_URL_SAFE_NO_PAD.encode([iv.as_slice(), sealed.as_slice()].concat());
    assert_eq!(ids.genuine(&id), Some(content));
    let _ = (ids.open(&viewer, &id, 0), parse(&content));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ids(secret: &str, purpose: &str) -> SuggestionIds {
        let friend_suggestions = purpose.to_owned();
        let purposes = PurposeConfig { friend_suggestions, ..PurposeConfig::default() };
        SuggestionIds::new(secret.as_bytes(), &purposes)
    }

    fn suggested(subject: &str, reason: Reason, day: u32) -> Suggested {
        Suggested { subject: subject.into(), reason, day }
    }

    #[test]
    fn an_id_says_to_its_viewer_what_was_suggested_and_to_another_nothing() {
        let (ids, ann) = (ids("secret", "use"), &Subject::from("ann"));
        let longest = "x".repeat(SUBJECT);
        for (number, subject) in (0..).zip(["b", "bob", &longest]) {
            for code in 1..=4 {
                let what = suggested(subject, reason(code).unwrap(), 100 + number);
                let id = ids.seal(ann, &what);
                assert_eq!(ids.open(ann, &id, 100).unwrap(), what);
                assert_eq!(ids.open(&"bob".into(), &id, 100), Err(NotYours::Another));
                // One length, below the 512 characters of the contract, and always the same id.
                assert_eq!((id.len(), &ids.seal(ann, &what)), (222, &id));
                assert_ne!(ids.seal(ann, &Suggested { day: 99, ..what.clone() }), id);
                assert_ne!(ids.seal(&"bob".into(), &what), id);
            }
        }
    }

    #[test]
    fn what_was_made_otherwise_or_changed_anywhere_is_unknown() {
        let (ids, ann) = (ids("secret", "use"), &Subject::from("ann"));
        let what = suggested("bob", Reason::InYourContacts, 100);
        let id = ids.seal(ann, &what);
        for (secret, purpose) in [("another", "use"), ("secret", "another")] {
            let other = self::ids(secret, purpose);
            assert_eq!(other.open(ann, &id, 100), Err(NotYours::Unknown));
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&id).unwrap();
        for place in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[place] ^= 1;
            let forged = BASE64_URL_SAFE_NO_PAD.encode(forged);
            assert_eq!(ids.open(ann, &forged, 100), Err(NotYours::Unknown), "{place}");
        }
        for length in 0..id.len() {
            assert_eq!(ids.open(ann, &id[..length], 100), Err(NotYours::Unknown));
        }
        let longer = format!("{id}AAAA");
        for odd in [longer.as_str(), "ann", "!", "\u{e4}", &"A".repeat(100_000)] {
            assert_eq!(ids.open(ann, odd, 100), Err(NotYours::Unknown));
        }
    }

    #[test]
    fn an_id_is_good_for_its_days() {
        let (ids, ann) = (ids("secret", "use"), &Subject::from("ann"));
        let what = suggested("bob", Reason::InYourContacts, 100);
        let id = ids.seal(ann, &what);
        assert_eq!(ids.open(ann, &id, 99).unwrap(), what);
        assert_eq!(ids.open(ann, &id, 100 + DAYS).unwrap(), what);
        assert_eq!(ids.open(ann, &id, 101 + DAYS), Err(NotYours::Unknown));
    }

    #[test]
    fn nothing_of_the_content_shows() {
        let (ids, ann) = (ids("secret", "use"), &Subject::from("ann"));
        let id = |subject, day| {
            let what = suggested(subject, Reason::InYourContacts, day);
            BASE64_URL_SAFE_NO_PAD.decode(ids.seal(ann, &what)).unwrap()
        };
        // The same but for one bit of the day: the ids have no more in common than any two.
        let (one, other) = (id("bob", 100), id("bob", 101));
        let alike = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(alike < 8, "{alike} of {}", one.len());
    }
}
