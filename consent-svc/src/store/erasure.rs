//! Erasures: who was erased when, and which followers of the feed have done the same.

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value};
use service_kit::store::{StoreError, Tx, transaction};

use super::{
    RequestId, Store, apply,
    entity::request,
    reply::{self, Reply},
    request as requests,
};
use crate::{domain::Moment, error::Error};
use sea_orm::EntityTrait as _;

/// How far an erasure has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Erasure {
    pub(crate) requested_at: Moment,
    /// By follower: when it said that it had erased, if it has.
    pub(crate) followers: Vec<(String, Option<Moment>)>,
}

/// Begins an erasure, within the transaction that destroys the data here.
pub(super) async fn begin(
    tx: &DatabaseTransaction,
    subject_id: &str,
    followers: &[String],
    now: Moment,
) -> Result<(), StoreError> {
    let backend = tx.get_database_backend();
    let text = "INSERT INTO erasure (subject_id, requested_at) VALUES ($1, $2)";
    let values: [Value; 2] = [subject_id.into(), now.millis().into()];
    tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    for follower in followers {
        let text = "INSERT INTO erasure_follower (subject_id, follower) VALUES ($1, $2)";
        let values: [Value; 2] = [subject_id.into(), follower.into()];
        tx.execute_raw(Statement::from_sql_and_values(backend, text, values)).await?;
    }
    Ok(())
}

impl Store {
    /// How far a subject's erasure has come; nothing if it was not erased.
    pub(crate) async fn erasure(&self, subject_id: &str) -> Result<Option<Erasure>, StoreError> {
        let db = &self.shared.db;
        let text = "SELECT e.requested_at, f.follower, f.acknowledged_at FROM erasure e \
                    LEFT JOIN erasure_follower f ON f.subject_id = e.subject_id \
                    WHERE e.subject_id = $1 ORDER BY f.follower";
        let values = [subject_id.into()];
        let statement = Statement::from_sql_and_values(db.get_database_backend(), text, values);
        let rows = db.query_all_raw(statement).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let requested_at = Moment::from_millis(first.try_get("", "requested_at")?);
        let mut followers = Vec::new();
        for row in &rows {
            let Some(follower) = row.try_get::<Option<String>>("", "follower")? else { continue };
            let at: Option<i64> = row.try_get("", "acknowledged_at")?;
            followers.push((follower, at.map(Moment::from_millis)));
        }
        Ok(Some(Erasure { requested_at, followers }))
    }

    /// Whether this follower is waited for.
    pub(crate) fn has_follower(&self, follower: &str) -> bool {
        self.shared.followers.iter().any(|known| known == follower)
    }

    /// Notes that a follower has erased a subject; the first time counts.
    pub(crate) async fn acknowledge_erasure(
        &self,
        request: RequestId,
        subject_id: &str,
        follower: &str,
    ) -> Result<(), Error> {
        let work = |tx: Tx| async move {
            if let Some((_, content, reply)) = requests::find(&*tx, &[request]).await?.first() {
                return request.replay(content, reply).map(drop);
            }
            let store = StoreError::from;
            let backend = tx.get_database_backend();
            let text = "SELECT 1 FROM erasure WHERE subject_id = $1";
            let found = Statement::from_sql_and_values(backend, text, [subject_id.into()]);
            if tx.query_one_raw(found).await.map_err(store)?.is_none() {
                return Err(Error::RecordUnknown);
            }
            let now = self.shared.now(&apply::header(&tx).await?);
            let text = "INSERT INTO erasure_follower (subject_id, follower, acknowledged_at) \
                        VALUES ($1, $2, $3) ON CONFLICT (subject_id, follower) DO UPDATE SET \
                        acknowledged_at = COALESCE(erasure_follower.acknowledged_at, $3)";
            let values: [Value; 3] = [subject_id.into(), follower.into(), now.millis().into()];
            let noted = Statement::from_sql_and_values(backend, text, values);
            tx.execute_raw(noted).await.map_err(store)?;
            let reply = reply::encode(&Reply::default(), None);
            let row = requests::row(request, now, reply);
            request::Entity::insert(requests::active(row))
                .exec_without_returning(&*tx)
                .await
                .map_err(store)?;
            Ok(())
        };
        transaction(&self.shared.db, "acknowledge_erasure", work).await
    }
}
