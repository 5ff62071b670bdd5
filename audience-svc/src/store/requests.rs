//! Which writes were done, by the caller's request id.

use proto::options::v1::Role;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
};
use serde::{Serialize, de::DeserializeOwned};
use service_kit::{clock::UnixMillis, store::StoreError};

use super::{entity::request_record as table, failed};
use crate::{error::Error, seal::Sealed};

/// Names one write of one caller.
#[derive(Debug, Clone)]
pub(crate) struct RequestKey {
    /// The caller: its role, and which of that role.
    pub(crate) principal: String,
    /// Chosen by the caller.
    pub(crate) request_id: String,
    /// Keyed digest of what is asked for, its method included. Keyed, because requests with
    /// identifiers in them can be guessed from a plain one.
    pub(crate) content: Sealed,
    /// What the transaction is called in logs.
    pub(crate) method: &'static str,
}

/// The answer that was given before, if any.
pub(crate) async fn replay<T: DeserializeOwned>(
    db: &impl ConnectionTrait,
    key: &RequestKey,
) -> Result<Option<T>, Error> {
    let id = (key.principal.clone(), key.request_id.clone());
    let Some(known) = table::Entity::find_by_id(id).one(db).await.map_err(failed)? else {
        return Ok(None);
    };
    answer(key, &known).map(Some)
}

/// As [`replay`] for several requests of one caller.
pub(crate) async fn replays<T: DeserializeOwned>(
    db: &impl ConnectionTrait,
    keys: &[&RequestKey],
) -> Result<Vec<Option<T>>, Error> {
    let Some(first) = keys.first() else { return Ok(Vec::new()) };
    let rows = table::Entity::find()
        .filter(table::Column::Principal.eq(&*first.principal))
        .filter(table::Column::RequestId.is_in(keys.iter().map(|key| &*key.request_id)))
        .all(db)
        .await
        .map_err(failed)?;
    let known = |key: &&RequestKey| {
        let known = rows.iter().find(|row| row.request_id == key.request_id);
        known.map(|known| answer(key, known)).transpose()
    };
    keys.iter().map(known).collect()
}

fn answer<T: DeserializeOwned>(key: &RequestKey, known: &table::Model) -> Result<T, Error> {
    if !key.content.is(&known.content) {
        return Err(Error::RequestIdReused);
    }
    serde_json::from_str(&known.answer)
        .map_err(|_| Error::Internal("a stored answer cannot be read"))
}

pub(crate) async fn record<T: Serialize>(
    tx: &DatabaseTransaction,
    key: &RequestKey,
    answer: &T,
    now: UnixMillis,
) -> Result<(), Error> {
    record_all(tx, &[(key, answer)], now).await
}

/// Notes what several requests were answered.
pub(crate) async fn record_all<T: Serialize>(
    tx: &DatabaseTransaction,
    answers: &[(&RequestKey, &T)],
    now: UnixMillis,
) -> Result<(), Error> {
    let row = |(key, answer): &(&RequestKey, &T)| {
        Ok::<_, Error>(table::ActiveModel {
            principal: Set(key.principal.clone()),
            request_id: Set(key.request_id.clone()),
            content: Set(key.content.kept()),
            answer: Set(written(answer)?),
            recorded_at: Set(now.get()),
        })
    };
    let rows: Vec<_> = answers.iter().map(row).collect::<Result<_, _>>()?;
    match table::Entity::insert_many(rows)
        .exec_without_returning(tx)
        .await
        .map_err(StoreError::from)
    {
        // The same request, sent at the same time, was faster: run again, to find its answer.
        Err(StoreError::Duplicate(text)) => Err(StoreError::Conflict(text).into()),
        done => Ok(done.map(drop)?),
    }
}

pub(super) async fn amend<T: Serialize>(
    db: &impl ConnectionTrait,
    key: &RequestKey,
    answer: &T,
) -> Result<(), Error> {
    let amended = table::ActiveModel { answer: Set(written(answer)?), ..Default::default() };
    table::Entity::update_many()
        .set(amended)
        .filter(table::Column::Principal.eq(&*key.principal))
        .filter(table::Column::RequestId.eq(&*key.request_id))
        .exec(db)
        .await
        .map(drop)
        .map_err(failed)
}

/// Forgets what a person asked for: the person is erased.
pub(crate) async fn forget_of(db: &impl ConnectionTrait, subject_id: &str) -> Result<(), Error> {
    let principal = format!("{}/{subject_id}", Role::User.as_str_name());
    let gone = table::Entity::delete_many().filter(table::Column::Principal.eq(principal));
    gone.exec(db).await.map(drop).map_err(failed)
}

pub(super) async fn forget(db: &impl ConnectionTrait, before: UnixMillis) -> Result<u64, Error> {
    table::Entity::delete_many()
        .filter(table::Column::RecordedAt.lt(before.get()))
        .exec(db)
        .await
        .map(|done| done.rows_affected)
        .map_err(failed)
}

fn written<T: Serialize>(answer: &T) -> Result<String, Error> {
    serde_json::to_string(answer).map_err(|_| Error::Internal("an answer cannot be written"))
}
