//! Events as the bytes of their rows, and the chain of their digests.

use prost::Message;
use service_kit::store::StoreError;
use sha2::{Digest, Sha256};

use super::{
    state::{decode_age_band, encode_age_band},
    unreadable,
};
use crate::domain::{
    Attributes, Decider, Event, EventContent, Evidence, Jurisdiction, Moment, PolicyNumber,
};

/// The kinds as they stand in rows. Never renumbered.
mod kind {
    pub(super) const SUBJECT_PUT: u32 = 1;
    pub(super) const NOTICE_SERVED: u32 = 2;
    pub(super) const DECISION_RECORDED: u32 = 3;
    pub(super) const WITHDRAWN: u32 = 4;
    pub(super) const OBJECTION_SIGNAL_SET: u32 = 5;
    pub(super) const LINKED: u32 = 6;
    pub(super) const UNLINKED: u32 = 7;
    pub(super) const GUARDIAN_SET: u32 = 8;
    pub(super) const WARDS_SET: u32 = 9;
    pub(super) const ERASED: u32 = 10;
    pub(super) const ERASED_CONTENT: u32 = 11;
}

#[derive(Clone, PartialEq, Message)]
struct EventRow {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(sint64, tag = "2")]
    recorded_at: i64,
    /// How long before that it happened.
    #[prost(sint64, tag = "3")]
    happened_before: i64,
    #[prost(string, tag = "4")]
    jurisdiction: String,
    #[prost(uint32, tag = "5")]
    age_band: u32,
    #[prost(sint64, tag = "6")]
    account_created_at: i64,
    #[prost(string, repeated, tag = "7")]
    apps: Vec<String>,
    #[prost(uint32, tag = "8")]
    policy: u32,
    #[prost(uint32, tag = "9")]
    notice: u32,
    #[prost(uint32, repeated, tag = "10")]
    granted: Vec<u32>,
    #[prost(uint32, repeated, tag = "11")]
    refused: Vec<u32>,
    #[prost(string, tag = "12")]
    method: String,
    #[prost(string, tag = "13")]
    locale: String,
    #[prost(string, tag = "14")]
    client: String,
    /// Pairs: a version and a place in it.
    #[prost(uint32, repeated, tag = "15")]
    withdrawn: Vec<u32>,
    #[prost(bool, tag = "16")]
    objects: bool,
    /// Who decided.
    #[prost(uint32, tag = "17")]
    by: u32,
    /// The guardian who decided, or who was set.
    #[prost(string, optional, tag = "18")]
    guardian: Option<String>,
    /// The others that are linked, or the wards.
    #[prost(string, repeated, tag = "19")]
    others: Vec<String>,
    /// Of an erased event: the digest of what it was.
    #[prost(bytes = "vec", tag = "20")]
    content_digest: Vec<u8>,
}

/// The bytes of an event.
pub(super) fn encode(content: &EventContent, occurred_at: Moment, recorded_at: Moment) -> Vec<u8> {
    let mut row = EventRow {
        recorded_at: recorded_at.millis(),
        happened_before: recorded_at.millis().saturating_sub(occurred_at.millis()),
        ..EventRow::default()
    };
    match content {
        EventContent::SubjectPut(attributes) => {
            row.kind = kind::SUBJECT_PUT;
            attributes.jurisdiction.code().clone_into(&mut row.jurisdiction);
            row.age_band = encode_age_band(attributes.age_band);
            row.account_created_at = attributes.account_created_at.millis();
            row.apps.clone_from(&attributes.apps);
        }
        EventContent::NoticeServed { policy, notice } => {
            row.kind = kind::NOTICE_SERVED;
            row.policy = policy.0;
            row.notice = u32::from(*notice);
        }
        EventContent::DecisionRecorded { policy, choices, by, guardian, evidence } => {
            row.kind = kind::DECISION_RECORDED;
            row.policy = policy.0;
            let chosen = |yes: bool| {
                let chosen = choices.iter().filter(move |(_, granted)| *granted == yes);
                chosen.map(|(index, _)| u32::from(*index)).collect()
            };
            row.granted = chosen(true);
            row.refused = chosen(false);
            row.method.clone_from(&evidence.method);
            row.locale.clone_from(&evidence.locale);
            row.client.clone_from(&evidence.client);
            row.notice = u32::from(evidence.notice);
            row.by = encode_decider(*by);
            row.guardian.clone_from(guardian);
        }
        EventContent::Withdrawn { purposes } => {
            row.kind = kind::WITHDRAWN;
            row.withdrawn =
                purposes.iter().flat_map(|(policy, index)| [policy.0, u32::from(*index)]).collect();
        }
        EventContent::ObjectionSignalSet { objects } => {
            row.kind = kind::OBJECTION_SIGNAL_SET;
            row.objects = *objects;
        }
        EventContent::Linked { with } => {
            row.kind = kind::LINKED;
            row.others.clone_from(with);
        }
        EventContent::Unlinked { with } => {
            row.kind = kind::UNLINKED;
            row.others.clone_from(with);
        }
        EventContent::GuardianSet { guardian } => {
            row.kind = kind::GUARDIAN_SET;
            row.guardian.clone_from(guardian);
        }
        EventContent::WardsSet { wards } => {
            row.kind = kind::WARDS_SET;
            row.others.clone_from(wards);
        }
        EventContent::Erased => row.kind = kind::ERASED,
        EventContent::ErasedContent { content_digest } => {
            row.kind = kind::ERASED_CONTENT;
            row.content_digest = content_digest.to_vec();
        }
    }
    row.encode_to_vec()
}

