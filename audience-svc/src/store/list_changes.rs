//! The sequence in which lists changed, for what is kept of them in memory. Whoever changes one
//! takes a number at the end of its transaction: changes become visible in the order of their
//! numbers.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use service_kit::clock::UnixMillis;

use super::{
    entity::{list_change as table, list_counter as counter},
    failed,
};
use crate::error::Error;

/// A list that changed: its members in these chunks, whether it may be targeted, or that it is
/// there at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListChange {
    pub(crate) audience_id: String,
    pub(crate) chunks: BTreeSet<u16>,
}

/// What changed after a position.
#[derive(Debug)]
pub(crate) enum Tail {
    /// These, in order, up to this position; nothing when there is no more.
    Changes(Vec<ListChange>, i64),
    /// Some are not kept any more: load everything.
    Gone,
}

/// Notes that a list has changed.
pub(crate) async fn record(
    tx: &DatabaseTransaction,
    audience_id: &str,
    chunks: &BTreeSet<u16>,
    now: UnixMillis,
) -> Result<(), Error> {
    counter::Entity::update_many()
        .col_expr(counter::Column::LastChange, Expr::col(counter::Column::LastChange).add(1))
        .filter(counter::Column::Id.eq(1))
        .exec(tx)
        .await
        .map_err(failed)?;
    let row = table::ActiveModel {
        seq: Set(read(tx).await?.last_change),
        recorded_at: Set(now.get()),
        audience_id: Set(audience_id.to_owned()),
        chunks: Set(chunks.iter().flat_map(|chunk| chunk.to_le_bytes()).collect()),
    };
    table::Entity::insert(row).exec_without_returning(tx).await.map(drop).map_err(failed)
}

/// The number of the last change.
pub(crate) async fn last(db: &impl ConnectionTrait) -> Result<i64, Error> {
    Ok(read(db).await?.last_change)
}

/// Reads up to `limit` changes after a position.
pub(crate) async fn after(
    db: &impl ConnectionTrait,
    position: i64,
    limit: u64,
) -> Result<Tail, Error> {
    let rows = table::Entity::find()
        .filter(table::Column::Seq.gt(position))
        .order_by_asc(table::Column::Seq)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    // Asked after the changes were read: what was pruned before that is known by now.
    if read(db).await?.pruned_change > position {
        return Ok(Tail::Gone);
    }
    let reached = rows.last().map_or(position, |row| row.seq);
    let change = |row: table::Model| {
        let (chunks, []) = row.chunks.as_chunks() else {
            return Err(Error::Internal("a stored change of a list cannot be read"));
        };
        let chunks = chunks.iter().map(|chunk| u16::from_le_bytes(*chunk)).collect();
        Ok(ListChange { audience_id: row.audience_id, chunks })
    };
    Ok(Tail::Changes(rows.into_iter().map(change).collect::<Result<_, _>>()?, reached))
}

/// Forgets changes recorded before `before`; a memory that has not seen them loads itself anew.
pub(crate) async fn prune(tx: &DatabaseTransaction, before: UnixMillis) -> Result<(), Error> {
    // So that two who prune do not set one another back.
    let counter = counter::Entity::find_by_id(1).lock_exclusive().one(tx).await;
    counter.map_err(failed)?;
    let old = table::Column::RecordedAt.lt(before.get());
    let last = table::Entity::find().filter(old).order_by_desc(table::Column::Seq);
    let Some(last) = last.one(tx).await.map_err(failed)? else { return Ok(()) };
    let gone = table::Entity::delete_many().filter(table::Column::Seq.lte(last.seq));
    gone.exec(tx).await.map_err(failed)?;
    counter::Entity::update_many()
        .col_expr(counter::Column::PrunedChange, Expr::value(last.seq))
        .filter(counter::Column::Id.eq(1))
        .exec(tx)
        .await
        .map(drop)
        .map_err(failed)
}

async fn read(db: &impl ConnectionTrait) -> Result<counter::Model, Error> {
    let row = counter::Entity::find_by_id(1).one(db).await.map_err(failed)?;
    row.ok_or(Error::Internal("lists have no counter"))
}
