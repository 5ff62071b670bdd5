//! Sizes as they were released: drawn once, given again.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, EntityTrait, sea_query::OnConflict,
};

use super::{entity::reach_release as table, failed};
use crate::{
    domain::{Audience, BusinessScope, Expression, Released},
    error::Error,
};

/// The release under a key.
pub(crate) async fn find(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    key: &[u8; 32],
) -> Result<Option<Released>, Error> {
    let id = (scope.business_id().to_owned(), key.to_vec());
    let found = table::Entity::find_by_id(id).one(db).await.map_err(failed)?;
    found.map(|row| read(&row.released)).transpose()
}

/// Keeps a release, unless one was kept under its key before; gives the one that is kept. None:
/// its list was changed, and the release dropped, at this moment.
pub(crate) async fn keep(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    key: &[u8; 32],
    released: Released,
) -> Result<Option<Released>, Error> {
    let row = table::ActiveModel {
        business_id: Set(scope.business_id().to_owned()),
        expression: Set(key.to_vec()),
        released: Set(write(released)?),
    };
    let first = OnConflict::columns([table::Column::BusinessId, table::Column::Expression])
        .do_nothing()
        .to_owned();
    let insert = table::Entity::insert(row).on_conflict(first);
    insert.exec_without_returning(db).await.map_err(failed)?;
    find(db, scope, key).await
}

/// Drops the release of an audience's present list, which is about to be no more. Its version
/// never comes again, so neither does the release's key.
pub(super) async fn drop_of_list(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience: &Audience,
) -> Result<(), Error> {
    let versions = BTreeMap::from([(audience.audience_id.clone(), audience.version)]);
    let key = Expression::of_audience(&*audience.audience_id).release_key(&versions);
    let id = (scope.business_id().to_owned(), key.to_vec());
    table::Entity::delete_by_id(id).exec(tx).await.map(drop).map_err(failed)
}

pub(super) fn write(released: Released) -> Result<String, Error> {
    serde_json::to_string(&released).map_err(|_| Error::Internal("a release cannot be written"))
}

pub(super) fn read(stored: &str) -> Result<Released, Error> {
    serde_json::from_str(stored).map_err(|_| Error::Internal("a stored release cannot be read"))
}
