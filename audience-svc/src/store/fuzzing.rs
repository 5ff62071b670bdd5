//! What must hold of stored bytes, whatever they are: of a store that was damaged, or meddled with.

use super::{directory::Changes, members, releases};

/// As everything that the store holds as bytes.
///
/// # Panics
/// When what can be read is not written as it was.
pub(crate) fn stored(data: &[u8]) {
    if let Ok(members) = members::read(data) {
        let again = members::write(&members).and_then(|bytes| members::read(&bytes));
        assert!(again.is_ok_and(|again| again == members));
    }
    if let Ok(changes) = Changes::read(data) {
        let again = Changes::read(&changes.write());
        assert!(again.is_ok_and(|again| again == changes));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = releases::read(text);
    }
}
