//! Rows to domain and back.

use identifiers::MatchKey;
use service_kit::store::StoreError;

use super::entity::{contact_settings, head, person};
use crate::{
    domain::{Discoverability, Settings, Standing},
    graph::{Mark, Position},
};

/// The id of the one row of `head`.
pub(super) const HEAD: i32 = 1;

/// Rows of one INSERT or DELETE: with four values each, well below the fewest values that one of
/// the databases takes (32,766).
pub(super) const ROWS: usize = 5_000;

pub(super) fn standing(row: &person::Model) -> Standing {
    // Who was not asked about a use yet may agree to it: everybody is asked before they are shown.
    let until = |until: Option<i64>| until.unwrap_or(i64::MAX);
    Standing {
        transfer: row.consent_until,
        suggest: until(row.suggest_until),
        spam: until(row.spam_until),
        revision: row.revision,
    }
}

pub(super) fn discoverability(value: Discoverability) -> i16 {
    match value {
        Discoverability::Everyone => 1,
        Discoverability::Reciprocal => 2,
        Discoverability::Nobody => 3,
    }
}

pub(super) fn settings(row: &contact_settings::Model) -> Result<Settings, StoreError> {
    let discoverability = match row.discoverability {
        1 => Discoverability::Everyone,
        2 => Discoverability::Reciprocal,
        3 => Discoverability::Nobody,
        other => return Err(StoreError::Other(format!("unknown discoverability {other}"))),
    };
    Ok(Settings { discoverability, may_be_mutual: row.may_be_mutual })
}

pub(super) fn match_key(bytes: &[u8]) -> Result<MatchKey, StoreError> {
    let bytes = bytes.try_into();
    let bytes = bytes.map_err(|_| StoreError::Other("a match key of another length".to_owned()))?;
    Ok(MatchKey::from_bytes(bytes))
}

/// A change's mark; zeros for one from before there were marks.
pub(super) fn mark(bytes: &[u8]) -> Mark {
    bytes.try_into().unwrap_or_default()
}

/// The last write.
pub(super) fn position(row: &head::Model) -> Position {
    Position { sequence: row.seq, mark: mark(&row.mark) }
}
