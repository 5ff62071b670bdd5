//! Checking a receipt, without asking anybody: all that is needed are the keys.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::{PublicKey, Receipt, Record, facts::Facts, read, record::SCHEMA_VERSION, written};
use crate::{
    domain::{Event, PolicyNumber},
    store::{chain_digest, content_digest, decode_event},
};

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Which check: `file`, `key`, `signature`, `record`, `canonical`, `key-validity`, `digest`,
    /// `content`, `chain`.
    pub check: &'static str,
    /// What is wrong, in a sentence.
    pub why: String,
}

impl Failure {
    /// That this check failed, and why.
    pub fn new(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, why: why.into() }
    }
}

/// What the checks found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What the receipt says, as far as it can be read. True only if nothing failed.
    pub record: Option<Record>,
    /// All that failed; empty: the receipt is genuine.
    pub failures: Vec<Failure>,
}

impl Receipt {
    /// Makes every check that can be made of one receipt, whichever of them fail.
    pub fn verify(&self, keys: &[PublicKey]) -> Verified {
        let mut failures = Vec::new();
        let key = keys.iter().find(|key| key.id() == self.key_id);
        match (key, <&[u8; 64]>::try_from(self.signature.as_slice())) {
            (None, _) => failures.push(Failure::new(
                "key",
                format!("none of the keys is the one that is said to have signed, {}", self.key_id),
            )),
            (Some(key), Ok(signature)) if key.verifies(&self.record, signature) => {}
            (Some(_), _) => failures.push(Failure::new(
                "signature",
                "the signature is not that key's over this record: the record was changed after \
                 it was signed, or somebody else signed it",
            )),
        }
        let record: Record = match serde_json::from_slice(&self.record) {
            Ok(record) => record,
            Err(error) => {
                let why = format!("the record is not one that this program knows: {error}");
                failures.push(Failure::new("record", why));
                return Verified { record: None, failures };
            }
        };
        if record.schema_version != SCHEMA_VERSION {
            let why = format!("the record is of another structure: {}", record.schema_version);
            failures.push(Failure::new("record", why));
        }
        if serde_json_canonicalizer::to_vec(&record).ok().as_ref() != Some(&self.record) {
            let why = "the record is not in canonical form (RFC 8785)";
            failures.push(Failure::new("canonical", why));
        }
        if let Some(key) = key {
            key_validity(key, &record, &mut failures);
        }
        digests(&record, &mut failures);
        Verified { record: Some(record), failures }
    }
}

/// A key signs from an instant on: nothing that it signed says to be older.
fn key_validity(key: &PublicKey, record: &Record, failures: &mut Vec<Failure>) {
    match read(&record.issued_at) {
        None => failures.push(Failure::new("key-validity", "issued_at is not an instant")),
        Some(at) if at < key.not_before() => {
            let (at, since) = (&record.issued_at, written(key.not_before()));
            let why = format!("it was issued at {at}, but that key signs only since {since}");
            failures.push(Failure::new("key-validity", why));
        }
        Some(_) => {}
    }
}

/// The digests follow from the content, and the content says what the record says.
fn digests(record: &Record, failures: &mut Vec<Failure>) {
    let mut fail = |check, why: &str| failures.push(Failure::new(check, why));
    let integrity = &record.integrity;
    let parts = (
        array::<32>(&integrity.previous_digest),
        array::<32>(&integrity.digest),
        array::<32>(&integrity.content_digest),
        array::<16>(&integrity.salt),
        BASE64_STANDARD.decode(&integrity.content).ok(),
    );
    let (Some(previous), Some(digest), Some(content_digest_given), Some(salt), Some(content)) =
        parts
    else {
        return fail("digest", "a digest, the salt or the content is not written as it should be");
    };
    let revision = integrity.revision;
    if content_digest(&salt, &record.pii_principal_id, &content) != content_digest_given {
        fail("digest", "the content digest is not that of this content, person and salt");
    }
    if chain_digest(&previous, revision, &content_digest_given) != digest {
        fail("digest", "the event's digest does not follow from the digests before it");
    }
    if (revision == 1) != (previous == [0; 32]) || revision == 0 {
        fail("digest", "only the first event of a person has none before it");
    }
    if Event::id_of(revision, &digest) != record.record_id {
        fail("digest", "record_id does not name the event with this digest");
    }
    match decode_event(revision, &content, &digest) {
        Ok(event) => contents(record, &event, &mut fail),
        Err(_) => fail("content", "the content is not an event"),
    }
}

/// Everything that the event says by itself is in the record as the event says it.
fn contents(record: &Record, event: &Event, fail: &mut impl FnMut(&'static str, &str)) {
    let Some(facts) = Facts::of(&event.content) else {
        return fail("content", "the content is that of an event that was erased");
    };
    let mut same = |same: bool, what: &str| {
        if !same {
            fail("content", &format!("{what} not as the event that was hashed has it"));
        }
    };
    let processing = &record.pii_processing;
    let by = facts.by.party_id(&record.pii_principal_id);
    let (occurred_at, recorded_at) = (written(event.occurred_at), written(event.recorded_at));
    same(record.integrity.recorded_at == recorded_at, "recorded_at is");
    same(record.details == facts.details, "the details are");
    same(record.events.iter().all(|one| one.event_time == occurred_at), "event_time is");
    same(record.events.iter().all(|one| one.event_type == facts.kind), "event_type is");
    same(record.events.iter().all(|one| one.entity_id == by), "entity_id is");
    let notice = processing.privacy_notice.as_ref();
    let shown = notice.map(|notice| (PolicyNumber(notice.policy.number), notice.place));
    same(shown == facts.notice, "the notice is");
    if facts.language.is_some() {
        same(processing.language.as_deref() == facts.language, "the language is");
    }
    let purposes = &processing.purposes;
    if facts.choices.is_empty() {
        let states: Vec<_> = record.events.iter().map(|one| one.event_state.as_deref()).collect();
        same(states == [facts.state], "event_state is");
        let asked = facts.notice.map(|(policy, _)| policy.0);
        let named = purposes.iter().all(|purpose| Some(purpose.policy.number) == asked);
        same(named, "the purposes' policy is");
        return;
    }
    let chosen = purposes.iter().zip(&record.events).map(|(purpose, one)| {
        let named = one.purpose.as_ref() == Some(&purpose.purpose);
        let state = one.event_state.as_deref().filter(|_| named);
        (PolicyNumber(purpose.policy.number), purpose.place, state)
    });
    let choices =
        facts.choices.iter().map(|(policy, place, state)| (*policy, *place, Some(*state)));
    let whole = purposes.len() == facts.choices.len() && record.events.len() == purposes.len();
    same(whole && chosen.eq(choices), "what was chosen is");
}

/// Hexadecimal digits as they are written: small, and exactly so many.
fn array<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let bytes: [u8; N] = hex::decode(digits).ok()?.try_into().ok()?;
    (hex::encode(bytes) == digits).then_some(bytes)
}
