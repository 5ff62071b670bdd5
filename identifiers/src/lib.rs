//! Contact identifiers as Assent compares them: normalised, hashed, keyed.
//!
//! ```text
//! raw text ──normalise(profile)──▶ Normalised ──SHA-256──▶ Digest ──HMAC(service secret)──▶ MatchKey
//!                     pre-hashed list ──Digest::parse──────▶┘
//! ```
//!
//! A list row is hashed under the one [`Profile`] its sender follows ([`digest`]). A registered identifier is hashed
//! under all of them ([`registered_digests`]), so that it is found whichever profile a list was prepared for.
//!
//! Invariants:
//! - nothing here reads or writes anything but its arguments;
//! - no `Debug` or `Display` of any type here shows an identifier, a digest, a match key or a secret;
//! - every function accepts any text, bounds the work it does on it, and answers with a value or a [`Rejection`].

mod digest;
mod email;
mod external_id;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod invisible;
mod kind;
mod match_key;
mod normalised;
mod numbering_plan;
mod phone;
mod profile;
mod region;
mod rejection;

pub use digest::Digest;
pub use kind::Kind;
pub use match_key::{MatchKey, MatchKeySecret, SecretTooShort};
pub use normalised::{Normalised, digest, normalise, registered, registered_digests};
pub use profile::Profile;
pub use region::{Region, UnknownRegion};
pub use rejection::Rejection;

/// Longest raw text looked at, in bytes: an email of 254 bytes or an external id of 256 with generous padding.
///
/// Anything longer is refused as [`Rejection::TooLong`] before it is read.
pub const MAX_RAW_BYTES: usize = 1024;