/// The event in these bytes.
pub(crate) fn decode(revision: u64, content: &[u8], digest: &[u8]) -> Result<Event, StoreError> {
    let row = EventRow::decode(content).map_err(|_| unreadable("event"))?;
    let place = |place: u32| u16::try_from(place).map_err(|_| unreadable("event"));
    let policy = PolicyNumber(row.policy);
    let recorded_at = Moment::from_millis(row.recorded_at);
    let occurred_at = Moment::from_millis(row.recorded_at.saturating_sub(row.happened_before));
    let content = match row.kind {
        kind::SUBJECT_PUT => EventContent::SubjectPut(Attributes {
            jurisdiction: Jurisdiction::new(row.jurisdiction),
            age_band: decode_age_band(row.age_band),
            account_created_at: Moment::from_millis(row.account_created_at),
            apps: row.apps,
        }),
        kind::NOTICE_SERVED => EventContent::NoticeServed { policy, notice: place(row.notice)? },
        kind::DECISION_RECORDED => {
            let chosen = [(true, row.granted), (false, row.refused)];
            let chosen = chosen.into_iter();
            let chosen =
                chosen.flat_map(|(yes, places)| places.into_iter().map(move |at| (at, yes)));
            let mut choices: Vec<(u16, bool)> =
                chosen.map(|(at, yes)| Ok((place(at)?, yes))).collect::<Result<_, StoreError>>()?;
            choices.sort_unstable();
            let evidence = Evidence {
                method: row.method,
                locale: row.locale,
                notice: place(row.notice)?,
                client: row.client,
            };
            let by = decode_decider(row.by)?;
            EventContent::DecisionRecorded { policy, choices, by, guardian: row.guardian, evidence }
        }
        kind::WITHDRAWN => {
            let pairs = row.withdrawn.chunks_exact(2);
            let purposes = pairs.map(|pair| Ok((PolicyNumber(pair[0]), place(pair[1])?)));
            EventContent::Withdrawn { purposes: purposes.collect::<Result<_, StoreError>>()? }
        }
        kind::OBJECTION_SIGNAL_SET => EventContent::ObjectionSignalSet { objects: row.objects },
        kind::LINKED => EventContent::Linked { with: row.others },
        kind::UNLINKED => EventContent::Unlinked { with: row.others },
        kind::GUARDIAN_SET => EventContent::GuardianSet { guardian: row.guardian },
        kind::WARDS_SET => EventContent::WardsSet { wards: row.others },
        kind::ERASED => EventContent::Erased,
        kind::ERASED_CONTENT => {
            let content_digest = row.content_digest.try_into().map_err(|_| unreadable("event"))?;
            EventContent::ErasedContent { content_digest }
        }
        _ => return Err(unreadable("event")),
    };
    let digest = digest.try_into().map_err(|_| unreadable("event"))?;
    Ok(Event { revision, occurred_at, recorded_at, content, digest })
}

fn encode_decider(by: Decider) -> u32 {
    match by {
        Decider::Adult => 0,
        Decider::Child => 1,
        Decider::Guardian => 2,
    }
}

fn decode_decider(number: u32) -> Result<Decider, StoreError> {
    match number {
        0 => Ok(Decider::Adult),
        1 => Ok(Decider::Child),
        2 => Ok(Decider::Guardian),
        _ => Err(unreadable("event")),
    }
}

/// The salt of one event's digest, from its subject's. A receipt shows it to whoever holds the
/// receipt, for good: it opens that event's digest and no other's, so that what is left of the
/// others after an erasure stays unreadable even to somebody who kept one receipt.
pub(crate) fn event_salt(subject_salt: &[u8; 16], revision: u64) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(b"assent consent salt v1\0");
    hash.update(subject_salt);
    hash.update(revision.to_be_bytes());
    let mut salt = [0; 16];
    salt.copy_from_slice(&hash.finalize()[..16]);
    salt
}

/// The digest of an event's bytes: every part of fixed length or preceded by its length. The salt
/// is the event's, see [`event_salt`]; the subject's salt is zeros for the event that erases the
/// subject, since it is destroyed with what it protected.
pub(crate) fn content_digest(salt: &[u8; 16], subject_id: &str, content: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"assent consent content v1\0");
    hash.update(salt);
    hash.update((subject_id.len() as u64).to_be_bytes());
    hash.update(subject_id);
    hash.update(content);
    hash.finalize().into()
}

/// An event's digest: chained to that of the subject's previous event (zeros before the first),
/// and over the content by way of its digest alone, so that the chain can still be verified when
/// the content was erased.
pub(crate) fn chain_digest(
    previous: &[u8; 32],
    revision: u64,
    content_digest: &[u8; 32],
) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"assent consent event v1\0");
    hash.update(previous);
    hash.update(revision.to_be_bytes());
    hash.update(content_digest);
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
