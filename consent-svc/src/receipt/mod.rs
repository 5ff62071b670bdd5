//! Receipts: signed consent records that anybody can check without asking anybody.
//!
//! A receipt is about one event. Its record has the fields of ISO/IEC TS 27560:2023, as canonical
//! JSON (RFC 8785) under an Ed25519 signature, and carries what opens the event's place in the
//! chain of its subject's events: the bytes that were hashed, the salt, the digest before.
//! `docs/receipts.md` describes the format for whoever writes a verifier of their own.
//!
//! | question | where |
//! |---|---|
//! | what does a record say? | [`Record`] |
//! | what of it is proven by the digest? | `facts` |
//! | who signs? | [`ReceiptConfig`], [`SigningKey`] |
//! | is this one genuine? | [`Receipt::verify`] |
//! | do these follow one another? | [`verify_chains`] |

mod chain;
mod config;
mod envelope;
mod facts;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod key;
mod record;
mod verify;
mod write;

use proto::consent::v1 as pb;
use service_kit::clock::UnixMillis;

pub use chain::{Chain, verify_chains};
pub use config::{ControllerConfig, Instant, ReceiptConfig, RetiredKey};
pub use envelope::{Receipt, Unreadable, read_keys};
pub use key::{KeyError, PublicKey, SigningKey};
pub use record::{
    ConsentEvent, Details, Integrity, Party, PiiInformation, PolicyName, PrivacyNotice, Processing,
    Record, RecordedPurpose,
};
pub use verify::{Failure, Verified};
pub(crate) use write::{Issue, record};

use crate::domain::Moment;

/// An instant as RFC 3339 writes it, in UTC.
fn written(at: Moment) -> String {
    prost_types::Timestamp::from(UnixMillis::new(at.millis())).to_string()
}

/// An instant from RFC 3339.
fn read(text: &str) -> Option<Moment> {
    let at: prost_types::Timestamp = text.parse().ok()?;
    Some(Moment::from_millis(UnixMillis::try_from(at).ok()?.get()))
}

/// The keys as they are handed out.
pub(crate) fn write_keys(keys: &[PublicKey]) -> Vec<pb::ReceiptKey> {
    let key = |key: &PublicKey| pb::ReceiptKey {
        key_id: key.id().to_owned(),
        public_key: key.bytes().to_vec(),
        not_before: Some(UnixMillis::new(key.not_before().millis()).into()),
    };
    keys.iter().map(key).collect()
}
