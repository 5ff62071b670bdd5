//! Between values and columns.

use crate::{
    domain::{BatchReport, Refusal, RowCounts},
    error::Error,
};

/// Numbers that the service itself stored: what does not fit is not ours.
pub(super) fn number<T: TryFrom<i64>>(stored: i64) -> Result<T, Error> {
    T::try_from(stored).map_err(|_| Error::Internal("a stored number is out of range"))
}

/// A count as a column; counts of rows never come near the limit.
pub(super) fn big(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn refused(counts: &RowCounts) -> Vec<u8> {
    counts.refused().iter().flat_map(|count| count.to_le_bytes()).collect()
}

pub(super) fn counts(received: i64, duplicate: i64, refused: &[u8]) -> Result<RowCounts, Error> {
    let (refused, _) = refused.as_chunks();
    let refused: Vec<u64> = refused.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    Ok(RowCounts::stored(number(received)?, number(duplicate)?, &refused))
}

/// Five bytes each: the row's number and the reason's code.
pub(super) fn rejections(report: &BatchReport) -> Vec<u8> {
    let pair = |(row, refusal): &(u32, Refusal)| {
        row.to_le_bytes().into_iter().chain([refusal.code()]).collect::<Vec<u8>>()
    };
    report.rejections.iter().flat_map(pair).collect()
}

pub(super) fn rejections_from(stored: &[u8]) -> Result<Vec<(u32, Refusal)>, Error> {
    let (pairs, []) = stored.as_chunks::<5>() else {
        return Err(Error::Internal("stored rejections cannot be read"));
    };
    let read = |[a, b, c, d, code]: &[u8; 5]| {
        let row = u32::from_le_bytes([*a, *b, *c, *d]);
        Refusal::from_code(*code)
            .map(|refusal| (row, refusal))
            .ok_or(Error::Internal("stored rejections cannot be read"))
    };
    pairs.iter().map(read).collect()
}
