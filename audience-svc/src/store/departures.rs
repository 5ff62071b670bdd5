//! Who has left all lists of a business, for good. Kept by subject, so that they survive another
//! list, another audience and another registration.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::OnConflict,
};
use service_kit::clock::UnixMillis;

use super::{
    MANY,
    columns::number,
    entity::{departure as table, directory_subject as subject},
    failed,
};
use crate::{domain::BusinessScope, error::Error};

/// Takes a subject out of all lists of a business.
pub(crate) async fn put(
    tx: &DatabaseTransaction,
    subject_id: &str,
    business_id: &str,
    now: UnixMillis,
) -> Result<(), Error> {
    let row = table::ActiveModel {
        subject_id: Set(subject_id.to_owned()),
        business_id: Set(business_id.to_owned()),
        left_at: Set(now.get()),
    };
    let known = OnConflict::columns([table::Column::SubjectId, table::Column::BusinessId])
        .do_nothing()
        .to_owned();
    let insert = table::Entity::insert(row).on_conflict(known);
    insert.exec_without_returning(tx).await.map(drop).map_err(failed)
}

/// The businesses that a subject has left, and when.
pub(crate) async fn of_subject(
    db: &impl ConnectionTrait,
    subject_id: &str,
) -> Result<Vec<(String, UnixMillis)>, Error> {
    let query = table::Entity::find().filter(table::Column::SubjectId.eq(subject_id));
    let rows = query.all(db).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| (row.business_id, UnixMillis::new(row.left_at))).collect())
}

/// The ordinals of those who have left a business.
pub(crate) async fn of_business(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
) -> Result<RoaringBitmap, Error> {
    let left: BTreeSet<String> = table::Entity::find()
        .select_only()
        .column(table::Column::SubjectId)
        .filter(table::Column::BusinessId.eq(scope.business_id()))
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)?
        .into_iter()
        .collect();
    let left: Vec<String> = left.into_iter().collect();
    let mut ordinals = RoaringBitmap::new();
    for some in left.chunks(MANY) {
        let rows: Vec<i64> = subject::Entity::find()
            .select_only()
            .column(subject::Column::Ordinal)
            .filter(subject::Column::SubjectId.is_in(some.iter().map(String::as_str)))
            .into_tuple()
            .all(db)
            .await
            .map_err(failed)?;
        for row in rows {
            ordinals.insert(number(row)?);
        }
    }
    Ok(ordinals)
}

/// A page of those who have left any business after a subject, in the order of their ids.
pub(crate) async fn page_of(
    db: &impl ConnectionTrait,
    after: &str,
    limit: u64,
) -> Result<Vec<String>, Error> {
    table::Entity::find()
        .select_only()
        .column(table::Column::SubjectId)
        .distinct()
        .filter(table::Column::SubjectId.gt(after))
        .order_by_asc(table::Column::SubjectId)
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)
}

/// Forgets what a subject has left: it is erased.
pub(crate) async fn forget(tx: &DatabaseTransaction, subject_ids: &[String]) -> Result<(), Error> {
    for some in subject_ids.chunks(MANY) {
        let these = table::Column::SubjectId.is_in(some.iter().map(String::as_str));
        table::Entity::delete_many().filter(these).exec(tx).await.map_err(failed)?;
    }
    Ok(())
}
