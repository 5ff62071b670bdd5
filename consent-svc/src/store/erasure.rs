//! Erasures: who was erased when, and which followers of the feed have done the same.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, Value};
use service_kit::store::{StoreError, Tx, transaction};

use super::{
    RequestId, Store, apply,
    entity::request,
    reply::{self, Reply},
    request as requests, unreadable,
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

/// What a follower has yet to acknowledge.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) follower: String,
    pub(crate) count: i64,
    /// How long ago the first of them was asked for; zero when there is none.
    pub(crate) age: Duration,
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

    /// Of each configured follower: how many erasures it has not acknowledged, and how long ago
    /// the first of them was asked for.
    pub(crate) async fn pending_erasures(&self) -> Result<Vec<Pending>, StoreError> {
        let db = &self.shared.db;
        let text = "SELECT COUNT(*) AS pending, MIN(e.requested_at) AS since \
                    FROM erasure_follower f JOIN erasure e ON e.subject_id = f.subject_id \
                    WHERE f.follower = $1 AND f.acknowledged_at IS NULL";
        let now = self.now().earliest.millis();
        let mut all = Vec::new();
        for follower in &self.shared.followers {
            let values = [follower.into()];
            let statement = Statement::from_sql_and_values(db.get_database_backend(), text, values);
            let row = db.query_one_raw(statement).await?;
            let row = row.ok_or_else(|| unreadable("erasure_follower"))?;
            let count: i64 = row.try_get("", "pending")?;
            let since: Option<i64> = row.try_get("", "since")?;
            let age = since.map_or(0, |since| now.saturating_sub(since));
            let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
            all.push(Pending { follower: follower.clone(), count, age });
        }
        Ok(all)
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
