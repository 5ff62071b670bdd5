//! Tokens for tests.

use std::{fs, time::Duration};

use http::HeaderValue;
use tempfile::TempDir;

use crate::{
    auth::{AuthConfig, Caller, Issuer},
    clock::{Clock, UnixMillis},
    config::Secret,
};

/// How long the tokens are valid: longer than any test.
const TTL: Duration = Duration::from_hours(1);

/// A signing key, and the key set that makes its tokens valid. The file with the key set is there
/// as long as this is.
#[derive(Debug)]
pub struct TestKeys {
    issuer: Issuer,
    directory: TempDir,
}

impl Default for TestKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl TestKeys {
    /// A new key.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    pub fn new() -> Self {
        let issuer = Issuer::generate().with_key_id("dev-test");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let keys = Self { issuer, directory };
        fs::write(keys.jwks_file(), keys.issuer.jwks()).expect("a temporary file");
        keys
    }

    /// The key.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The file with the key set.
    pub fn jwks_file(&self) -> std::path::PathBuf {
        self.directory.path().join("jwks.json")
    }

    /// A configuration that accepts these tokens, and under which a process signs its own with
    /// the same key.
    pub fn auth_config(&self) -> AuthConfig {
        AuthConfig {
            jwks_file: Some(self.jwks_file()),
            service_key: Secret::new(self.issuer.to_pem()),
            service_key_id: Some(self.issuer.key_id().to_owned()),
            ..AuthConfig::default()
        }
    }

    /// A token for `caller`, valid by the system's clock.
    pub fn token(&self, caller: &Caller) -> String {
        self.token_at(caller, Clock::system().now())
    }

    /// A token for `caller`, valid for an hour from `now` on.
    pub fn token_at(&self, caller: &Caller, now: UnixMillis) -> String {
        self.issuer.issue(caller, now, TTL)
    }

    /// The value of an `authorization` header for `caller`.
    ///
    /// # Panics
    /// Never: tokens are header text.
    pub fn bearer(&self, caller: &Caller) -> HeaderValue {
        HeaderValue::try_from(format!("Bearer {}", self.token(caller))).expect("a token is text")
    }
}
