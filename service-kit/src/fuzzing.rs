//! What must hold of all that callers send, whatever it is: for the fuzz targets (`scripts/fuzz`), and
//! for tests of few cases. In no other build.

use crate::grpc::PageTokens;

#[cfg(feature = "test-util")]
pub use crate::auth::fuzzing::{key_set, token};
pub use crate::layers::fuzzing::{frames, headers};

/// As a page token, and as a cursor in one.
///
/// # Panics
/// When a token is accepted that was not given for this list.
pub fn page_token(data: &str) {
    let (tokens, arguments) = (PageTokens::new(b"secret"), [7; 32]);
    let open = |token: &str| tokens.open("List", &arguments, token).ok();
    // Under a secret that makes none here: a fuzzer sees what is compared, and would send it back.
    let unsolicited = PageTokens::new(b"never used").open("List", &arguments, data).ok();
    assert_eq!(unsolicited, data.is_empty().then_some(None), "nobody was given this token");
    let given = tokens.seal("List", &arguments, data.as_bytes());
    assert_eq!(open(&given), Some(Some(data.as_bytes().to_vec())));
    assert!(tokens.open("Listed", &arguments, &given).is_err());
    assert!(tokens.open("List", &[8; 32], &given).is_err());
    assert!(PageTokens::new(b"another").open("List", &arguments, &given).is_err());
    // Changed at any place, the unused bits of the last character too.
    for place in [0, data.len() % given.len(), given.len() - 1] {
        for other in ["A", "B", "_", "=", "\n"] {
            let mut changed = given.clone();
            changed.replace_range(place..=place, other);
            assert!(changed == given || open(&changed).is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn only_a_token_that_was_given_is_one(data in prop_oneof!["\\PC{0,80}", "[A-Za-z0-9_-]{40,60}"]) {
            super::page_token(&data);
        }
    }
}
