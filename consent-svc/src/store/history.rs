//! Events as the bytes of their rows, and the chain of their digests.

use prost::Message;
use service_kit::store::StoreError;
use sha2::{Digest, Sha256};

use super::{
    state::{decode_age_band, encode_age_band},
    unreadable,
};
use crate::domain::{
    Attributes, Event, EventContent, Evidence, Jurisdiction, Moment, PolicyNumber,
};

/// The kinds as they stand in rows. Never renumbered.
mod kind {
    pub(super) const SUBJECT_PUT: u32 = 1;
    pub(super) const NOTICE_SERVED: u32 = 2;
    pub(super) const DECISION_RECORDED: u32 = 3;
    pub(super) const WITHDRAWN: u32 = 4;
    pub(super) const OBJECTION_SIGNAL_SET: u32 = 5;
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
        EventContent::DecisionRecorded { policy, choices, evidence } => {
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
    }
    row.encode_to_vec()
}

/// The event in these bytes.
pub(super) fn decode(revision: u64, content: &[u8], digest: &[u8]) -> Result<Event, StoreError> {
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
            EventContent::DecisionRecorded { policy, choices, evidence }
        }
        kind::WITHDRAWN => {
            let pairs = row.withdrawn.chunks_exact(2);
            let purposes = pairs.map(|pair| Ok((PolicyNumber(pair[0]), place(pair[1])?)));
            EventContent::Withdrawn { purposes: purposes.collect::<Result<_, StoreError>>()? }
        }
        kind::OBJECTION_SIGNAL_SET => EventContent::ObjectionSignalSet { objects: row.objects },
        _ => return Err(unreadable("event")),
    };
    let digest = digest.try_into().map_err(|_| unreadable("event"))?;
    Ok(Event { revision, occurred_at, recorded_at, content, digest })
}

/// What an event's digest covers.
pub(super) struct Link<'a> {
    /// The digest of the subject's previous event; zeros before the first.
    pub(super) previous: &'a [u8; 32],
    /// The subject's salt.
    pub(super) salt: &'a [u8; 16],
    /// Whose event it is.
    pub(super) subject_id: &'a str,
    /// The subject's revision after it.
    pub(super) revision: u64,
    /// Its bytes.
    pub(super) content: &'a [u8],
}

impl Link<'_> {
    /// SHA-256 over all of it, every part of fixed length or preceded by its length.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"assent consent event v1\0");
        hash.update(self.previous);
        hash.update(self.salt);
        hash.update((self.subject_id.len() as u64).to_be_bytes());
        hash.update(self.subject_id);
        hash.update(self.revision.to_be_bytes());
        hash.update(self.content);
        hash.finalize().into()
    }
}
