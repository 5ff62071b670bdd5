//! Who is calling: signed tokens (JWT) and mutual-TLS identities, verified on every call.
//!
//! A token is accepted when it is signed (EdDSA, ES256 or RS256) by the key of the configured set
//! that its `kid` names, is meant for [`AUDIENCE`], has not expired, and carries exactly one role
//! that the contract knows, with what that role needs. Whether the role may call the method is
//! decided by the contract; whether the caller may touch the data, by the service that owns it.

mod cache;
mod claims;
mod config;
#[cfg(all(any(test, fuzzing), feature = "test-util"))]
pub(crate) mod fuzzing;
mod issuer;
mod keys;
mod peer;
mod principal;
mod source;
mod verify;

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};
use proto::{errors::v1::Reason, options::v1::Role, status};
use tonic::Status;

pub use config::AuthConfig;
pub use issuer::{Issuer, ServiceToken};
pub use peer::Peer;
pub use principal::Principal;
pub use verify::Authenticator;

/// What the `aud` claim of every token must contain.
pub const AUDIENCE: &str = "assent";

/// The most bytes that a token may have.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;

/// What the ids of keys begin with that were made on a developer's machine.
pub const DEVELOPMENT_PREFIX: &str = "dev-";

/// Who is calling. Put in the request's extensions by the authentication layer; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The part the caller plays.
    pub role: Role,
    /// Which caller it is, for logs: the token's `sub`, else its `business`, else the role's name.
    pub name: Arc<str>,
    /// Whom the caller stands for, for counting its calls.
    pub principal: Principal,
    /// USER only: the data subject that the caller stands for.
    pub subject: Option<Arc<str>>,
    /// BUSINESS only: the business that the caller stands for.
    pub business: Option<Arc<str>>,
    /// BUSINESS only: the legal owner of that business.
    pub owner: Option<Arc<str>>,
}

impl Caller {
    /// An end user's app, acting for `subject`.
    pub fn user(subject: &str) -> Self {
        let subject: Arc<str> = subject.into();
        Self { subject: Some(subject.clone()), ..Self::named(Role::User, subject) }
    }

    /// A business and its legal owner.
    pub fn business(business: &str, owner: &str) -> Self {
        let business: Arc<str> = business.into();
        let named = Self::named(Role::Business, business.clone());
        let principal = Principal::new(Role::Business, owner);
        Self { business: Some(business), owner: Some(owner.into()), principal, ..named }
    }

    /// A caller of any other role, by its name.
    pub fn named(role: Role, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        let principal = Principal::new(role, &name);
        Self { role, name, principal, subject: None, business: None, owner: None }
    }
}

/// Why keys or identities could not be set up. Never holds a key.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Neither a file nor a URL with the keys is configured, or both are.
    #[error("auth: set exactly one of jwks_file and jwks_url")]
    NoKeySource,
    /// The key set could not be read.
    #[error("auth: cannot read the keys from {place}: {why}")]
    KeySource {
        /// The file or URL.
        place: String,
        /// What went wrong.
        why: String,
    },
    /// The key set holds no key that a token may be signed with.
    #[error("auth: no usable EdDSA, ES256 or RS256 key with a kid in {0}")]
    NoKeys(String),
    /// Development keys on an address that others can reach.
    #[error(
        "auth: the development key {kid} is refused on {address}: it is for loopback addresses only"
    )]
    DevelopmentKey {
        /// The id of the key.
        kid: String,
        /// The address that was to be served.
        address: std::net::SocketAddr,
    },
    /// A signing key that cannot be used.
    #[error("auth: {place} is not an Ed25519 private key in PKCS#8 PEM form: {why}")]
    SigningKey {
        /// The file or setting.
        place: String,
        /// What went wrong.
        why: String,
    },
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the call carries no bearer token")]
    Missing,
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl From<TokenError> for Status {
    fn from(error: TokenError) -> Self {
        let reason = match error {
            TokenError::Missing => Reason::TokenMissing,
            TokenError::Invalid(_) => Reason::TokenInvalid,
            TokenError::Expired | TokenError::NotYetValid => Reason::TokenExpired,
        };
        status::status(reason, error.to_string())
    }
}

/// The bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, TokenError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(TokenError::Missing)?;
    // Two headers: whoever stands between may have looked at the other one.
    if values.next().is_some() {
        return Err(TokenError::Invalid("more than one authorization header"));
    }
    let value = value.to_str().map_err(|_| TokenError::Invalid("not text"))?;
    // A header that is there and says nothing useful is not the same as none: a caller without one
    // may be known by its certificate.
    let not_bearer = TokenError::Invalid("not a bearer token");
    let (scheme, token) = value.split_once(' ').ok_or(not_bearer)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(not_bearer);
    }
    match token.trim() {
        "" => Err(not_bearer),
        token if token.len() > MAX_TOKEN_BYTES => Err(TokenError::Invalid("longer than 4 KiB")),
        token => Ok(token),
    }
}
