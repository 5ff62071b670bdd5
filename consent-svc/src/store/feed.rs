//! The feed of everything that changes an answer.
//!
//! Entries have consecutive positions, and become visible in the order of their positions: a
//! transaction takes its positions by counting up the one row of `feed_head`, as the last thing
//! before it commits, and holds that row until then. So whoever sees an entry sees all before it,
//! on PostgreSQL too, where transactions commit in any order; a reader that remembers a position
//! misses nothing and sees nothing twice. Writers pay with one commit at a time while they hold
//! the row; each commit carries a whole batch.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait,
    IsolationLevel, QueryFilter, QueryOrder, QuerySelect, Statement,
};
use service_kit::store::{StoreError, Tx, transaction_at};

use super::{Store, entity::feed, rows::stored, unreadable};
use crate::domain::{EventContent, Moment};

/// The kinds of entries as they stand in rows. Never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    SubjectPut = 1,
    NoticeServed = 2,
    DecisionRecorded = 3,
    Withdrawn = 4,
    ObjectionSignalSet = 5,
    Linked = 6,
    Unlinked = 7,
    GuardianSet = 8,
    DeadlinePassed = 9,
    PolicyChanged = 10,
    Erased = 11,
}

const KINDS: [Kind; 11] = [
    Kind::SubjectPut,
    Kind::NoticeServed,
    Kind::DecisionRecorded,
    Kind::Withdrawn,
    Kind::ObjectionSignalSet,
    Kind::Linked,
    Kind::Unlinked,
    Kind::GuardianSet,
    Kind::DeadlinePassed,
    Kind::PolicyChanged,
    Kind::Erased,
];

/// What kind of entry an event makes.
pub(super) fn kind(content: &EventContent) -> Kind {
    match content {
        EventContent::SubjectPut(_) => Kind::SubjectPut,
        EventContent::NoticeServed { .. } => Kind::NoticeServed,
        EventContent::DecisionRecorded { .. } => Kind::DecisionRecorded,
        EventContent::Withdrawn { .. } => Kind::Withdrawn,
        EventContent::ObjectionSignalSet { .. } => Kind::ObjectionSignalSet,
        EventContent::Linked { .. } => Kind::Linked,
        EventContent::Unlinked { .. } => Kind::Unlinked,
        EventContent::GuardianSet { .. } | EventContent::WardsSet { .. } => Kind::GuardianSet,
        EventContent::Erased | EventContent::ErasedContent { .. } => Kind::Erased,
    }
}

/// An entry that is to be appended.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) subject_id: Option<String>,
    pub(super) kind: Kind,
    /// The subject's revision after it; 0 where it is the event of a linked one.
    pub(super) revision: u64,
}

impl Entry {
    pub(super) fn about(subject_id: String, kind: Kind, revision: u64) -> Self {
        Self { subject_id: Some(subject_id), kind, revision }
    }

    /// A policy changed, and with it anybody's answers.
    pub(super) fn policies() -> Self {
        Self { subject_id: None, kind: Kind::PolicyChanged, revision: 0 }
    }
}

/// An entry as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fed {
    pub(crate) position: i64,
    /// Whose answers changed; nothing: anybody's.
    pub(crate) subject_id: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) revision: u64,
    pub(crate) recorded_at: Moment,
}

/// The most entries that are forgotten in one transaction.
const PURGED_AT_ONCE: i64 = 10_000;

/// How far the feed goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Entries up to this one are no longer kept.
    pub(crate) purged_to: i64,
    /// The last entry.
    pub(crate) last: i64,
}

/// Refuses entries of writes that have not seen the policies of now, from this transaction on. What
/// such a write computed of deadlines would be outdated, and the scan of them has passed it by.
pub(super) async fn begin_epoch(tx: &DatabaseTransaction) -> Result<(), StoreError> {
    let text = "UPDATE feed_head SET epoch = (SELECT value FROM policy_epoch)";
    tx.execute_raw(Statement::from_string(tx.get_database_backend(), text)).await?;
    Ok(())
}

/// Policies changed under a transaction that had decided by those of before.
pub(super) fn outdated() -> StoreError {
    StoreError::Conflict("the policies changed".to_owned())
}

