//! Who calls.

use std::{fs, path::PathBuf, time::Duration};

use proto::options::v1::Role;
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};
use tempfile::TempDir;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
};

use crate::Result;

/// How long tokens are valid: longer than anybody measures.
const TTL: Duration = Duration::from_hours(24);

/// A signing key, and tokens of those who call.
#[derive(Debug)]
pub struct Keys {
    directory: TempDir,
    /// The token of an app, as it stands in a call.
    pub app: String,
    issuer: Issuer,
    app_header: MetadataValue<Ascii>,
    admin_header: MetadataValue<Ascii>,
}

impl Keys {
    /// A new key.
    pub fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let issuer = Issuer::generate();
        fs::write(directory.path().join("keys.json"), issuer.jwks())?;
        fs::write(directory.path().join("key.pem"), issuer.to_pem())?;
        let now = Clock::system().now();
        let token = |role, name| issuer.issue(&Caller::named(role, name), now, TTL);
        let app = token(Role::App, "bench");
        let header = |token: &str| format!("Bearer {token}").parse();
        let (app_header, admin_header) =
            (header(&app)?, header(&token(Role::Admin, "bench-admin"))?);
        Ok(Self { directory, app, issuer, app_header, admin_header })
    }

    /// The file with the key set.
    pub fn jwks_file(&self) -> PathBuf {
        self.directory.path().join("keys.json")
    }

    /// The file with the private key, with which services show who they are, and its id.
    pub fn service_key(&self) -> (PathBuf, &str) {
        (self.directory.path().join("key.pem"), self.issuer.key_id())
    }

    /// The token of somebody.
    pub fn token(&self, caller: &Caller) -> String {
        self.issuer.issue(caller, Clock::system().now(), TTL)
    }

    /// A call of an app, which waits no longer than this.
    pub fn app<T>(&self, message: T, within: Duration) -> Request<T> {
        Self::call(message, within, &self.app_header)
    }

    /// A call of an administrator.
    pub fn admin<T>(&self, message: T, within: Duration) -> Request<T> {
        Self::call(message, within, &self.admin_header)
    }

    fn call<T>(message: T, within: Duration, token: &MetadataValue<Ascii>) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(within);
        request.metadata_mut().insert("authorization", token.clone());
        request
    }
}
