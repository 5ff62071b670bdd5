//! What the service is told about receipts: the table `receipts`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{PublicKey, SigningKey, read, written};
use crate::domain::Moment;

/// Who signs receipts, and in whose name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiptConfig {
    /// The Ed25519 key that signs: usually `file:PATH` of PKCS#8 PEM as
    /// `openssl genpkey -algorithm ed25519` writes it; or a seed of 32 bytes in base64
    /// (`openssl rand -base64 32`) or hexadecimal digits. Replicas must share it. Empty: made anew
    /// at every start, and what it signed cannot be verified after the next one.
    pub signing_key: SigningKey,
    /// Since when that key has been signing (RFC 3339, in quotes). A receipt that says to be older
    /// is refused by whoever checks it. Default: since ever.
    pub not_before: Instant,
    /// Keys that signed before, so that their receipts can still be verified. When the key is
    /// changed, the public part of the old one goes here.
    pub retired_keys: Vec<RetiredKey>,
    /// Who answers for the processing.
    pub controller: ControllerConfig,
}

/// A key that signed once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetiredKey {
    /// The public key: PEM as `openssl pkey -pubout` writes it, or its 32 bytes in base64, as
    /// `GetReceiptKeys` gives them.
    #[serde(with = "public_key")]
    pub public_key: PublicKey,
    /// When it began to sign (RFC 3339, in quotes).
    #[serde(default)]
    pub not_before: Instant,
}

impl RetiredKey {
    /// The key, since when it signed.
    pub(crate) fn key(&self) -> PublicKey {
        self.public_key.since(self.not_before.0)
    }
}

/// The PII controller, as receipts name it. What is empty is left out of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ControllerConfig {
    /// The legal entity.
    pub name: String,
    /// Whom to write to: an office, an e-mail address.
    pub contact: String,
    /// Where it says more.
    pub url: String,
    /// Its postal address.
    pub address: String,
    /// Where the data are stored: countries or regions.
    pub storage_locations: Vec<String>,
    /// How long the data are kept, in the controller's own words.
    pub retention_period: String,
}

/// An instant, written as RFC 3339 has it. Default: 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instant(pub Moment);

impl Default for Instant {
    fn default() -> Self {
        Self(Moment::from_millis(0))
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&written(self.0))
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refuse = || de::Error::custom("receipts: not_before is not an instant of RFC 3339");
        read(&text).map(Self).ok_or_else(refuse)
    }
}

mod public_key {
    use base64::{Engine, prelude::BASE64_STANDARD};

    use super::{Deserialize, Deserializer, Instant, PublicKey, Serializer, de};

    pub(super) fn serialize<S: Serializer>(key: &PublicKey, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(key.bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PublicKey, D::Error> {
        let text = String::deserialize(from)?;
        let refuse = |error| de::Error::custom(format!("receipts.retired_keys: {error}"));
        PublicKey::parse(&text, Instant::default().0).map_err(refuse)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use service_kit::config::load;

    use crate::config::ConsentConfig;

    fn check(key: &str, value: &str) -> Result<ConsentConfig, String> {
        let env = [(format!("ASSENT_CONSENT__RECEIPTS__{key}"), value.to_owned())];
        let config = load::<ConsentConfig>("consent-svc", None, env);
        config.map(|config| config.service).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_read_and_malformed_ones_named() {
        let seed = "07".repeat(32);
        assert!(!check("SIGNING_KEY", &seed).unwrap().receipts.signing_key.is_empty());
        let why = check("SIGNING_KEY", "no key at all").unwrap_err();
        assert!(why.contains("receipts.signing_key") && !why.contains("no key at all"), "{why}");
        let retired = r#"[{ public_key = "AAAA", not_before = "2026-01-01T00:00:00Z" }]"#;
        let why = check("RETIRED_KEYS", retired).unwrap_err();
        assert!(why.contains("receipts.retired_keys"), "{why}");
        let why = check("NOT_BEFORE", "yesterday").unwrap_err();
        assert!(why.contains("not_before"), "{why}");
    }
}
