//! Who is in a list: ordinals. What is stored of one batch has the same size and takes the same
//! work whoever matches.

use std::time::{Duration, SystemTime};

use roaring::RoaringBitmap;
use service_kit::clock::UnixMillis;
use thiserror::Error;

/// The ordinal that nobody has: the answer of the index for a key that it does not hold.
pub const NOBODY: u32 = u32::MAX;

/// A day, counted from 1970-01-01 in UTC.
pub type MemberDay = i32;

/// The day of an instant.
pub fn day_of(at: UnixMillis) -> MemberDay {
    i32::try_from(at.get().div_euclid(86_400_000)).unwrap_or(MemberDay::MAX)
}

/// A day as `YYYY-MM-DD`; days before 1970 are told as its first.
pub fn date(day: MemberDay) -> String {
    let seconds = 86_400 * u64::try_from(day).unwrap_or(0);
    let instant = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut date = humantime::format_rfc3339_seconds(instant).to_string();
    date.truncate("2026-03-31".len());
    date
}

/// What is stored of a batch: how many members, their ordinals in no order, and other ordinals up to
/// the number of rows. `found` is what the index answered, one for each key.
///
/// The padding is drawn from `random`, never from the rows: nothing of a row that matches nobody
/// is stored. Rows are put into an order that is drawn as well, members and others alike, before
/// they are parted, so that size, bytes and work do not depend on who they are: sorting ordinals
/// would be quick for people who registered in the order of the list, and show it.
pub fn record(found: &[u32], rows: usize, mut random: impl FnMut() -> u32) -> Vec<u8> {
    let rows = rows.max(found.len());
    let nobody = std::iter::repeat_n(&NOBODY, rows - found.len());
    let drawn = |ordinal: &u32| (random(), random(), *ordinal);
    let mut drawn: Vec<(u32, u32, u32)> = found.iter().chain(nobody).map(drawn).collect();
    drawn.sort_unstable_by_key(|(place, ..)| *place);
    let mut lanes = [Vec::with_capacity(rows), Vec::with_capacity(rows)];
    for (_, decoy, ordinal) in drawn {
        let missed = ordinal == NOBODY;
        lanes[usize::from(missed)].push(if missed { decoy } else { ordinal });
    }
    let [members, padding] = lanes;
    let mut record = Vec::with_capacity(4 + 4 * rows);
    // A batch has at most ten thousand rows: it fits.
    record.extend(u32::try_from(members.len()).unwrap_or(0).to_le_bytes());
    for ordinal in members.iter().chain(&padding) {
        record.extend(ordinal.to_le_bytes());
    }
    record
}

/// Adds the members of a stored batch to `into`.
pub fn read_record(record: &[u8], into: &mut RoaringBitmap) -> Result<(), CorruptRecord> {
    let (count, ordinals) = record.split_first_chunk().ok_or(CorruptRecord)?;
    let count = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| CorruptRecord)?;
    let (ordinals, []) = ordinals.as_chunks() else { return Err(CorruptRecord) };
    let members = ordinals.get(..count).ok_or(CorruptRecord)?;
    into.extend(members.iter().map(|bytes| u32::from_le_bytes(*bytes)));
    Ok(())
}

/// A stored record of members that this service did not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a stored record of members cannot be read")]
pub struct CorruptRecord;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_record_has_one_size_and_gives_back_its_members_alone() {
        for found in [vec![], vec![NOBODY; 5], vec![9, NOBODY, 3, 3, 7], vec![1, 2, 3, 4, 5]] {
            let stored = record(&found, 5, || 77);
            assert_eq!(stored.len(), 24);
            let mut members = RoaringBitmap::new();
            read_record(&stored, &mut members).unwrap();
            let expected: RoaringBitmap =
                found.into_iter().filter(|ordinal| *ordinal != NOBODY).collect();
            assert_eq!(members, expected);
        }
    }

    #[test]
    fn the_order_of_a_record_does_not_depend_on_who_matched() {
        let order = |found: &[u32]| {
            let mut state: u32 = 1;
            let random = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state
            };
            let stored = record(found, found.len(), random);
            let (ordinals, _) = stored[4..].as_chunks();
            let places = ordinals.iter().map(|bytes| u32::from_le_bytes(*bytes));
            places.map(|one| found.iter().position(|other| *other == one)).collect::<Vec<_>>()
        };
        let ascending: Vec<u32> = (0..100).collect();
        let others: Vec<u32> = (0..100).map(|n| (n * 37) % 100).collect();
        assert_eq!(order(&ascending), order(&others));
        assert_ne!(order(&ascending), (0..100).map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn days_are_told_as_dates() {
        let dates = [(0, "1970-01-01"), (20_543, "2026-03-31"), (11_016, "2000-02-29")];
        for (day, told) in dates {
            assert_eq!(date(day), told);
        }
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let stored = record(&[1, 2], 2, || 0);
        for bad in [&stored[..3], &stored[..11], &stored[..8]] {
            assert_eq!(read_record(bad, &mut RoaringBitmap::new()), Err(CorruptRecord));
        }
    }
}
