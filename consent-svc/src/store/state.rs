//! A subject as the bytes of its row: a private protobuf message, so that fields can be added and
//! a row written by an older program still reads.

use prost::Message;
use service_kit::store::StoreError;

use super::unreadable;
use crate::domain::{
    AgeBand, Asked, Attributes, Choice, Decider, Jurisdiction, Moment, PolicyNumber, Stance,
    Subject,
};

/// A subject with what the store keeps beside it.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) subject: Subject,
    /// The digest of the latest event.
    pub(super) head: [u8; 32],
    /// Goes into the digest of every event's content, so that digests, which outlive an erasure,
    /// cannot be reversed by guessing what was hashed. Zeros once the subject was erased.
    pub(super) salt: [u8; 16],
}

#[derive(Clone, PartialEq, Message)]
struct StateRow {
    #[prost(string, tag = "1")]
    jurisdiction: String,
    #[prost(uint32, tag = "2")]
    age_band: u32,
    #[prost(sint64, tag = "3")]
    account_created_at: i64,
    #[prost(string, repeated, tag = "4")]
    apps: Vec<String>,
    #[prost(sint64, optional, tag = "5")]
    objection_since: Option<i64>,
    #[prost(message, repeated, tag = "6")]
    asked: Vec<AskedRow>,
    #[prost(message, repeated, tag = "7")]
    choices: Vec<ChoicesRow>,
    #[prost(bytes = "vec", tag = "8")]
    head: Vec<u8>,
    #[prost(bytes = "vec", tag = "9")]
    salt: Vec<u8>,
    #[prost(string, repeated, tag = "10")]
    linked: Vec<String>,
    #[prost(string, optional, tag = "11")]
    guardian: Option<String>,
    #[prost(string, repeated, tag = "12")]
    wards: Vec<String>,
    #[prost(sint64, optional, tag = "13")]
    erased_at: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct AskedRow {
    #[prost(uint32, tag = "1")]
    policy: u32,
    #[prost(sint64, tag = "2")]
    served: i64,
    #[prost(sint64, optional, tag = "3")]
    accepted: Option<i64>,
}

/// Choices made together: one version, one instant. Purposes are places in the version.
#[derive(Clone, PartialEq, Message)]
struct ChoicesRow {
    #[prost(uint32, tag = "1")]
    policy: u32,
    #[prost(sint64, tag = "2")]
    at: i64,
    #[prost(bool, tag = "3")]
    by_child: bool,
    #[prost(uint32, repeated, tag = "4")]
    granted: Vec<u32>,
    #[prost(uint32, repeated, tag = "5")]
    refused: Vec<u32>,
    #[prost(uint32, repeated, tag = "6")]
    withdrawn: Vec<u32>,
    #[prost(bool, tag = "7")]
    by_guardian: bool,
}

pub(super) fn encode_age_band(age_band: AgeBand) -> u32 {
    match age_band {
        AgeBand::Unspecified => 0,
        AgeBand::Adult => 1,
        AgeBand::UnderAge => 2,
    }
}

/// A number that nobody wrote is a person of unknown age, who does not decide alone.
pub(super) fn decode_age_band(number: u32) -> AgeBand {
    match number {
        1 => AgeBand::Adult,
        2 => AgeBand::UnderAge,
        _ => AgeBand::Unspecified,
    }
}

pub(super) fn encode(state: &State) -> Vec<u8> {
    let subject = &state.subject;
    let asked = subject.asked.iter().map(|asked| AskedRow {
        policy: asked.policy.0,
        served: asked.served.millis(),
        accepted: asked.accepted.map(Moment::millis),
    });
    StateRow {
        jurisdiction: subject.attributes.jurisdiction.code().to_owned(),
        age_band: encode_age_band(subject.attributes.age_band),
        account_created_at: subject.attributes.account_created_at.millis(),
        apps: subject.attributes.apps.clone(),
        objection_since: subject.objection_since.map(Moment::millis),
        asked: asked.collect(),
        choices: encode_choices(&subject.choices),
        head: state.head.to_vec(),
        salt: state.salt.to_vec(),
        linked: subject.linked.clone(),
        guardian: subject.guardian.clone(),
        wards: subject.wards.clone(),
        erased_at: subject.erased_at.map(Moment::millis),
    }
    .encode_to_vec()
}

fn encode_choices(choices: &[Choice]) -> Vec<ChoicesRow> {
    let mut rows: Vec<ChoicesRow> = Vec::new();
    for choice in choices {
        let (policy, at, index) = (choice.policy.0, choice.at.millis(), u32::from(choice.index));
        let (by_child, by_guardian) = (choice.by == Decider::Child, choice.by == Decider::Guardian);
        let together = rows.last().is_some_and(|row| {
            (row.policy, row.at) == (policy, at)
                && (row.by_child, row.by_guardian) == (by_child, by_guardian)
                // A row lists each yes before each no: what came in another order needs two rows.
                && match choice.stance {
                    Stance::Granted => row.refused.is_empty() && row.withdrawn.is_empty(),
                    Stance::Refused => row.withdrawn.is_empty(),
                    Stance::Withdrawn => true,
                }
        });
        if !together {
            rows.push(ChoicesRow { policy, at, by_child, by_guardian, ..ChoicesRow::default() });
        }
        if let Some(row) = rows.last_mut() {
            match choice.stance {
                Stance::Granted => row.granted.push(index),
                Stance::Refused => row.refused.push(index),
                Stance::Withdrawn => row.withdrawn.push(index),
            }
        }
    }
    rows
}

pub(super) fn decode(bytes: &[u8]) -> Result<State, StoreError> {
    let row = StateRow::decode(bytes).map_err(|_| unreadable("subject"))?;
    let mut choices = Vec::new();
    for made in &row.choices {
        let by = match (made.by_child, made.by_guardian) {
            (_, true) => Decider::Guardian,
            (true, false) => Decider::Child,
            (false, false) => Decider::Adult,
        };
        let stances = [
            (Stance::Granted, &made.granted),
            (Stance::Refused, &made.refused),
            (Stance::Withdrawn, &made.withdrawn),
        ];
        for (stance, places) in stances {
            for place in places {
                choices.push(Choice {
                    policy: PolicyNumber(made.policy),
                    index: u16::try_from(*place).map_err(|_| unreadable("subject"))?,
                    stance,
                    at: Moment::from_millis(made.at),
                    by,
                });
            }
        }
    }
    let asked = row.asked.iter().map(|asked| Asked {
        policy: PolicyNumber(asked.policy),
        served: Moment::from_millis(asked.served),
        accepted: asked.accepted.map(Moment::from_millis),
    });
    let attributes = Attributes {
        jurisdiction: Jurisdiction::new(row.jurisdiction),
        age_band: decode_age_band(row.age_band),
        account_created_at: Moment::from_millis(row.account_created_at),
        apps: row.apps,
    };
    Ok(State {
        subject: Subject {
            attributes,
            objection_since: row.objection_since.map(Moment::from_millis),
            asked: asked.collect(),
            choices,
            linked: row.linked,
            guardian: row.guardian,
            wards: row.wards,
            erased_at: row.erased_at.map(Moment::from_millis),
        },
        head: row.head.try_into().map_err(|_| unreadable("subject"))?,
        salt: row.salt.try_into().map_err(|_| unreadable("subject"))?,
    })
}
