//! What must hold of cursors and policies, whatever comes.

use prost::Message as _;
use proto::{FieldErrors, consent::v1 as pb};

use super::{feed::Cursors, spec};
use crate::domain::{Moment, Policy, PolicyNumber, PolicyState, contradictions};

/// As a feed's cursor, and as a position in one.
///
/// # Panics
/// When a cursor is accepted that was not given for these purposes.
pub fn cursor(data: &[u8]) {
    let cursors = |key: &[u8], purpose: &str| Cursors::new(key, vec![purpose.to_owned()]);
    let (ours, others) = (cursors(b"key", "a.b"), cursors(b"key", "a.c"));
    // Under a key that makes none here: a fuzzer sees what is compared, and would send it back.
    let opened = cursors(b"never used", "a.b").open(data).ok();
    assert_eq!(opened, data.is_empty().then_some(None), "nobody was given this cursor");
    let sealed = ours.seal(data);
    let position = data.try_into().ok().map(|position| Some(i64::from_be_bytes(position)));
    assert_eq!(ours.open(sealed.as_bytes()).ok(), position);
    assert!(others.open(sealed.as_bytes()).is_err());
}

/// As a policy that an author writes: its content as a message.
///
/// # Panics
/// When it is not written back as it was read.
#[allow(clippy::unwrap_used)]
pub fn policy(data: &[u8]) {
    let Ok(written) = pb::PolicySpec::decode(data) else { return };
    let mut bad = FieldErrors::of(&written);
    let read = spec::parse(&written, &mut bad);
    let (Some(spec), true) = (read, bad.is_empty()) else { return };
    let policy = Policy {
        number: PolicyNumber(1),
        id: "policy".to_owned(),
        version: 1,
        state: PolicyState::Draft,
        created_at: Moment::from_millis(0),
        published_at: None,
        retired_at: None,
        spec,
    };
    let found = contradictions(&policy, []);
    assert!(found.iter().all(|found| !found.description.is_empty()));
    let again = spec::write(&policy, PolicyState::Draft).spec.unwrap();
    let mut bad = FieldErrors::default();
    assert_eq!(spec::parse(&again, &mut bad).as_ref(), Some(&policy.spec));
    assert!(bad.is_empty());
}
