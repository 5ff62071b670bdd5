//! The keys that sign receipts.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::{
    Signature, Signer, VerifyingKey,
    pkcs8::{DecodePrivateKey, DecodePublicKey},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use service_kit::config::Secret;
use sha2::{Digest, Sha256};

use crate::domain::Moment;

/// Why a key was refused. Never says what the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither of the forms in which a private key is given.
    #[error(
        "not an Ed25519 private key: give PKCS#8 PEM (openssl genpkey -algorithm ed25519), or its \
         seed of 32 bytes in base64 or hexadecimal digits"
    )]
    Private,
    /// Neither of the forms in which a public key is given.
    #[error(
        "not an Ed25519 public key: give PEM (openssl pkey -pubout), or its 32 bytes in base64, as \
         GetReceiptKeys gives them"
    )]
    Public,
}

/// A private key that signs receipts, or none. Never shown.
#[derive(Clone, Default)]
pub struct SigningKey(Option<Box<ed25519_dalek::SigningKey>>);

impl SigningKey {
    /// The key in a PKCS#8 PEM text, or of a seed in base64 or hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let key = if text.starts_with("-----BEGIN") {
            ed25519_dalek::SigningKey::from_pkcs8_pem(text).map_err(|_| KeyError::Private)?
        } else {
            let seed = if text.len() == 64 { hex::decode(text).ok() } else { None };
            let seed = seed.or_else(|| BASE64_STANDARD.decode(text).ok());
            let seed: [u8; 32] =
                seed.and_then(|seed| seed.try_into().ok()).ok_or(KeyError::Private)?;
            ed25519_dalek::SigningKey::from_bytes(&seed)
        };
        Ok(Self(Some(Box::new(key))))
    }

    /// A new key, which nobody else will ever have.
    pub fn generate() -> Self {
        Self(Some(Box::new(ed25519_dalek::SigningKey::from_bytes(&rand::random()))))
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Its public part, if it is a key; it signs from this instant on.
    pub fn public(&self, not_before: Moment) -> Option<PublicKey> {
        let key = self.0.as_ref()?.verifying_key();
        Some(PublicKey::new(key, not_before))
    }

    /// The signature over these bytes, if it is a key.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Option<[u8; 64]> {
        Some(self.0.as_ref()?.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { "***" })
    }
}

impl Serialize for SigningKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let secret = Secret::deserialize(deserializer)?;
        if secret.is_empty() {
            return Ok(Self::default());
        }
        let refuse = |error| de::Error::custom(format!("receipts.signing_key: {error}"));
        Self::parse(secret.expose()).map_err(refuse)
    }
}

/// A public key with which receipts are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    id: String,
    key: VerifyingKey,
    not_before: Moment,
}

impl PublicKey {
    /// The key in a PEM text, or of its bytes in base64.
    pub fn parse(text: &str, not_before: Moment) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            let key = VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::Public)?;
            return Ok(Self::new(key, not_before));
        }
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| KeyError::Public)?;
        let bytes = bytes.as_slice().try_into().map_err(|_| KeyError::Public)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Public)?;
        Ok(Self::new(key, not_before))
    }

    fn new(key: VerifyingKey, not_before: Moment) -> Self {
        let id = hex::encode(&Sha256::digest(key.as_bytes())[..8]);
        Self { id, key, not_before }
    }

    /// The same key, signing from this instant on.
    #[must_use]
    pub fn since(&self, not_before: Moment) -> Self {
        Self { not_before, ..self.clone() }
    }

    /// Names the key: the first 16 hexadecimal digits of its SHA-256.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key: 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// When it began to sign.
    pub fn not_before(&self) -> Moment {
        self.not_before
    }

    /// Whether it made this signature over these bytes.
    pub(super) fn verifies(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SEED: [u8; 32] = [7; 32];
    /// `openssl genpkey` of that seed.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n\
        -----END PRIVATE KEY-----\n";

    fn id(text: &str) -> String {
        let key = SigningKey::parse(text).unwrap();
        key.public(Moment::from_millis(0)).unwrap().id().to_owned()
    }

    #[test]
    fn a_key_is_the_same_in_every_form() {
        let forms = [PEM.to_owned(), BASE64_STANDARD.encode(SEED), hex::encode(SEED)];
        let ids: Vec<String> = forms.iter().map(|form| id(form)).collect();
        assert_eq!(ids[0].len(), 16);
        assert_eq!(ids, vec![ids[0].clone(); 3]);
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        let short = BASE64_STANDARD.encode([7; 31]);
        for wrong in ["x", &short, "-----BEGIN PRIVATE KEY-----", &PEM[..PEM.len() - 40]] {
            assert_eq!(SigningKey::parse(wrong).unwrap_err(), KeyError::Private);
            let public = PublicKey::parse(wrong, Moment::from_millis(0));
            assert_eq!(public.unwrap_err(), KeyError::Public);
        }
    }

    #[test]
    fn a_private_key_is_never_shown() {
        let key = SigningKey::parse(&hex::encode(SEED)).unwrap();
        assert_eq!(format!("{key:?}"), "***");
        assert_eq!(serde_json::to_string(&key).unwrap(), "\"***\"");
    }
}
