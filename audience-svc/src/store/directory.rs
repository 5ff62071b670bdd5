//! Who can be found by which keys, and the sequence of changes that indexes follow.
//!
//! Writers take the counter's row first: so ordinals have no two holders, and the changes of one
//! transaction become visible after all those with smaller numbers.

mod reading;
mod registering;

pub(crate) use reading::{
    Tail, changes_after, expired, find_subject, has_any, last_change, load, subjects,
};
pub(crate) use registering::{Entry, prune_changes, put, remove_expired};

use identifiers::MatchKey;

use crate::error::Error;

fn key(stored: &[u8]) -> Result<MatchKey, Error> {
    let bytes = stored.try_into().map_err(|_| Error::Internal("a stored key has a wrong size"))?;
    Ok(MatchKey::from_bytes(bytes))
}
