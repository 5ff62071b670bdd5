//! Ranges of phone numbers: who is in which, and how many additions each has seen lately.

use std::collections::{BTreeMap, HashMap};

use identifiers::MatchKey;
use sea_orm::{
    ActiveValue::Set,
    EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    prelude::*,
    sea_query::{CaseStatement, Expr, OnConflict},
};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{
    Store,
    columns::ROWS,
    entity::{number_range, range_budget},
    writing::Writing,
};
use crate::domain::{
    Subject,
    address_book::{ENTRY_BYTES, entries},
    identifiers::Range,
    quota::Bucket,
};

/// The ranges that a person has numbers in, and the keys of those numbers.
pub(crate) type NumberRanges = BTreeMap<Range, Vec<MatchKey>>;

impl Writing {
    /// Replaces in which ranges people's numbers are.
    pub(crate) async fn replace_ranges(
        &self,
        people: &[(&Subject, &NumberRanges)],
    ) -> Result<(), StoreError> {
        for chunk in people.chunks(ROWS) {
            let mut before = self.stored_ranges(chunk.iter().map(|(subject, _)| *subject)).await?;
            let (mut changed, mut new) = (Vec::new(), Vec::new());
            for (subject, ranges) in chunk {
                let rows: Vec<_> =
                    ranges.iter().map(|(range, keys)| (range.0, packed(keys))).collect();
                let stored = before.remove(subject.as_str()).unwrap_or_default();
                if stored == rows {
                    continue;
                }
                if !stored.is_empty() {
                    changed.push((*subject).clone());
                }
                new.extend(rows.into_iter().map(|(range, match_keys)| number_range::ActiveModel {
                    subject: Set(subject.to_string()),
                    range: Set(range),
                    match_keys: Set(match_keys),
                }));
            }
            self.forget_ranges(&changed).await?;
            for rows in new.chunks(ROWS) {
                let insert = number_range::Entity::insert_many(rows.to_vec());
                insert.exec_without_returning(&*self.tx).await?;
            }
        }
        Ok(())
    }

    /// By person, in ascending order of range.
    async fn stored_ranges(
        &self,
        people: impl Iterator<Item = &Subject>,
    ) -> Result<HashMap<String, Vec<(i64, Vec<u8>)>>, StoreError> {
        let rows = number_range::Entity::find()
            .filter(number_range::Column::Subject.is_in(people.map(Subject::as_str)))
            .order_by_asc(number_range::Column::Range)
            .all(&*self.tx)
            .await?;
        let mut ranges: HashMap<_, Vec<_>> = HashMap::new();
        for row in rows {
            ranges.entry(row.subject).or_default().push((row.range, row.match_keys));
        }
        Ok(ranges)
    }

    /// Forgets in which ranges people's numbers are: at most as many as rows of one statement.
    pub(super) async fn forget_ranges(&self, people: &[Subject]) -> Result<(), StoreError> {
        if people.is_empty() {
            return Ok(());
        }
        number_range::Entity::delete_many()
            .filter(number_range::Column::Subject.is_in(people.iter().map(Subject::as_str)))
            .exec(&*self.tx)
            .await?;
        Ok(())
    }
}

// Counting takes no turn among the writes: it changes nothing that replicas follow.
impl Store {
    /// In which ranges these keys of these people are; how many of them in each.
    pub(crate) async fn ranges_of(
        &self,
        found: &[(MatchKey, Subject)],
    ) -> Result<BTreeMap<Range, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        for chunk in found.chunks(ROWS) {
            let mut ranges: HashMap<String, Vec<number_range::Model>> = HashMap::new();
            let named = chunk.iter().map(|(_, subject)| subject.as_str());
            let query =
                number_range::Entity::find().filter(number_range::Column::Subject.is_in(named));
            for row in query.all(&self.db).await? {
                ranges.entry(row.subject.clone()).or_default().push(row);
            }
            for (key, subject) in chunk {
                let rows = ranges.get(subject.as_str()).into_iter().flatten();
                for row in rows.filter(|row| entries(&row.match_keys).contains(key)) {
                    *counts.entry(Range(row.range)).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }

    /// Adds to the buckets of ranges, however full they are.
    pub(crate) async fn count_additions(
        &self,
        counts: &BTreeMap<Range, u64>,
        bucket: Bucket,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (range, empty_at) = (range_budget::Column::Range, range_budget::Column::EmptyAt);
        // In ascending order: replicas that count at once wait for each other, not in a circle.
        let rows: Vec<_> = counts
            .iter()
            .map(|(range, count)| range_budget::ActiveModel {
                range: Set(range.0),
                empty_at: Set(bucket.pour(None, now.get(), *count)),
            })
            .collect();
        for chunk in rows.chunks(ROWS) {
            // The later of what is stored and now, and as much later as it is for an empty one.
            let stored = Expr::col((range_budget::Entity, empty_at));
            let from =
                CaseStatement::new().case(stored.clone().gt(now.get()), stored).finally(now.get());
            let more = Expr::col(("excluded", empty_at)).sub(now.get());
            let poured = Expr::expr(from).add(more);
            let pour = OnConflict::column(range).value(empty_at, poured).to_owned();
            let insert = range_budget::Entity::insert_many(chunk.to_vec()).on_conflict(pour);
            insert.exec_without_returning(&self.db).await?;
        }
        Ok(())
    }

    /// Ranges that are over their budget, at most so many, those that are so for longest first.
    pub(crate) async fn ranges_over_budget(
        &self,
        bucket: Bucket,
        now: UnixMillis,
        at_most: u64,
    ) -> Result<Vec<Range>, StoreError> {
        let full = range_budget::Column::EmptyAt.gt(bucket.full(now.get()));
        let rows = range_budget::Entity::find()
            .filter(full)
            .order_by_desc(range_budget::Column::EmptyAt)
            .limit(at_most)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(|row| Range(row.range)).collect())
    }

    /// The keys of all numbers in a range.
    pub(crate) async fn keys_of_range(&self, range: Range) -> Result<Vec<MatchKey>, StoreError> {
        let rows = number_range::Entity::find()
            .filter(number_range::Column::Range.eq(range.0))
            .all(&self.db)
            .await?;
        Ok(rows.iter().flat_map(|row| entries(&row.match_keys)).collect())
    }

    /// Forgets buckets of ranges that are empty.
    pub(crate) async fn forget_empty_ranges(&self, now: UnixMillis) -> Result<(), StoreError> {
        range_budget::Entity::delete_many()
            .filter(range_budget::Column::EmptyAt.lte(now.get()))
            .exec(&self.db)
            .await?;
        Ok(())
    }
}

fn packed(keys: &[MatchKey]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(keys.len() * ENTRY_BYTES);
    for key in keys {
        bytes.extend_from_slice(key.as_bytes());
    }
    bytes
}
