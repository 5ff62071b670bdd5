//! Reading everything, for a graph that starts.

use futures::TryStreamExt;
use sea_orm::{
    DatabaseTransaction, DbBackend, EntityTrait, IsolationLevel, QueryFilter, QueryOrder,
    QuerySelect, Statement, StreamTrait, prelude::*,
};
use service_kit::store::{self, StoreError};

use super::{
    Store,
    change::Change,
    columns,
    entity::{address_book, block, change, contact_settings, identifier, person},
    position,
};
use crate::{
    domain::address_book::entries,
    graph::{Builder, OwnedKey, Position, Snapshot},
};

/// Changes read at once.
const CHANGES: u64 = 1_000;

impl Store {
    /// Everything, as of one position, which comes with it; connections as far as possible from a
    /// snapshot, which `open` opens.
    pub(crate) async fn load(
        &self,
        open: impl Fn() -> Option<Snapshot>,
    ) -> Result<(Builder, Position), StoreError> {
        let open = &open;
        // One view: nothing that commits meanwhile is seen.
        store::transaction_at(&self.db, "load", IsolationLevel::RepeatableRead, |tx| async move {
            let mut builder = match open() {
                Some(snapshot) if follows(&tx, snapshot.position).await? => {
                    let position = snapshot.position;
                    let mut builder = Builder::with(snapshot);
                    connections_since(&tx, position, &mut builder).await?;
                    people(&tx, &mut builder).await?;
                    builder
                }
                _ => {
                    let mut builder = Builder::default();
                    people(&tx, &mut builder).await?;
                    connections(&tx, &mut builder).await?;
                    builder
                }
            };
            let mut blocks = block::Entity::find().stream(&*tx).await?;
            while let Some(row) = blocks.try_next().await? {
                builder.block(&row.subject.into(), &row.blocked.into());
            }
            drop(blocks);
            Ok((builder, position(&*tx).await?))
        })
        .await
    }
}

async fn people(tx: &DatabaseTransaction, builder: &mut Builder) -> Result<(), StoreError> {
    // By name: connections come in the same order.
    let mut people =
        person::Entity::find().order_by_asc(person::Column::Subject).stream(tx).await?;
    while let Some(row) = people.try_next().await? {
        let standing = columns::standing(&row);
        let subject = row.subject.into();
        builder.consent(&subject, standing.transfer, standing.suggest);
        builder.revision(&subject, standing.revision);
    }
    drop(people);
    let mut keys = identifier::Entity::find().stream(tx).await?;
    while let Some(row) = keys.try_next().await? {
        let key = columns::match_key(&row.match_key)?;
        builder.key(&row.subject.into(), OwnedKey { key, since: row.since });
    }
    drop(keys);
    let mut all_settings = contact_settings::Entity::find().stream(tx).await?;
    while let Some(row) = all_settings.try_next().await? {
        let settings = columns::settings(&row)?;
        builder.settings(&row.subject.into(), settings);
    }
    drop(all_settings);
    let mut books = address_book::Entity::find().stream(tx).await?;
    while let Some(row) = books.try_next().await? {
        builder.book(&row.subject.into(), row.synced, entries(&row.entries));
    }
    Ok(())
}

async fn connections(tx: &DatabaseTransaction, builder: &mut Builder) -> Result<(), StoreError> {
    // From either end. An index has each in order, but all of a large table by an index is slower
    // than all of it sorted: which is for the database to know here, unlike elsewhere (`BY_INDEX`).
    let backend = ConnectionTrait::get_database_backend(tx);
    if backend == DbBackend::Postgres {
        tx.execute_unprepared("SET LOCAL enable_seqscan = on").await?;
    }
    let both = "SELECT subject, other FROM connection \
                UNION ALL SELECT other, subject FROM connection ORDER BY 1, 2";
    let mut rows = tx.stream_raw(Statement::from_string(backend, both)).await?;
    while let Some(row) = rows.try_next().await? {
        let (subject, other): (String, String) = (row.try_get_by(0)?, row.try_get_by(1)?);
        builder.connection(&subject.into(), &other.into());
    }
    Ok(())
}

/// Whether all changes after this one are known one by one.
async fn follows(tx: &DatabaseTransaction, after: Position) -> Result<bool, StoreError> {
    let head = position(tx).await?;
    if head == after {
        return Ok(true);
    }
    let this = change::Entity::find_by_id(after.sequence).one(tx).await?;
    let is_ours = this.is_some_and(|row| columns::mark(&row.mark) == after.mark);
    let later = change::Entity::find().filter(change::Column::Seq.gt(after.sequence));
    let later = i64::try_from(later.count(tx).await?);
    Ok(is_ours && later == Ok(head.sequence - after.sequence))
}

/// Connections that came or went after a position.
async fn connections_since(
    tx: &DatabaseTransaction,
    after: Position,
    builder: &mut Builder,
) -> Result<(), StoreError> {
    let mut after = after.sequence;
    loop {
        let rows = change::Entity::find()
            .filter(change::Column::Seq.gt(after))
            .order_by_asc(change::Column::Seq)
            .limit(CHANGES)
            .all(tx)
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.seq;
        for row in &rows {
            for (one, other, is_there) in Change::decode(&row.body)?.into_parts().connections {
                builder.change_connection(&one, &other, is_there);
            }
        }
    }
}