/// Appends entries within a transaction, right before its commit. `epoch`: of the policies by which
/// the transaction has decided; [`StoreError::Conflict`] if they have changed since.
pub(super) async fn append(
    tx: &DatabaseTransaction,
    entries: Vec<Entry>,
    epoch: i64,
    now: Moment,
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let backend = tx.get_database_backend();
    let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
    let text = "UPDATE feed_head SET position = position + $1 WHERE epoch <= $2 RETURNING position";
    let values = [count.into(), epoch.into()];
    let head = Statement::from_sql_and_values(backend, text, values);
    let row = tx.query_one_raw(head).await?;
    let last: i64 = row.ok_or_else(outdated)?.try_get("", "position")?;
    let rows = (last - count + 1..).zip(entries).map(|(position, entry)| feed::ActiveModel {
        position: Set(position),
        subject_id: Set(entry.subject_id),
        kind: Set(entry.kind as i32),
        revision: Set(stored(entry.revision)),
        recorded_at: Set(now.millis()),
    });
    // Five values each: within what either database takes in one statement.
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(5_000) {
        feed::Entity::insert_many(rows.to_vec()).exec_without_returning(tx).await?;
    }
    Ok(())
}

impl Store {
    /// How far the feed goes.
    pub(crate) async fn feed_extent(&self) -> Result<Extent, StoreError> {
        let db = &self.shared.db;
        let text = "SELECT position, purged_to FROM feed_head";
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), text)).await?;
        let row = row.ok_or_else(|| unreadable("feed_head"))?;
        Ok(Extent { purged_to: row.try_get("", "purged_to")?, last: row.try_get("", "position")? })
    }

    /// The entries after a position, in order.
    pub(crate) async fn feed_after(
        &self,
        position: i64,
        limit: u64,
    ) -> Result<Vec<Fed>, StoreError> {
        let rows = feed::Entity::find()
            .filter(feed::Column::Position.gt(position))
            .order_by_asc(feed::Column::Position)
            .limit(limit)
            .all(&self.shared.db)
            .await?;
        let read = rows.into_iter().map(|row| {
            let kind = KINDS.into_iter().find(|kind| *kind as i32 == row.kind);
            Ok(Fed {
                position: row.position,
                subject_id: row.subject_id,
                kind: kind.ok_or_else(|| unreadable("feed"))?,
                revision: u64::try_from(row.revision).map_err(|_| unreadable("feed"))?,
                recorded_at: Moment::from_millis(row.recorded_at),
            })
        });
        read.collect()
    }

    /// Forgets entries recorded before an instant; cursors of before are too old from then on. A
    /// bounded number at once, since all writers wait where the end of it is noted; says whether
    /// there may be more.
    pub(crate) async fn purge_feed(&self, before: Moment) -> Result<bool, StoreError> {
        let work = |tx: Tx| async move {
            let backend = tx.get_database_backend();
            // Entries are in order of time but for the clocks of replicas: the first that is to be
            // kept ends it, and no position is ever left out.
            let text = "SELECT COALESCE(\
                          (SELECT MIN(position) - 1 FROM feed WHERE recorded_at >= $1), \
                          (SELECT MAX(position) FROM feed)) AS last";
            let values = [before.millis().into()];
            let row =
                tx.query_one_raw(Statement::from_sql_and_values(backend, text, values)).await?;
            let last = row.map(|row| row.try_get::<Option<i64>>("", "last")).transpose()?.flatten();
            let Some(last) = last else { return Ok(false) };
            let text = "SELECT purged_to FROM feed_head";
            let head = tx.query_one_raw(Statement::from_string(backend, text)).await?;
            let purged: i64 =
                head.ok_or_else(|| unreadable("feed_head"))?.try_get("", "purged_to")?;
            let (all, last) = (last, last.min(purged.saturating_add(PURGED_AT_ONCE)));
            let text = "DELETE FROM feed WHERE position <= $1";
            let deleted = tx
                .execute_raw(Statement::from_sql_and_values(backend, text, [last.into()]))
                .await?;
            if deleted.rows_affected() > 0 {
                let text = "UPDATE feed_head SET purged_to = $1 WHERE purged_to < $1";
                let values = [last.into()];
                tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
            }
            Ok::<_, StoreError>(last < all)
        };
        let level = IsolationLevel::ReadCommitted;
        transaction_at(&self.shared.db, "purge_feed", level, work).await
    }
}

/// The key that seals this feed's cursors: the same for all replicas, for ever.
pub(super) async fn cursor_key(db: &impl ConnectionTrait) -> Result<Vec<u8>, StoreError> {
    let text = "SELECT cursor_key FROM feed_head";
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), text)).await?;
    Ok(row.ok_or_else(|| unreadable("feed_head"))?.try_get("", "cursor_key")?)
}
