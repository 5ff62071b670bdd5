//! Sizes as they were released: drawn once, given again.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    sea_query::OnConflict,
};
use service_kit::clock::UnixMillis;

use super::{
    columns::{big, number},
    entity::{reach_release as table, release_budget as budget},
    failed,
};
use crate::{
    domain::{Audience, Budget, BusinessScope, Expression, Released},
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

/// What an owner has spent of its releases.
#[derive(Debug)]
pub(crate) struct Spent {
    owner_id: String,
    /// When: those that may still count, in order.
    pub(crate) drawn: Vec<UnixMillis>,
    /// How many there were altogether.
    pub(crate) ever: u64,
}

/// What an owner has spent, as of now.
pub(crate) async fn spent(db: &impl ConnectionTrait, owner_id: &str) -> Result<Spent, Error> {
    let row = budget::Entity::find_by_id(owner_id).one(db).await.map_err(failed)?;
    let nothing = Spent { owner_id: owner_id.to_owned(), drawn: Vec::new(), ever: 0 };
    row.map_or(Ok(nothing), Spent::of)
}

/// What an owner has spent; until the transaction ends nobody else spends any of it.
pub(crate) async fn lock_spent(tx: &DatabaseTransaction, owner_id: &str) -> Result<Spent, Error> {
    let nothing = budget::ActiveModel {
        owner_id: Set(owner_id.to_owned()),
        ever: Set(0),
        drawn: Set(Vec::new()),
    };
    let known = OnConflict::column(budget::Column::OwnerId).do_nothing().to_owned();
    let insert = budget::Entity::insert(nothing).on_conflict(known);
    insert.exec_without_returning(tx).await.map_err(failed)?;
    let row = budget::Entity::find_by_id(owner_id).lock_exclusive().one(tx).await;
    let row = row.map_err(failed)?.ok_or(Error::Internal("a budget is gone"))?;
    Spent::of(row)
}

impl Spent {
    fn of(row: budget::Model) -> Result<Self, Error> {
        let (drawn, []) = row.drawn.as_chunks() else {
            return Err(Error::Internal("a stored budget cannot be read"));
        };
        let drawn = drawn.iter().map(|at| UnixMillis::new(i64::from_le_bytes(*at))).collect();
        Ok(Self { owner_id: row.owner_id, drawn, ever: number(row.ever)? })
    }
}

/// Keeps a fresh release, and that it was spent.
pub(crate) async fn keep(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    key: &[u8; 32],
    released: Released,
    mut spent: Spent,
) -> Result<(), Error> {
    let now = released.at();
    spent.drawn.retain(|at| now.since(*at) < Budget::WINDOW);
    spent.drawn.push(now);
    let drawn = spent.drawn.iter().flat_map(|at| at.get().to_le_bytes()).collect();
    let row = budget::ActiveModel {
        owner_id: NotSet,
        ever: Set(big(spent.ever.saturating_add(1))),
        drawn: Set(drawn),
    };
    let update =
        budget::Entity::update_many().set(row).filter(budget::Column::OwnerId.eq(spent.owner_id));
    update.exec(tx).await.map_err(failed)?;
    let row = table::ActiveModel {
        business_id: Set(scope.business_id().to_owned()),
        expression: Set(key.to_vec()),
        released: Set(write(released)?),
    };
    table::Entity::insert(row).exec_without_returning(tx).await.map(drop).map_err(failed)
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
