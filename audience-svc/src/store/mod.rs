//! The only place that knows the database.

pub(crate) mod audiences;
pub(crate) mod businesses;
mod columns;
pub(crate) mod departures;
pub(crate) mod directory;
mod entity;
pub(crate) mod erasures;
pub(crate) mod feed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod list_changes;
pub(crate) mod members;
mod migration;
pub(crate) mod releases;
pub(crate) mod replicas;
pub(crate) mod requests;
#[cfg(feature = "seeding")]
pub mod seeding;
pub(crate) mod serving;
#[cfg(test)]
mod tests;
pub(crate) mod uploads;
pub(crate) mod usage;

use opentelemetry::metrics::Meter;
use sea_orm::IsolationLevel;
use serde::{Serialize, de::DeserializeOwned};
use service_kit::{
    clock::UnixMillis,
    store::{self, Pool, StoreConfig, StoreError},
};

use crate::error::Error;

pub(crate) use requests::RequestKey;
pub(crate) use sea_orm::ConnectionTrait as Database;
pub(crate) use service_kit::store::Tx;

/// The most values of one `IN` list or rows of one insert: with up to four columns a row this
/// stays below the 32,766 values that SQLite binds.
const MANY: usize = 8_000;

/// Every statement here goes by an index. Left to itself, PostgreSQL plans for the statistics of the
/// moment, which of a new or fast growing table are those of a small one, and reads all of it; and
/// it would plan anew each time.
const BY_INDEX: &[(&str, &str)] =
    &[("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan"), ("jit", "off")];

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Pool,
    readers: Pool,
}

impl Store {
    /// Opens a store whose schema is up to date.
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let session = BY_INDEX.to_vec();
        let config = StoreConfig { session, ..config.clone() };
        let db = store::connect(&config).await?;
        store::check_schema::<migration::Migrator>(&db).await?;
        let readers = store::connect_readers(&config, &db).await?;
        Ok(Self { db, readers })
    }

    /// Makes `meter` tell of the connections. Once.
    pub(crate) fn report(&self, meter: &Meter) {
        self.db.report(meter, "main");
        // Where they are the same connections, this does nothing.
        self.readers.report(meter, "readers");
    }

    /// Brings the schema up to date.
    pub(crate) async fn migrate(config: &StoreConfig) -> Result<(), StoreError> {
        let db = store::connect(config).await?;
        store::migrate::<migration::Migrator>(&db).await
    }

    /// Whether it answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        store::ping(&self.db).await
    }

    /// For look-ups, which do not wait for writers.
    pub(crate) fn look_ups(&self) -> &Pool {
        &self.readers
    }

    /// For reading outside transactions.
    pub(crate) fn reads(&self) -> &Pool {
        &self.db
    }

    /// Does `work` once for a request id: the first time it is done, and its answer kept, in one
    /// transaction; after that the answer is given again. `work` may run several times before it
    /// is done once.
    pub(crate) async fn once<T, F, Fut>(
        &self,
        key: &RequestKey,
        now: UnixMillis,
        work: F,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(Tx) -> Fut + Sync,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        let work = &work;
        store::transaction(&self.db, key.method, |tx| done_once(tx, key, now, work)).await
    }

    /// As [`Store::once`], with [`Store::locking`].
    pub(crate) async fn once_locking<T, F, Fut>(
        &self,
        key: &RequestKey,
        now: UnixMillis,
        work: F,
    ) -> Result<T, Error>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        F: Fn(Tx) -> Fut + Sync,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        let work = &work;
        self.locking(key.method, |tx| done_once(tx, key, now, work)).await
    }

    /// A transaction that takes its locks itself, first of all, and so needs no more than to see
    /// what was committed before each statement.
    pub(crate) async fn locking<T, F, Fut>(&self, name: &'static str, work: F) -> Result<T, Error>
    where
        F: Fn(Tx) -> Fut + Sync,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        store::transaction_at(&self.db, name, IsolationLevel::ReadCommitted, work).await
    }

    /// The answer that was given to a request before, if any.
    pub(crate) async fn answered<T: DeserializeOwned>(
        &self,
        key: &RequestKey,
    ) -> Result<Option<T>, Error> {
        requests::replay(&self.db, key).await
    }

    /// Replaces the answer that is kept for a request whose effect is done.
    pub(crate) async fn amend<T: Serialize>(
        &self,
        key: &RequestKey,
        answer: &T,
    ) -> Result<(), Error> {
        requests::amend(&self.db, key, answer).await
    }

    /// Forgets what was done before `before`.
    pub(crate) async fn forget_requests(&self, before: UnixMillis) -> Result<u64, Error> {
        requests::forget(&self.db, before).await
    }
}

async fn done_once<T, F, Fut>(
    tx: Tx,
    key: &RequestKey,
    now: UnixMillis,
    work: &F,
) -> Result<T, Error>
where
    T: Serialize + DeserializeOwned,
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    if let Some(answer) = requests::replay(&*tx, key).await? {
        return Ok(answer);
    }
    let answer = work(tx.clone()).await?;
    requests::record(&tx, key, &answer, now).await?;
    Ok(answer)
}

/// A driver's error as ours.
fn failed(error: sea_orm::DbErr) -> Error {
    Error::Store(error.into())
}
