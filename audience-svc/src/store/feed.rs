//! How far consent-svc's feed of changes has been followed.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait as _},
};
use service_kit::clock::UnixMillis;

use super::{entity::feed_position as table, failed};
use crate::error::Error;

/// Where the replicas are together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The feed's own.
    pub(crate) cursor: Vec<u8>,
    /// Raised by whoever follows.
    pub(crate) beat: i64,
    /// After whom a sweep goes on; none is under way.
    pub(crate) sweep: Option<String>,
    /// How many sweeps were asked for.
    pub(crate) sweeps: i64,
    /// When the last sweep ended.
    pub(crate) swept_at: UnixMillis,
}

impl Position {
    fn of(row: Option<table::Model>) -> Result<Self, Error> {
        let row = row.ok_or(Error::Internal("the feed has no position"))?;
        let table::Model { cursor, beat, sweep, sweeps, swept_at, .. } = row;
        Ok(Self { cursor, beat, sweep, sweeps, swept_at: UnixMillis::new(swept_at) })
    }
}

pub(crate) async fn position(db: &impl ConnectionTrait) -> Result<Position, Error> {
    Position::of(table::Entity::find_by_id(1).one(db).await.map_err(failed)?)
}

/// As [`position`]; until the transaction ends nobody else moves it.
pub(crate) async fn lock(tx: &DatabaseTransaction) -> Result<Position, Error> {
    let query = table::Entity::find_by_id(1).lock_exclusive();
    Position::of(query.one(tx).await.map_err(failed)?)
}

/// Says that everything up to `cursor` is done.
pub(crate) async fn advance(db: &impl ConnectionTrait, cursor: &[u8]) -> Result<(), Error> {
    table::Entity::update_many()
        .col_expr(table::Column::Cursor, Expr::value(cursor.to_vec()))
        .col_expr(table::Column::Beat, Expr::col(table::Column::Beat).add(1))
        .filter(table::Column::Id.eq(1))
        .exec(db)
        .await
        .map(drop)
        .map_err(failed)
}

/// Asks for a sweep of everybody, from the beginning.
pub(crate) async fn begin_sweep(tx: &DatabaseTransaction) -> Result<(), Error> {
    let update = table::Entity::update_many()
        .col_expr(table::Column::Sweep, Expr::value(""))
        .col_expr(table::Column::Sweeps, Expr::col(table::Column::Sweeps).add(1))
        .filter(table::Column::Id.eq(1));
    update.exec(tx).await.map(drop).map_err(failed)
}

/// Says after whom the sweep goes on.
pub(crate) async fn sweep_after(db: &impl ConnectionTrait, position: &str) -> Result<(), Error> {
    let update = table::Entity::update_many()
        .col_expr(table::Column::Sweep, Expr::value(position))
        .col_expr(table::Column::Beat, Expr::col(table::Column::Beat).add(1))
        .filter(table::Column::Id.eq(1));
    update.exec(db).await.map(drop).map_err(failed)
}

/// Says that the sweep has come to its end.
pub(crate) async fn swept(db: &impl ConnectionTrait, now: UnixMillis) -> Result<(), Error> {
    let update = table::Entity::update_many()
        .col_expr(table::Column::Sweep, Expr::value(None::<String>))
        .col_expr(table::Column::SweptAt, Expr::value(now.get()))
        .filter(table::Column::Id.eq(1));
    update.exec(db).await.map(drop).map_err(failed)
}
