//! Transactions by name, retried in one place.

use std::{
    future::Future,
    ops::Deref,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng;
use sea_orm::{
    ConnectionTrait as _, DatabaseTransaction, DbBackend, IsolationLevel, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};

use super::{Pool, StoreError};

/// How often a transaction is tried before its conflict is reported.
const ATTEMPTS: u32 = 6;

/// The longest pause before the second attempt; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(5);

/// What a transaction's closure may fail with: a service's own error that can hold a
/// [`StoreError`].
pub trait InTransaction: From<StoreError> {
    /// The store's error, if that is what this is: a conflict makes the transaction run again.
    fn store_error(&self) -> Option<&StoreError>;
}

impl InTransaction for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// A transaction in progress, for the closure that does its work. Clones are the same
/// transaction; none may outlive the closure's future.
#[derive(Debug, Clone)]
pub struct Tx(Arc<DatabaseTransaction>);

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.0
    }
}

// Closures take the transaction by value and return an ordinary future (`|tx| async move { … }`):
// of an `async |tx: &…|` that borrows anything, the compiler cannot yet tell that it is `Send`,
// which every handler's future must be.

/// Runs `work` in a transaction that behaves as if no other ran at the same time
/// (SERIALIZABLE), and commits when it succeeds. When another transaction was in the way,
/// everything is undone and `work` runs again, a few times at most: it must do nothing that a
/// rollback does not undo. Within `work` use `tx` only: with SQLite, where there is one
/// connection, `db` would wait for itself.
///
/// ```ignore
/// let (store, command) = (&self.store, &command); // borrowed: the closure may run again
/// transaction(&db, "record_decision", |tx| async move {
///     let before = store.latest(&tx, command.subject()).await?;
///     decision::Entity::insert(command.row(&before)?).exec(&*tx).await?;
///     Ok(before)
/// })
/// .await
/// ```
///
/// # Errors
/// What `work` fails with; [`StoreError::Conflict`] when every attempt met one. After
/// [`StoreError::Unavailable`] from the commit it is not known whether it was done.
pub async fn transaction<T, E, F, Fut>(db: &Pool, name: &'static str, work: F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: InTransaction,
{
    transaction_at(db, name, IsolationLevel::Serializable, work).await
}

/// As [`transaction`], at a weaker isolation on PostgreSQL, where that is known to be enough.
/// SQLite's transactions always run one at a time.
///
/// # Errors
/// As [`transaction`].
pub async fn transaction_at<T, E, F, Fut>(
    db: &Pool,
    name: &'static str,
    isolation: IsolationLevel,
    work: F,
) -> Result<T, E>
where
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: InTransaction,
{
    let started = Instant::now();
    let mut pause = PAUSE;
    for attempt in 1.. {
        match once(db, isolation, &work).await {
            Err(error)
                if attempt < ATTEMPTS
                    && matches!(error.store_error(), Some(StoreError::Conflict(_))) =>
            {
                tracing::debug!(transaction = name, attempt, "conflict: trying again");
            }
            Err(error) => {
                if let Some(cause) = error.store_error() {
                    tracing::debug!(transaction = name, attempt, %cause, "failed");
                }
                db.ended(name, attempt - 1, started.elapsed(), false);
                return Err(error);
            }
            Ok(value) => {
                db.ended(name, attempt - 1, started.elapsed(), true);
                return Ok(value);
            }
        }
        // A random part of the pause, so that those who collided do not collide again.
        let wait = rand::rng().random_range(Duration::ZERO..pause);
        tokio::time::sleep(wait).await;
        pause *= 2;
    }
    unreachable!("the last attempt returns")
}

async fn once<T, E, F, Fut>(db: &Pool, isolation: IsolationLevel, work: &F) -> Result<T, E>
where
    F: Fn(Tx) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: InTransaction,
{
    let caller = db.caller();
    let store = |error| {
        caller.failed(&error);
        E::from(StoreError::from(error))
    };
    let is_postgres = db.get_database_backend() == DbBackend::Postgres;
    let options = TransactionOptions {
        // Connections are opened with READ COMMITTED: that need not be said each time.
        isolation_level: Some(isolation)
            .filter(|level| is_postgres && *level != IsolationLevel::ReadCommitted),
        // A transaction that reads first and then writes would fail when another process has
        // written meanwhile, after all its work.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = Tx(Arc::new(db.begin_with_options(options).await.map_err(store)?));
    let result = work(tx.clone()).await;
    let Ok(tx) = Arc::try_unwrap(tx.0) else {
        // Rolled back when the last clone goes.
        let text = "a transaction was kept beyond its end";
        return Err(StoreError::Other(text.to_owned()).into());
    };
    match result {
        Ok(value) => tx.commit().await.map(|()| value).map_err(store),
        Err(error) => {
            // The connection undoes it anyway before it is used again; the cause is what matters.
            if let Err(rollback) = tx.rollback().await {
                tracing::debug!(error = %StoreError::from(rollback), "rollback failed");
            }
            Err(error)
        }
    }
}
