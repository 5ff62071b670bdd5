//! Page tokens (AIP-158): opaque, and good only for the list that gave them.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use proto::{errors::v1::Reason, status};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tonic::Status;
use tonic_types::ErrorDetails;

const MAC_BYTES: usize = 32;

/// Seals cursors into page tokens and opens them again. A token is bound to its method and
/// arguments by HMAC-SHA256; its cursor can be read by whoever holds it, so nothing belongs in
/// there that the caller may not know. Replicas of a service share the secret.
#[derive(Clone)]
pub struct PageTokens {
    mac: Hmac<Sha256>,
}

impl fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageTokens").finish_non_exhaustive()
    }
}

impl PageTokens {
    /// Tokens under this secret, of any length.
    #[allow(clippy::missing_panics_doc, clippy::unwrap_used)]
    pub fn new(secret: &[u8]) -> Self {
        // Unwrap safety: HMAC takes keys of every length.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        // So that the same secret can serve for something else too.
        mac.update(b"assent page token v1");
        Self { mac }
    }

    /// The token that makes `method`, called again with the same arguments, go on at `cursor`.
    /// `arguments` is the [`request_digest`](super::request_digest) of the request. Where the
    /// list is the caller's own and the request does not say whose, `method` names the caller too.
    pub fn seal(&self, method: &str, arguments: &[u8; 32], cursor: &[u8]) -> String {
        let mac = self.mac(method, arguments, cursor);
        BASE64_URL_SAFE_NO_PAD.encode([mac.as_slice(), cursor].concat())
    }

    /// The cursor in a token; nothing when the token is empty, which asks for the first page.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with `REASON_PAGE_TOKEN_INVALID` when [`PageTokens::seal`] did not make
    /// the token for this method and these arguments.
    #[allow(clippy::result_large_err)]
    pub fn open(
        &self,
        method: &str,
        arguments: &[u8; 32],
        token: &str,
    ) -> Result<Option<Vec<u8>>, Status> {
        if token.is_empty() {
            return Ok(None);
        }
        let cursor = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|sealed| {
            let (mac, cursor) = sealed.split_at_checked(MAC_BYTES)?;
            let genuine = self.mac(method, arguments, cursor).ct_eq(mac);
            bool::from(genuine).then(|| cursor.to_vec())
        });
        cursor.map(Some).ok_or_else(refuse)
    }

    fn mac(&self, method: &str, arguments: &[u8; 32], cursor: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.mac.clone();
        // The only variable length before the end stands in front of what it measures.
        mac.update(&(method.len() as u64).to_be_bytes());
        mac.update(method.as_bytes());
        mac.update(arguments);
        mac.update(cursor);
        mac.finalize().into_bytes().into()
    }
}

fn refuse() -> Status {
    let mut details = ErrorDetails::new();
    let why = "not a token that this list gave for these arguments; start with the first page";
    details.add_bad_request_violation("page_token", why);
    status::with_details(Reason::PageTokenInvalid, format!("page_token: {why}"), details)
}
