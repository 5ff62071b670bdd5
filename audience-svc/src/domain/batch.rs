//! One batch of a list: from its rows to match keys and exact counts, in one pass.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
};

use identifiers::MatchKey;

use super::{NOBODY, Reading, Refusal, Row, RowCounts, Secrets};

/// The most rows of one batch.
pub const MAX_ROWS: usize = 10_000;

/// The most refused rows that one batch's answer lists.
pub(super) const MAX_LISTED_REJECTIONS: usize = 100;

/// What a batch's answer says: everything follows from the rows alone, nothing from who matched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchReport {
    /// Its exact counts.
    pub counts: RowCounts,
    /// The first refused rows, by position, and why.
    pub rejections: Vec<(u32, Refusal)>,
}

/// A batch ready to be matched.
#[derive(Debug)]
pub struct KeyedBatch {
    /// Its report.
    pub report: BatchReport,
    /// The keys of the rows that count, each row once, for each version of the secret from new to
    /// old.
    keys: Vec<Vec<MatchKey>>,
}

impl KeyedBatch {
    /// Whom the rows find: for each that counts an ordinal or [`NOBODY`]. `probe` appends as much
    /// for each key. Every version is asked about every row, whoever was found before.
    pub fn found(&self, mut probe: impl FnMut(&[MatchKey], &mut Vec<u32>)) -> Vec<u32> {
        let mut versions = self.keys.iter();
        let newest = versions.next().map_or(&[][..], Vec::as_slice);
        let mut found = Vec::with_capacity(newest.len());
        probe(newest, &mut found);
        let mut older = Vec::new();
        for keys in versions {
            older.clear();
            probe(keys, &mut older);
            for (found, older) in found.iter_mut().zip(&older) {
                *found = if *found == NOBODY { *older } else { *found };
            }
        }
        found
    }
}

/// Reads the rows of a batch and makes their match keys. A row whose kind and digest stood in the
/// batch before is a duplicate, whether or not it would match anybody.
pub fn key_rows<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    reading: Reading,
    secrets: &Secrets,
) -> KeyedBatch {
    let expected = rows.size_hint().0;
    let mut report = BatchReport::default();
    let mut keys = vec![Vec::with_capacity(expected); secrets.versions().len()];
    // A key stands for (kind, digest): two rows have the same key when they have both in common.
    let mut seen: HashSet<MatchKey, BuildHasherDefault<KeyHasher>> =
        HashSet::with_capacity_and_hasher(expected, BuildHasherDefault::default());
    for (index, row) in (0_u32..).zip(rows) {
        report.counts.received += 1;
        match row.digest(reading) {
            Ok((kind, digest)) => {
                let key = secrets.key(kind, &digest);
                if seen.insert(key) {
                    let all = std::iter::once(key).chain(secrets.older_keys(kind, &digest));
                    for (keys, key) in keys.iter_mut().zip(all) {
                        keys.push(key);
                    }
                } else {
                    report.counts.duplicate += 1;
                }
            }
            Err(refusal) => {
                report.counts.refuse(refusal);
                if report.rejections.len() < MAX_LISTED_REJECTIONS {
                    report.rejections.push((index, refusal));
                }
            }
        }
    }
    KeyedBatch { report, keys }
}

/// Takes eight bytes of a match key as its hash: keys are uniformly distributed, and nobody
/// without the secret can choose them.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*head);
        }
    }

    /// The length that arrays are hashed with, which is always the same.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use identifiers::{Kind, MatchKeySecret, Profile, Rejection};

    use super::*;
    use crate::domain::RowValue;

    const READING: Reading = Reading { profile: Profile::Meta, default_region: None };

    fn secret() -> Secrets {
        Secrets::new(MatchKeySecret::new(2, &[7; 32]).unwrap(), Vec::new())
    }

    #[test]
    fn older_keys_find_whom_newer_ones_do_not() {
        let old = MatchKeySecret::new(1, &[8; 32]).unwrap();
        let secrets = Secrets::new(MatchKeySecret::new(2, &[7; 32]).unwrap(), vec![old]);
        let rows = [email("a@example.com"), email("b@example.com"), email("c@example.com")];
        let batch = key_rows(rows.into_iter(), READING, &secrets);
        let mut answers = [vec![1, NOBODY, NOBODY], vec![2, 3, NOBODY]].into_iter();
        let found = batch.found(|keys, found| {
            assert_eq!(keys.len(), 3);
            found.extend(answers.next().unwrap());
        });
        assert_eq!(found, [1, 3, NOBODY]);
    }

    fn email(text: &str) -> Row<'_> {
        Row { kind: Some(Kind::Email), value: RowValue::Raw(text) }
    }

    #[test]
    fn counts_are_exact_and_rejections_name_rows() {
        let rows = [
            email("a@example.com"),
            email(" A@example.com "),
            email("nobody"),
            Row { kind: None, value: RowValue::Raw("a@example.com") },
            Row { kind: Some(Kind::ExternalId), value: RowValue::Raw("a@example.com") },
            Row { kind: Some(Kind::Email), value: RowValue::Missing },
        ];
        let batch = key_rows(rows.into_iter(), READING, &secret());
        assert_eq!(batch.keys[0].len(), 2);
        let counts = &batch.report.counts;
        assert_eq!((counts.received, counts.invalid(), counts.duplicate), (6, 3, 1));
        assert_eq!(
            batch.report.rejections,
            [
                (2, Refusal::Value(Rejection::NotAnEmail)),
                (3, Refusal::KindUnknown),
                (5, Refusal::Value(Rejection::Empty)),
            ]
        );
    }

    #[test]
    fn no_more_than_a_hundred_rejections_are_listed_and_all_are_counted() {
        let rows = std::iter::repeat_n(email("nobody"), 250);
        let report = key_rows(rows, READING, &secret()).report;
        assert_eq!((report.counts.invalid(), report.rejections.len()), (250, 100));
    }
}
