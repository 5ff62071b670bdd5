//! Keyed digests of requests and callers. A plain one is kept beside keyed identifiers and undoes them: whoever
//! stole the store could try every phone number there is against it.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use identifiers::Digest;
use proto::options::v1::Role;
use service_kit::auth::Caller;
use sha2::Sha256;

use crate::domain::{Subject, identifiers::Range, uploaded::Marker};

/// Makes keyed digests of digests.
#[derive(Clone)]
pub(crate) struct Seal(Hmac<Sha256>);

impl Seal {
    /// Under the service's secret, for nothing else that is made with it.
    pub(crate) fn new(secret: &[u8]) -> Self {
        // Unwrap safety: HMAC takes keys of every length.
        #[allow(clippy::unwrap_used)]
        let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        // Longer than the 33 bytes that match keys are made from: never one of them.
        keyed.update(b"assent suggest-svc: what a request asks for, v1;");
        Self(keyed)
    }

    /// What may be stored of a digest over a request's content.
    pub(crate) fn keyed(&self, digest: [u8; 32]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(&digest);
        mac.finalize().into_bytes().into()
    }

    /// Who sends a request, as it may be stored: a digest of the subject, or of the token's name,
    /// which for an operator is often an email address.
    pub(crate) fn caller(&self, caller: &Caller) -> String {
        match &caller.subject {
            Some(subject) => self.sealed(caller.role, b"person;", subject),
            None => self.sealed(caller.role, b"caller;", &caller.name),
        }
    }

    /// As [`Seal::caller`] of a person's own app.
    pub(crate) fn person(&self, subject: &Subject) -> String {
        self.sealed(Role::User, b"person;", subject.as_str())
    }

    fn sealed(&self, role: Role, kind: &[u8], name: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(kind);
        mac.update(name.as_bytes());
        let digest = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        format!("{}/{digest}", role.as_str_name())
    }
}

/// Makes what is stored of accounts' uploads and of ranges of numbers.
#[derive(Clone)]
pub(crate) struct ContactSeal {
    uploads: Hmac<Sha256>,
    ranges: Hmac<Sha256>,
}

impl ContactSeal {
    /// Under the service's secret, for nothing else that is made with it.
    pub(crate) fn new(secret: &[u8]) -> Self {
        // Both longer than the 33 bytes that match keys are made from: never one of them.
        let keyed = |purpose: &[u8]| {
            // Unwrap safety: HMAC takes keys of every length.
            #[allow(clippy::unwrap_used)]
            let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            keyed.update(purpose);
            keyed
        };
        Self {
            uploads: keyed(b"assent suggest-svc: what an account has uploaded, v1;"),
            ranges: keyed(b"assent suggest-svc: a range of phone numbers, v1;"),
        }
    }

    /// What makes this account's fingerprints.
    pub(crate) fn marker(&self, subject: &Subject) -> Marker {
        let mut mac = self.uploads.clone();
        mac.update(subject.as_str().as_bytes());
        Marker::new(mac.finalize().into_bytes().into())
    }

    /// The range of this digest, as it is stored.
    pub(crate) fn range(&self, digest: &Digest) -> Range {
        let mut mac = self.ranges.clone();
        mac.update(digest.as_bytes());
        let full = mac.finalize().into_bytes();
        let mut first = [0; 8];
        first.copy_from_slice(&full[..8]);
        Range(i64::from_be_bytes(first))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn a_person_is_the_same_caller_whoever_names_them() {
        let seal = Seal::new(b"one secret");
        let named = seal.person(&Subject::from("ann"));
        assert_eq!(named, seal.caller(&Caller::user("ann")));
        assert!(!named.contains("ann"));
        assert_ne!(named, seal.caller(&Caller::named(Role::App, "ann")));
        assert_ne!(named, Seal::new(b"another secret").person(&Subject::from("ann")));
    }

    #[test]
    fn without_the_secret_a_digest_cannot_be_tried() {
        let digest: [u8; 32] = Sha256::digest(b"+491701234567").into();
        let (one, other) = (Seal::new(b"one secret"), Seal::new(b"another secret"));
        assert_eq!(one.keyed(digest), one.keyed(digest));
        assert_ne!(one.keyed(digest), digest);
        assert_ne!(one.keyed(digest), other.keyed(digest));
        assert_ne!(one.keyed(digest), one.keyed([0; 32]));
        // Not the bare HMAC of the digest either, which another use of the secret could make.
        let mut bare = Hmac::<Sha256>::new_from_slice(b"one secret").expect("any length");
        bare.update(&digest);
        assert_ne!(one.keyed(digest)[..], bare.finalize().into_bytes()[..]);
    }
}
