//! The compact answer: what a cache keeps of a subject, good for every purpose.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`TAG`]: this is an answer, in this layout |
//! | varint | the epoch of the policies that it was computed with |
//! | varint | the subject's revision |
//! | varint | how many purposes: *n* |
//! | *n* | by slot: the reason, and the topmost bit for a yes |
//! | *n* | by slot: which of the deadlines below ends the answer, from 1; 0: none. Left out, as all that follows, when there are none |
//! | 6 each | the deadlines in Unix milliseconds |
//!
//! Varints are those of protocol buffers, deadlines are big-endian. A deadline that does not fit is
//! in the year 10889, and never passes.

use prost::encoding::{decode_varint, encode_varint};

use crate::domain::{Decision, Moment, Reason, Slot};

/// The first byte of an answer. A fill in progress begins with another.
pub(crate) const TAG: u8 = b'v';

/// The most bytes before the answers: a tag and three varints.
const HEADER: usize = 1 + 3 * 10;
const YES: u8 = 0x80;
/// Six bytes, all ones: the latest deadline that is kept.
const LAST: i64 = (1 << 48) - 1;

/// A subject's answers for every purpose, as read from a cache.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers<'a> {
    /// The epoch of the policies that they were computed with.
    pub(crate) epoch: i64,
    /// The subject's revision.
    pub(crate) revision: u64,
    outcomes: &'a [u8],
    ends: &'a [u8],
    deadlines: &'a [u8],
}

/// The bytes of a known subject's answers, which are by slot.
pub(crate) fn encode(epoch: i64, revision: u64, answers: &[Decision]) -> Vec<u8> {
    let mut deadlines: Vec<i64> = Vec::new();
    let mut ends = vec![0_u8; answers.len()];
    for (end, answer) in ends.iter_mut().zip(answers) {
        let Some(at) = answer.valid_until else { continue };
        let at = at.millis().clamp(0, LAST);
        let place = match deadlines.iter().position(|known| *known == at) {
            Some(place) => place,
            // There is room for 255: the last stands for all further ones, and is the first of
            // them. An answer that ends too soon is only looked up again too soon.
            None if deadlines.len() == usize::from(u8::MAX) => {
                let last = &mut deadlines[usize::from(u8::MAX) - 1];
                *last = at.min(*last);
                usize::from(u8::MAX) - 1
            }
            None => {
                deadlines.push(at);
                deadlines.len() - 1
            }
        };
        *end = u8::try_from(place + 1).unwrap_or(u8::MAX);
    }
    let mut bytes = Vec::with_capacity(HEADER + 2 * answers.len() + 6 * deadlines.len());
    bytes.push(TAG);
    encode_varint(u64::try_from(epoch).unwrap_or(0), &mut bytes);
    encode_varint(revision, &mut bytes);
    encode_varint(answers.len() as u64, &mut bytes);
    let outcome = |answer: &Decision| answer.reason.code() | if answer.granted { YES } else { 0 };
    bytes.extend(answers.iter().map(outcome));
    if !deadlines.is_empty() {
        bytes.extend_from_slice(&ends);
        for at in deadlines {
            bytes.extend_from_slice(&at.to_be_bytes()[2..]);
        }
    }
    bytes
}

impl<'a> Answers<'a> {
    /// The answers in these bytes; nothing if they are none.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (tag, mut rest) = bytes.split_first()?;
        if *tag != TAG {
            return None;
        }
        let mut next = || decode_varint(&mut rest).ok();
        let (epoch, revision, purposes) = (next()?, next()?, next()?);
        let (epoch, purposes) = (i64::try_from(epoch).ok()?, usize::try_from(purposes).ok()?);
        let (outcomes, rest) = rest.split_at_checked(purposes)?;
        let (ends, deadlines) =
            if rest.is_empty() { (rest, rest) } else { rest.split_at_checked(purposes)? };
        Some(Self { epoch, revision, outcomes, ends, deadlines })
    }

    /// The answer for a purpose; nothing: it is younger than these answers, and none of the
    /// policies that they were computed with had it.
    pub(crate) fn of(&self, slot: Slot) -> Option<Decision> {
        let outcome = *self.outcomes.get(slot.index())?;
        let end = usize::from(self.ends.get(slot.index()).copied().unwrap_or(0));
        let valid_until = match end {
            0 => None,
            end => {
                let at = self.deadlines.get((end - 1) * 6..end * 6)?;
                Some(number(at)).filter(|at| *at < LAST).map(Moment::from_millis)
            }
        };
        let reason = Reason::from_code(outcome & !YES)?;
        Some(Decision { granted: outcome & YES != 0, reason, valid_until })
    }
}

