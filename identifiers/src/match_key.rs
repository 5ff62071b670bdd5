use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::{Digest, Kind};

/// What a store holds in place of an identifier: the first 128 bits of HMAC-SHA-256 under the service's secret.
///
/// Without the secret it can be neither reversed nor joined with another service's keys. Hidden from `Debug` all the
/// same: it stands for one person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey([u8; 16]);

impl MatchKey {
    /// Takes back a key that was stored.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, to be stored.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MatchKey(hidden)")
    }
}

/// One version of a service's secret, ready to make match keys.
#[derive(Clone)]
pub struct MatchKeySecret {
    version: u16,
    /// Has taken in the secret and nothing else: keying it costs as much as making a key, so it is done once.
    keyed: Hmac<Sha256>,
}

impl MatchKeySecret {
    /// Fewest bytes of a secret: as many as SHA-256 gives out, below which HMAC loses strength (RFC 2104, 3).
    pub const MIN_BYTES: usize = 32;

    /// Takes a secret and the number under which its keys are stored.
    pub fn new(version: u16, secret: &[u8]) -> Result<Self, SecretTooShort> {
        if secret.len() < Self::MIN_BYTES {
            return Err(SecretTooShort);
        }
        let keyed = Hmac::new_from_slice(secret).map_err(|_| SecretTooShort)?;
        Ok(Self { version, keyed })
    }

    /// Its version.
    pub const fn version(&self) -> u16 {
        self.version
    }

    /// The key of an identifier: HMAC-SHA-256(secret, [`Kind::tag`] ‖ digest), cut to 128 bits.
    ///
    /// The kind is part of it, so that an external id that happens to be somebody's phone number matches no phone.
    pub fn match_key(&self, kind: Kind, digest: &Digest) -> MatchKey {
        let mut message = [kind.tag(); 33];
        message[1..].copy_from_slice(digest.as_bytes());
        let mut mac = self.keyed.clone();
        mac.update(&message);
        let full = mac.finalize().into_bytes();
        let mut key = [0; 16];
        key.copy_from_slice(&full[..16]);
        MatchKey(key)
    }
}

impl fmt::Debug for MatchKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchKeySecret").field("version", &self.version).finish_non_exhaustive()
    }
}

/// The secret has fewer than [`MatchKeySecret::MIN_BYTES`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a match key secret needs at least 32 bytes")]
pub struct SecretTooShort;
