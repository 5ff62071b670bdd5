//! Keyed digests of requests and callers. Plain ones would undo the keyed identifiers beside them:
//! whoever stole the store could try every phone number against the digest of a request with one row.

use std::fmt;

use hmac::{Hmac, Mac};
use prost::{Message, Name};
use service_kit::{
    auth::Caller,
    grpc::{PageTokens, request_digest},
};
use sha2::Sha256;

/// Makes keyed digests.
#[derive(Clone)]
pub(crate) struct Seal {
    /// By version of the secret, from new to old.
    keyed: Vec<(u16, Hmac<Sha256>)>,
}

/// What a request asks for, under each version of the secret, from new to old: the version (2
/// bytes, big-endian), and the first 30 bytes of the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed(Vec<[u8; 32]>);

impl Sealed {
    /// What is kept of it: under the newest version.
    pub(crate) fn kept(&self) -> Vec<u8> {
        self.0.first().map(|newest| newest.to_vec()).unwrap_or_default()
    }

    /// Whether this is what was kept. What was kept under a version that is not here (another
    /// replica has it, or it was dropped) cannot be compared: then it is, since its id is the same.
    pub(crate) fn is(&self, kept: &[u8]) -> bool {
        let comparable = |one: &&[u8; 32]| kept.starts_with(&one[..VERSION]);
        self.0.iter().find(comparable).is_none_or(|one| one == kept)
    }
}

/// Bytes of a version.
const VERSION: usize = 2;

impl Seal {
    /// Under the versions of the service's secret, for other things than match keys.
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = (u16, &'a [u8])>) -> Self {
        let keyed = |(version, secret): (u16, &[u8])| {
            // Unwrap safety: HMAC takes keys of every length.
            #[allow(clippy::unwrap_used)]
            let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            // Longer than the 33 bytes that match keys are made from: never one of them.
            keyed.update(b"assent audience-svc: the content of a request, v1;");
            (version, keyed)
        };
        let mut keyed: Vec<_> = secrets.into_iter().map(keyed).collect();
        keyed.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
        Self { keyed }
    }

    /// What a request asks for, whoever sends it and how often.
    pub(crate) fn content<M: Message + Name>(&self, message: &M) -> Sealed {
        let digest = request_digest(message);
        let sealed = |(version, keyed): &(u16, Hmac<Sha256>)| {
            let mut mac = keyed.clone();
            mac.update(&digest);
            let mut sealed: [u8; 32] = mac.finalize().into_bytes().into();
            sealed.copy_within(..32 - VERSION, VERSION);
            sealed[..VERSION].copy_from_slice(&version.to_be_bytes());
            sealed
        };
        Sealed(self.keyed.iter().map(sealed).collect())
    }

    /// Whose request it is, as it may be stored: the id of a subject or a business; of anybody else
    /// a digest of the token's name, which for an operator is often an email address. It is under the
    /// oldest version, so that all replicas find it while a newer one is brought in. When that is
    /// dropped, what an app or an operator asked for before is done again if it is sent again; all of
    /// it can be done twice.
    pub(crate) fn principal(&self, caller: &Caller) -> String {
        let role = caller.role.as_str_name();
        if let Some(id) = caller.subject.as_ref().or(caller.business.as_ref()) {
            return format!("{role}/{id}");
        }
        let digest = self.keyed.last().map(|(_, oldest)| {
            let mut mac = oldest.clone();
            mac.update(b"caller;");
            mac.update(caller.name.as_bytes());
            hex::encode(mac.finalize().into_bytes())
        });
        // There is always a version.
        format!("{role}/{}", digest.unwrap_or_default())
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

/// Page tokens under the same secret.
pub(crate) fn page_tokens(secret: &[u8]) -> PageTokens {
    PageTokens::new(secret)
}

#[cfg(test)]
mod tests {
    use proto::audience::v1::GetBusinessRequest;

    use super::*;

    fn content(secrets: &[(u16, &[u8])], id: &str) -> Sealed {
        let seal = Seal::new(secrets.iter().copied());
        seal.content(&GetBusinessRequest { business_id: id.to_owned() })
    }

    #[test]
    fn the_same_is_known_under_every_version_that_is_here_and_another_is_not() {
        const FIRST: (u16, &[u8]) = (1, b"one secret");
        const SECOND: (u16, &[u8]) = (2, b"another secret");
        for (before, after) in [
            (&[FIRST][..], &[FIRST][..]),
            (&[FIRST], &[FIRST, SECOND]),
            (&[SECOND, FIRST], &[FIRST, SECOND]),
            (&[FIRST, SECOND], &[SECOND]),
        ] {
            let kept = content(before, "shop").kept();
            assert!(content(after, "shop").is(&kept));
            assert!(!content(after, "bank").is(&kept));
        }
        // A replica that does not have the version takes the caller's word.
        for (before, after) in [([FIRST], [SECOND]), ([SECOND], [FIRST])] {
            assert!(content(&after, "bank").is(&content(&before, "shop").kept()));
        }
    }

    #[test]
    fn without_the_secret_a_digest_cannot_be_tried() {
        let (one, other) = ([(1, &b"one secret"[..])], [(1, &b"another secret"[..])]);
        assert_ne!(content(&one, "shop").kept(), content(&other, "shop").kept());
    }
}
