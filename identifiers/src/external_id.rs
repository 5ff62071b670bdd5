use crate::Rejection;

/// Longest external id, in bytes.
const MAX_BYTES: usize = 256;

/// Checks `trimmed`, which has no white space at its ends and is not empty. Case is kept: to most shops `a7` and `A7`
/// are two customers.
pub(crate) fn check(trimmed: &str) -> Result<&str, Rejection> {
    if trimmed.len() > MAX_BYTES {
        Err(Rejection::TooLong)
    } else if trimmed.chars().any(char::is_control) {
        Err(Rejection::ControlCharacter)
    } else {
        Ok(trimmed)
    }
}
