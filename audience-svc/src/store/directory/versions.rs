//! How many people are keyed under each version of the secret: counted as they come and leave, by
//! whoever changes the directory, so that nobody has to count them all.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait as _, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use super::Stored;
use crate::{
    error::Error,
    store::{
        columns::number,
        entity::{directory_subject as subject, directory_version as version},
        failed,
    },
};

/// By how much one transaction changes the counts.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<u16, i64>);

impl Counted {
    pub(super) fn comes(&mut self, version: u16) {
        *self.0.entry(version).or_default() += 1;
    }

    pub(super) fn leaves(&mut self, version: u16) {
        *self.0.entry(version).or_default() -= 1;
    }

    pub(super) async fn save(self, tx: &DatabaseTransaction) -> Result<(), Error> {
        let changed = self.0.into_iter().filter(|(_, by)| *by != 0);
        let rows: Vec<_> = changed
            .map(|(number, by)| version::ActiveModel {
                version: Set(i32::from(number)),
                people: Set(by),
            })
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let people = Expr::col((version::Entity, version::Column::People));
        let known = OnConflict::column(version::Column::Version)
            .value(version::Column::People, people.add(Expr::cust("excluded.people")))
            .to_owned();
        let insert = version::Entity::insert_many(rows).on_conflict(known);
        insert.exec_without_returning(tx).await.map(drop).map_err(failed)
    }
}

/// How many people are keyed under each version, whether or not their rows still count.
pub(crate) async fn people_by_version(
    db: &impl ConnectionTrait,
) -> Result<BTreeMap<u16, u64>, Error> {
    let rows = version::Entity::find().all(db).await.map_err(failed)?;
    let count = |row: version::Model| Ok((number(row.version.into())?, number(row.people)?));
    rows.into_iter().map(count).collect()
}

/// Some of those who are keyed under a version.
pub(crate) async fn keyed_under(
    db: &impl ConnectionTrait,
    version: u16,
    limit: u64,
) -> Result<Vec<Stored>, Error> {
    let rows = subject::Entity::find()
        .filter(subject::Column::SecretVersion.eq(i32::from(version)))
        .order_by_asc(subject::Column::SecretVersion)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Stored::of).collect()
}
