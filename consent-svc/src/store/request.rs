//! Writes that were sent before.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Set, Statement, Value,
    sea_query::{ArrayType, Expr},
};
use service_kit::{auth::Caller, store::StoreError};
use sha2::{Digest, Sha256};

use super::{
    entity::request,
    reply::{self, Reply},
};
use crate::{domain::Moment, error::Error};

/// Half a SHA-256: no two of a store's requests share it by chance.
const BYTES: usize = 16;

/// Names one write of one caller, and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId {
    pub(super) key: [u8; BYTES],
    pub(super) content: [u8; BYTES],
}

impl RequestId {
    /// A caller's `request_id` and the digest of what it asks for. Two callers never meet: the
    /// caller's role and name are part of the key.
    pub(crate) fn new(caller: &Caller, request_id: &str, content: [u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update((caller.role as i32).to_be_bytes());
        hash.update((caller.name.len() as u64).to_be_bytes());
        hash.update(caller.name.as_bytes());
        hash.update(request_id);
        Self { key: first(&hash.finalize().into()), content: first(&content) }
    }

    /// The reply, if what was stored under this id has this content.
    pub(super) fn replay(&self, content: &[u8], reply: &Reply) -> Result<Reply, Error> {
        if content == self.content { Ok(reply.clone()) } else { Err(Error::RequestIdReused) }
    }
}

fn first(digest: &[u8; 32]) -> [u8; BYTES] {
    let mut first = [0; BYTES];
    first.copy_from_slice(&digest[..BYTES]);
    first
}

/// What was answered to those of these requests that were made before: content and reply by key.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    ids: &[RequestId],
) -> Result<Vec<([u8; BYTES], Vec<u8>, Reply)>, StoreError> {
    let keys = ids.iter().map(|id| id.key.to_vec());
    let find = request::Entity::find();
    let rows = if db.get_database_backend() == DbBackend::Postgres {
        // One value, so that the statement is prepared once for all numbers of keys.
        let keys = keys.map(Value::from).collect();
        let keys = Value::Array(ArrayType::Bytes, Some(Box::new(keys)));
        find.filter(Expr::cust_with_values("request_key = ANY($1)", [keys])).all(db).await?
    } else {
        find.filter(request::Column::RequestKey.is_in(keys)).all(db).await?
    };
    let read = rows.into_iter().map(|row| {
        let key = row.request_key.try_into().map_err(|_| super::unreadable("request"))?;
        Ok((key, row.digest, reply::decode(&row.reply)?))
    });
    read.collect()
}

/// The row that remembers a reply.
pub(super) fn row(id: RequestId, at: Moment, reply: Vec<u8>) -> request::Model {
    request::Model {
        request_key: id.key.to_vec(),
        digest: id.content.to_vec(),
        recorded_at: at.millis(),
        reply,
    }
}

/// The row, to be inserted.
pub(super) fn active(row: request::Model) -> request::ActiveModel {
    request::ActiveModel {
        request_key: Set(row.request_key),
        digest: Set(row.digest),
        recorded_at: Set(row.recorded_at),
        reply: Set(row.reply),
    }
}

/// The most requests that are forgotten in one statement.
const FORGOTTEN_AT_ONCE: u64 = 10_000;

/// Forgets requests recorded before an instant, a bounded number at once; says whether there may be
/// more.
pub(super) async fn forget(db: &impl ConnectionTrait, before: Moment) -> Result<bool, StoreError> {
    let text = format!(
        "DELETE FROM request WHERE request_key IN (\
           SELECT request_key FROM request WHERE recorded_at < $1 \
           ORDER BY recorded_at LIMIT {FORGOTTEN_AT_ONCE})"
    );
    let values = [before.millis().into()];
    let old = Statement::from_sql_and_values(db.get_database_backend(), text, values);
    Ok(db.execute_raw(old).await?.rows_affected() >= FORGOTTEN_AT_ONCE)
}
