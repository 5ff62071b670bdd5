//! Whom a caller stands for, as one number.

use std::fmt;

use proto::options::v1::Role;
use sha2::{Digest as _, Sha256};

/// Whom a caller stands for: the same for every token of the same USER's subject, the same
/// BUSINESS's owner, or the same name in any other role. 128 bits of a digest, made once for each
/// verified token, so that callers can be counted without handling their names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Principal([u8; 16]);

impl Principal {
    pub(super) fn new(role: Role, name: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(b"assent principal\0")
            .chain_update(role.as_str_name())
            .chain_update(b"\0")
            .chain_update(name)
            .finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(bytes)
    }

    /// The digest. The same in every process: replicas count together by it.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Caller;
    use super::*;

    #[test]
    fn it_is_the_role_and_whom_the_token_stands_for() {
        let shop = Caller::business("shop", "owner").principal;
        assert_eq!(shop, Caller::business("another-shop", "owner").principal, "one legal owner");
        assert_ne!(shop, Caller::business("shop", "another-owner").principal);
        let anna = Caller::user("anna").principal;
        assert_eq!(anna, Caller::user("anna").principal);
        assert_ne!(anna, Caller::user("ann").principal);
        assert_ne!(anna, Caller::named(Role::App, "anna").principal, "another role");
    }
}
