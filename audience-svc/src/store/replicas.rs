//! The replicas that run on this store. Each has a row and renews it; one that is not renewed is of
//! a process that is gone.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::OnConflict,
};
use service_kit::clock::UnixMillis;

use super::{entity::replica as table, failed};
use crate::error::Error;

/// Says that a replica runs, and with which versions of the secret; forgets those of which nothing
/// was heard since `gone`.
pub(crate) async fn announce(
    db: &impl ConnectionTrait,
    replica_id: &str,
    versions: &BTreeSet<u16>,
    now: UnixMillis,
    gone: UnixMillis,
) -> Result<(), Error> {
    let written = serde_json::to_string(versions)
        .map_err(|_| Error::Internal("versions cannot be written"))?;
    let row = table::ActiveModel {
        replica_id: Set(replica_id.to_owned()),
        secret_versions: Set(written),
        seen_at: Set(now.get()),
    };
    let known = OnConflict::column(table::Column::ReplicaId)
        .update_columns([table::Column::SecretVersions, table::Column::SeenAt])
        .to_owned();
    let insert = table::Entity::insert(row).on_conflict(known);
    insert.exec_without_returning(db).await.map_err(failed)?;
    let old = table::Entity::delete_many().filter(table::Column::SeenAt.lte(gone.get()));
    old.exec(db).await.map(drop).map_err(failed)
}

/// A replica ends.
pub(crate) async fn leave(db: &impl ConnectionTrait, replica_id: &str) -> Result<(), Error> {
    table::Entity::delete_by_id(replica_id).exec(db).await.map(drop).map_err(failed)
}

/// The versions of the secret that each other replica has of which something was heard after
/// `gone`.
pub(crate) async fn others(
    db: &impl ConnectionTrait,
    replica_id: &str,
    gone: UnixMillis,
) -> Result<Vec<BTreeSet<u16>>, Error> {
    let rows = table::Entity::find()
        .filter(table::Column::ReplicaId.ne(replica_id))
        .filter(table::Column::SeenAt.gt(gone.get()))
        .all(db)
        .await
        .map_err(failed)?;
    let versions = rows.iter().map(|row| serde_json::from_str(&row.secret_versions));
    let unreadable = |_| Error::Internal("the versions of a replica cannot be read");
    versions.collect::<Result<_, _>>().map_err(unreadable)
}