impl Answers<'_> {
    /// The answer for a purpose that no policy has.
    pub(crate) fn of_unknown_purpose(&self) -> Decision {
        let first = self.outcomes.first().and_then(|outcome| Reason::from_code(outcome & !YES));
        let reason = first.filter(|reason| *reason == Reason::Erased).unwrap_or(Reason::NoPolicy);
        Decision::denied(reason)
    }
}

/// Up to six bytes.
fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

/// As answers that Redis holds: for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    for bytes in [bytes, &[&[TAG], bytes].concat()] {
        let Some(kept) = Answers::decode(bytes) else { continue };
        let slots = crate::domain::Policies::with_slots(300);
        for slot in slots.slots() {
            let _ = (kept.of(slot), kept.of_unknown_purpose());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Policies, Slot};

    fn decision() -> impl Strategy<Value = Decision> {
        let end = prop_oneof![Just(None), (0..40_i64).prop_map(Some), (0..LAST).prop_map(Some)];
        (any::<bool>(), 0_u8..16, end).prop_map(|(granted, code, end)| Decision {
            granted,
            reason: Reason::from_code(code).unwrap(),
            valid_until: end.map(Moment::from_millis),
        })
    }

    fn slots(count: usize) -> Vec<Slot> {
        Policies::with_slots(count).slots().collect()
    }

    proptest! {
        #[test]
        fn answers_are_kept_as_they_are(
            answers in prop::collection::vec(decision(), 0..40),
            epoch in 0..1_000_000_i64,
            revision in 0..1_u64 << 48,
        ) {
            let bytes = encode(epoch, revision, &answers);
            let kept = Answers::decode(&bytes).unwrap();
            prop_assert_eq!((kept.epoch, kept.revision), (epoch, revision));
            let slots = slots(answers.len() + 1);
            for (slot, answer) in slots.iter().zip(&answers) {
                prop_assert_eq!(kept.of(*slot), Some(*answer));
            }
            prop_assert_eq!(kept.of(slots[answers.len()]), None);
        }

        #[test]
        fn with_too_many_deadlines_answers_end_too_soon_never_too_late(
            ends in prop::collection::vec(0..LAST, 256..400),
        ) {
            let answer = |end: &i64| Decision {
                granted: true,
                reason: Reason::Explicit,
                valid_until: Some(Moment::from_millis(*end)),
            };
            let answers: Vec<Decision> = ends.iter().map(answer).collect();
            let bytes = encode(1, 1, &answers);
            let kept = Answers::decode(&bytes).unwrap();
            for (slot, answer) in slots(answers.len()).iter().zip(&answers) {
                prop_assert!(kept.of(*slot).unwrap().valid_until <= answer.valid_until);
            }
        }

        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            for mut bytes in [bytes.clone(), [&[TAG], bytes.as_slice()].concat()] {
                for slot in slots(40) {
                    let _ = Answers::decode(&bytes).map(|kept| kept.of(slot));
                }
                bytes.truncate(3);
                prop_assert!(Answers::decode(&bytes).is_none());
            }
        }
    }

    #[test]
    fn the_example_fits_where_redis_keeps_short_strings_in_place() {
        let answer = Decision {
            granted: true,
            reason: Reason::Explicit,
            valid_until: Some(Moment::from_millis(1_800_000_000_000)),
        };
        assert_eq!(encode(1, 2, &[answer; 6]).len(), 22);
        assert_eq!(encode(1, 2, &[Decision::denied(Reason::Explicit); 6]).len(), 10);
    }
}
