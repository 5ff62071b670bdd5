//! Generated people, and lists of them.

use identifiers::{Digest, Kind, MatchKey, MatchKeySecret, Profile, Rejection, registered_digests};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Result, consent::stage::id};

/// The secret of the audience-svc that is measured.
pub(super) const SECRET: &str = "a secret for measurements, 32 bytes at least";

/// Someone's phone number.
pub(super) fn phone(person: usize) -> String {
    format!("+49151{person:08}")
}

/// Nobody's.
fn nobodys_phone(number: u32) -> String {
    format!("+49160{:08}", number % 100_000_000)
}

/// Someone's address.
pub(super) fn email(person: usize) -> String {
    format!("person.{person}@example.com")
}

/// People with the keys that a phone number and an address give them.
pub(super) fn all(count: usize) -> Result<impl Iterator<Item = (String, Vec<MatchKey>)>> {
    let secret = MatchKeySecret::new(1, SECRET.as_bytes())?;
    Ok((0..count).map(move |person| {
        let keys = |kind, raw: &str| -> std::result::Result<Vec<MatchKey>, Rejection> {
            let digests = registered_digests(kind, raw, None)?;
            Ok(digests.iter().map(|digest| secret.match_key(kind, digest)).collect())
        };
        let both = [(Kind::Phone, phone(person)), (Kind::Email, email(person))];
        // All of them are valid.
        let keys = both.iter().filter_map(|(kind, raw)| keys(*kind, raw).ok());
        let mut keys: Vec<MatchKey> = keys.flatten().collect();
        keys.sort_unstable();
        keys.dedup();
        (id(person), keys)
    }))
}

/// The phone numbers of a list: this share of the rows are people's.
pub(crate) fn list(people: usize, rows: usize, match_rate: f64, seed: u64) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let row = |_| {
        if rng.random_bool(match_rate) {
            phone(rng.random_range(0..people))
        } else {
            nobodys_phone(rng.random())
        }
    };
    (0..rows).map(row).collect()
}

/// As businesses hash it.
pub(super) fn hashed(phone: &str) -> Result<Digest> {
    Ok(identifiers::digest(Kind::Phone, Profile::Meta, phone, None)?)
}
