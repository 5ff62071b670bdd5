//! Keyed digests of requests and callers. Plain ones would undo the keyed identifiers beside them: whoever
//! stole the store could try every phone number against the digest of a request with one row.

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
    keyed: Hmac<Sha256>,
}

impl Seal {
    /// Under the service's secret, for other things than match keys.
    pub(crate) fn new(secret: &[u8]) -> Self {
        // Unwrap safety: HMAC takes keys of every length.
        #[allow(clippy::unwrap_used)]
        let mut keyed = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        // Longer than the 33 bytes that match keys are made from: never one of them.
        keyed.update(b"assent audience-svc: the content of a request, v1;");
        Self { keyed }
    }

    /// What a request asks for, whoever sends it and how often.
    pub(crate) fn content<M: Message + Name>(&self, message: &M) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        mac.update(&request_digest(message));
        mac.finalize().into_bytes().into()
    }

    /// Whose request it is, as it may be stored: the id of a subject or a business; of anybody else
    /// a digest of the token's name, which for an operator is often an email address.
    pub(crate) fn principal(&self, caller: &Caller) -> String {
        let role = caller.role.as_str_name();
        if let Some(id) = caller.subject.as_ref().or(caller.business.as_ref()) {
            return format!("{role}/{id}");
        }
        let mut mac = self.keyed.clone();
        mac.update(b"caller;");
        mac.update(caller.name.as_bytes());
        format!("{role}/{}", hex::encode(mac.finalize().into_bytes()))
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
