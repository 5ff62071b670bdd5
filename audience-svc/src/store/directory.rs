//! Who can be found by which keys, and the sequence of changes that memories follow.
//!
//! Writers take the counter's row first: so ordinals have no two holders, and the changes of one
//! transaction become visible after all those with smaller numbers. Whoever holds it and has
//! followed the changes to the last knows from memory which keys find whom: the database has no
//! index by key.

mod changes;
mod reading;
mod settling;
mod versions;

pub(crate) use changes::Changes;
pub(crate) use reading::{
    Stored, Tail, changes_after, expired, find_subject, has, last_change, last_ordinal, load,
    page_of, pruned_change,
};
pub(crate) use settling::{Entry, Writer, begin, prune_changes};
pub(crate) use versions::{keyed_under, people_by_version};

use identifiers::MatchKey;

use crate::{error::Error, index::Mark};

/// A change of the directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Its number.
    pub(crate) seq: i64,
    /// Drawn for it: tells it from one with the same number in another database, or in this one
    /// before it was set back to a copy.
    pub(crate) mark: Mark,
}

impl Position {
    fn stored(seq: i64, mark: &[u8]) -> Result<Self, Error> {
        let mark =
            mark.try_into().map_err(|_| Error::Internal("a stored mark has a wrong size"))?;
        Ok(Self { seq, mark })
    }
}

fn keys(stored: &[u8]) -> Result<Vec<MatchKey>, Error> {
    let (keys, []) = stored.as_chunks() else {
        return Err(Error::Internal("stored keys have a wrong size"));
    };
    Ok(keys.iter().map(|bytes| MatchKey::from_bytes(*bytes)).collect())
}

fn written(keys: &[MatchKey]) -> Vec<u8> {
    keys.iter().flat_map(|key| *key.as_bytes()).collect()
}
