//! What was answered to a write, as bytes: enough to answer the same again, beside the request,
//! which comes again with the same content. Nothing in it describes a person: it outlives an erasure.

use prost::Message;
use service_kit::store::StoreError;

use super::unreadable;
use crate::domain::{Decision, Event, Moment, PolicyNumber, PolicyState, Reason};

/// What was answered to a write. Each use case fills in what its answer needs. Nothing that would
/// have to go when a subject is erased: replies are not found by their subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The subject's revision after the write.
    pub(crate) revision: u64,
    /// Names the event; empty when nothing changed.
    pub(crate) event_id: String,
    /// Whether the subject's device objects.
    pub(crate) objects: bool,
    /// Until when the person may accept.
    pub(crate) accept_until: Option<Moment>,
    /// The answers for a policy's purposes, in its order.
    pub(crate) answers: Vec<Decision>,
    /// A policy version as it was after the write.
    pub(crate) policy: Option<PolicyReply>,
}

/// What a write made of a policy version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PolicyReply {
    /// The version.
    pub(crate) number: PolicyNumber,
    /// The state it was in.
    pub(crate) state: PolicyState,
}

#[derive(Clone, PartialEq, Message)]
struct ReplyRow {
    #[prost(uint64, tag = "1")]
    revision: u64,
    /// The beginning of the event's digest.
    #[prost(bytes = "vec", tag = "2")]
    event: Vec<u8>,
    #[prost(bool, tag = "3")]
    objects: bool,
    #[prost(sint64, optional, tag = "4")]
    accept_until: Option<i64>,
    /// A byte an answer: the reason, and the topmost bit for a yes.
    #[prost(bytes = "vec", tag = "5")]
    answers: Vec<u8>,
    /// The answers' deadlines by their places: pairs of a place and milliseconds.
    #[prost(sint64, repeated, tag = "6")]
    deadlines: Vec<i64>,
    #[prost(uint32, tag = "7")]
    policy: u32,
    #[prost(uint32, tag = "8")]
    policy_state: u32,
}

const YES: u8 = 0x80;

pub(super) fn encode_policy_state(state: PolicyState) -> u32 {
    match state {
        PolicyState::Draft => 1,
        PolicyState::Published => 2,
        PolicyState::Retired => 3,
    }
}

pub(super) fn decode_policy_state(number: u32) -> Result<PolicyState, StoreError> {
    match number {
        1 => Ok(PolicyState::Draft),
        2 => Ok(PolicyState::Published),
        3 => Ok(PolicyState::Retired),
        _ => Err(unreadable("policy state")),
    }
}

pub(super) fn encode(reply: &Reply, event_digest: Option<&[u8; 32]>) -> Vec<u8> {
    let answer = |answer: &Decision| answer.reason.code() | if answer.granted { YES } else { 0 };
    let deadlines = (0_i64..).zip(&reply.answers);
    let deadlines =
        deadlines.filter_map(|(place, answer)| Some([place, answer.valid_until?.millis()]));
    ReplyRow {
        revision: reply.revision,
        event: event_digest.map(|digest| digest[..8].to_vec()).unwrap_or_default(),
        objects: reply.objects,
        accept_until: reply.accept_until.map(Moment::millis),
        answers: reply.answers.iter().map(answer).collect(),
        deadlines: deadlines.flatten().collect(),
        policy: reply.policy.map_or(0, |policy| policy.number.0),
        policy_state: reply.policy.map_or(0, |policy| encode_policy_state(policy.state)),
    }
    .encode_to_vec()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Reply, StoreError> {
    let row = ReplyRow::decode(bytes).map_err(|_| unreadable("reply"))?;
    let answer = |byte: &u8| {
        let reason = Reason::from_code(byte & !YES).ok_or_else(|| unreadable("reply"))?;
        Ok(Decision { granted: byte & YES != 0, reason, valid_until: None })
    };
    let mut answers: Vec<Decision> =
        row.answers.iter().map(answer).collect::<Result<_, StoreError>>()?;
    for pair in row.deadlines.chunks_exact(2) {
        let place = usize::try_from(pair[0]).map_err(|_| unreadable("reply"))?;
        let answer = answers.get_mut(place).ok_or_else(|| unreadable("reply"))?;
        answer.valid_until = Some(Moment::from_millis(pair[1]));
    }
    let event_id =
        if row.event.is_empty() { String::new() } else { Event::id_of(row.revision, &row.event) };
    let policy = match row.policy {
        0 => None,
        number => Some(PolicyReply {
            number: PolicyNumber(number),
            state: decode_policy_state(row.policy_state)?,
        }),
    };
    Ok(Reply {
        revision: row.revision,
        event_id,
        objects: row.objects,
        accept_until: row.accept_until.map(Moment::from_millis),
        answers,
        policy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_reads_as_it_was_written() {
        let reasons = (0..).map_while(crate::domain::Reason::from_code);
        let answers = reasons.zip(0..).map(|(reason, at)| Decision {
            granted: at % 2 == 0,
            reason,
            valid_until: (at % 3 == 0).then_some(Moment::from_millis(at)),
        });
        let digest = [3; 32];
        let full = Reply {
            revision: 7,
            event_id: Event::id_of(7, &digest),
            objects: true,
            accept_until: Some(Moment::from_millis(-1)),
            answers: answers.collect(),
            policy: Some(PolicyReply { number: PolicyNumber(3), state: PolicyState::Retired }),
        };
        for (reply, digest) in [(full, Some(&digest)), (Reply::default(), None)] {
            let again = decode(&encode(&reply, digest));
            assert_eq!(again.map_err(|error| error.to_string()), Ok(reply));
        }
    }
}
