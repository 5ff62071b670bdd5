//! Erasures that consent-svc has not been told of. It is told when nothing of the person is left
//! here, the keys in the log of the directory's changes included.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QuerySelect, sea_query::OnConflict,
};

use super::{MANY, directory, entity::erasure as table, failed};
use crate::error::Error;

/// Notes that subjects were erased, by the transaction that does it. Whoever calls it keeps others
/// from changing the directory: no later change names their keys.
pub(crate) async fn put(tx: &DatabaseTransaction, subject_ids: &[String]) -> Result<(), Error> {
    if subject_ids.is_empty() {
        return Ok(());
    }
    let after = directory::last_change(tx).await?.seq;
    for some in subject_ids.chunks(MANY) {
        let row = |subject_id: &String| table::ActiveModel {
            subject_id: Set(subject_id.clone()),
            after_change: Set(after),
        };
        let again = OnConflict::column(table::Column::SubjectId)
            .update_column(table::Column::AfterChange)
            .to_owned();
        let insert = table::Entity::insert_many(some.iter().map(row)).on_conflict(again);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}

/// Some of whom nothing is left.
pub(crate) async fn done(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<String>, Error> {
    let pruned = directory::pruned_change(db).await?;
    table::Entity::find()
        .select_only()
        .column(table::Column::SubjectId)
        .filter(table::Column::AfterChange.lte(pruned))
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)
}

/// Forgets an erasure that consent-svc was told of.
pub(crate) async fn told(db: &impl ConnectionTrait, subject_id: &str) -> Result<(), Error> {
    table::Entity::delete_by_id(subject_id).exec(db).await.map(drop).map_err(failed)
}
