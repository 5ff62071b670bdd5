//! What one transaction changed, in the bytes of one row.
//!
//! The number of keys (4 bytes), for each its 16 bytes and the ordinal that it finds now (4;
//! [`NOBODY`]: nobody), then for each person whose standing changed the ordinal (4) and whether the
//! person may be counted (1). Numbers are little-endian.

use identifiers::MatchKey;

use crate::{domain::NOBODY, error::Error, index::Change};

const KEY: usize = 20;
const PERSON: usize = 5;

/// What changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Keys that find somebody else now, or nobody.
    pub(crate) keys: Vec<Change>,
    /// Whether these may be counted, now.
    pub(crate) people: Vec<(u32, bool)>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.people.is_empty()
    }

    pub(in crate::store) fn write(&self) -> Vec<u8> {
        let length = 4 + KEY * self.keys.len() + PERSON * self.people.len();
        let mut bytes = Vec::with_capacity(length);
        // One message names a thousand people with a hundred keys each at most: it fits.
        bytes.extend(u32::try_from(self.keys.len()).unwrap_or(0).to_le_bytes());
        for change in &self.keys {
            bytes.extend(change.key.as_bytes());
            bytes.extend(change.ordinal.unwrap_or(NOBODY).to_le_bytes());
        }
        for (ordinal, counts) in &self.people {
            bytes.extend(ordinal.to_le_bytes());
            bytes.push(u8::from(*counts));
        }
        bytes
    }

    pub(in crate::store) fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::parse(bytes).ok_or(Error::Internal("a stored change cannot be read"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk()?;
        let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
        let (keys, people) = rest.split_at_checked(count.checked_mul(KEY)?)?;
        let (keys, []) = keys.as_chunks::<KEY>() else { return None };
        let (people, []) = people.as_chunks::<PERSON>() else { return None };
        let key = |bytes: &[u8; KEY]| {
            let (key, ordinal) = bytes.split_first_chunk()?;
            let ordinal = u32::from_le_bytes(ordinal.try_into().ok()?);
            let ordinal = (ordinal != NOBODY).then_some(ordinal);
            Some(Change { key: MatchKey::from_bytes(*key), ordinal })
        };
        let person = |[a, b, c, d, counts]: &[u8; PERSON]| {
            (u32::from_le_bytes([*a, *b, *c, *d]), *counts != 0)
        };
        let keys = keys.iter().map(key).collect::<Option<_>>()?;
        Some(Self { keys, people: people.iter().map(person).collect() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn changes_come_back_as_they_were_written_and_others_are_refused() {
        let key = |byte, ordinal| Change { key: MatchKey::from_bytes([byte; 16]), ordinal };
        let changes = Changes {
            keys: vec![key(1, Some(7)), key(2, None)],
            people: vec![(7, true), (9, false)],
        };
        let bytes = changes.write();
        assert_eq!(bytes.len(), 4 + 40 + 10);
        assert_eq!(Changes::read(&bytes).unwrap(), changes);
        assert_eq!(Changes::read(&Changes::default().write()).unwrap(), Changes::default());
        for bad in [&bytes[..3], &bytes[..23], &bytes[..45], &[]] {
            assert!(Changes::read(bad).is_err(), "{} bytes", bad.len());
        }
    }
}
