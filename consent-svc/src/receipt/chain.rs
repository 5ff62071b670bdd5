//! Whether several receipts of one person follow one another.

use std::collections::BTreeMap;

use super::{Failure, Record};

/// The receipts of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The person's account.
    pub subject_id: String,
    /// The revision of the first receipt.
    pub first: u64,
    /// The revision of the last receipt.
    pub last: u64,
    /// All that is wrong; empty: each receipt is of the event right after the one before.
    pub failures: Vec<Failure>,
}

/// Puts receipts in the order of their events, person by person, and checks that each names the
/// digest of the one before, with no gap. What each says by itself must be checked for itself.
pub fn verify_chains<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Chain> {
    let mut people: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        people.entry(&record.pii_principal_id).or_default().push(record);
    }
    people.into_iter().map(|(subject_id, records)| chain(subject_id, records)).collect()
}

fn chain(subject_id: &str, mut records: Vec<&Record>) -> Chain {
    records.sort_by_key(|record| record.integrity.revision);
    let mut failures = Vec::new();
    let mut fail = |why: String| failures.push(Failure::new("chain", why));
    for pair in records.windows(2) {
        let (one, next) = (&pair[0].integrity, &pair[1].integrity);
        let (before, after) = (one.revision, next.revision);
        if before == after {
            if one.digest != next.digest {
                fail(format!("{subject_id} has two different events {before}"));
            }
        } else if before.checked_add(1) != Some(after) {
            fail(format!("of {subject_id}, what is between event {before} and {after} is missing"));
        } else if next.previous_digest != one.digest {
            fail(format!("event {after} of {subject_id} does not follow on event {before}"));
        }
    }
    let revision = |record: Option<&&Record>| record.map_or(0, |record| record.integrity.revision);
    Chain {
        subject_id: subject_id.to_owned(),
        first: revision(records.first()),
        last: revision(records.last()),
        failures,
    }
}
