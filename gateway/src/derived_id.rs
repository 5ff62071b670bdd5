//! Request ids for the services behind the gateway's own methods.

use sha2::{Digest as _, Sha256};

/// The request id of one service's part of a call of a method of `AccountService`: it follows from
/// the caller's alone, so that the same request, sent again, repeats nothing. Hashed, so that it is
/// no id that the caller uses in calls of its own to that service.
pub(crate) fn derived_id(method: &str, service: &str, request_id: &str) -> String {
    let digest = Sha256::new()
        .chain_update(b"assent.gateway.v1.")
        .chain_update(method)
        .chain_update(b"\0")
        .chain_update(service)
        .chain_update(b"\0")
        .chain_update(request_id)
        .finalize();
    format!("account-{}", hex::encode(&digest[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_follows_from_method_service_and_request_alone_and_is_a_request_id() {
        let id = derived_id("RegisterAccount", "consent", "r-1");
        assert_eq!(id, derived_id("RegisterAccount", "consent", "r-1"));
        assert_ne!(id, derived_id("EraseAccount", "consent", "r-1"));
        assert_ne!(id, derived_id("RegisterAccount", "audience", "r-1"));
        assert_ne!(id, derived_id("RegisterAccount", "consent", "r-2"));
        assert!(id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    }
}
