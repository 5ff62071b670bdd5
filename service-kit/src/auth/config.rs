//! The `[auth]` table of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

use super::source::place;
use crate::config::{Secret, Span};

/// How callers are known, and how this process makes itself known.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// A file with the JSON Web Key Set (RFC 7517) of those who may sign tokens. Read again when
    /// it changes, within a second: a key that is removed is refused from then on.
    pub jwks_file: Option<PathBuf>,
    /// The `https` URL of that key set, instead of a file (`http` on loopback addresses only).
    #[serde(serialize_with = "without_credentials")]
    pub jwks_url: Option<String>,
    /// A PEM file with the authorities that the URL's certificate is checked against. Unset: the
    /// public web's.
    pub jwks_ca_file: Option<PathBuf>,
    /// How often the URL is asked again: how long a key that was removed there may still be
    /// honoured. While there is no good answer the last good one stays, with a warning. A key that is not known yet is asked for at once, every 10 s at most.
    pub jwks_refresh: Span,
    /// The `iss` claim that tokens must carry. Unset: not looked at, the keys decide.
    pub issuer: Option<String>,
    /// How far the clocks of those who sign tokens may differ from ours.
    pub leeway: Span,
    /// How many verified tokens are remembered until they expire, about 1 KiB each. 0: none.
    pub cached_tokens: usize,
    /// The Ed25519 private key (PKCS#8 PEM, usually `file:PATH`) with which this process signs the
    /// tokens it shows to other services of Assent. Unset where mutual TLS says who it is.
    pub service_key: Secret,
    /// The `kid` under which the key set lists that key. Unset: its RFC 7638 thumbprint.
    pub service_key_id: Option<String>,
    /// Names in client certificates (URI or DNS) that stand for a process of Assent, beside
    /// `spiffe://assent/<service>`.
    pub service_names: Vec<String>,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            jwks_file: None,
            jwks_url: None,
            jwks_ca_file: None,
            jwks_refresh: Span::from_secs(300),
            issuer: None,
            leeway: Span::from_secs(30),
            cached_tokens: 20_000,
            service_key: Secret::default(),
            service_key_id: None,
            service_names: Vec::new(),
        }
    }
}

/// The effective configuration is logged, and a URL may carry a credential.
#[allow(clippy::ref_option)] // serde's signature
fn without_credentials<S: Serializer>(url: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
    let shown =
        url.as_ref().map(|url| url.parse().map_or_else(|_| "***".to_owned(), |uri| place(&uri)));
    shown.serialize(to)
}
