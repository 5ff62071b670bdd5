//! What must hold of stored bytes, whatever they are: of a store that was damaged, or meddled with.

use super::{history, reply, state};
use crate::cache::fuzz_answers;

/// As everything that the store and the cache hold as bytes.
///
/// # Panics
/// When an event that can be read is not written as it was.
#[allow(clippy::unwrap_used)]
pub fn stored(data: &[u8]) {
    if let Ok(event) = history::decode(3, data, &[7; 32]) {
        let bytes = history::encode(&event.content, event.occurred_at, event.recorded_at);
        let again = history::decode(3, &bytes, &[7; 32]).unwrap();
        assert_eq!(again.content, event.content);
        assert_eq!(again.recorded_at, event.recorded_at);
        assert_eq!(again.occurred_at, event.occurred_at);
    }
    if let Ok(state) = state::decode(data) {
        let _ = state::encode(&state);
    }
    let _ = reply::decode(data);
    fuzz_answers(data);
}
