//! Transactions: all or nothing, one after another as far as anyone can tell.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::IsolationLevel;
use service_kit::{
    config::{Secret, Span},
    store::{
        InTransaction, Pool, StoreConfig, StoreError, Tx, connect, migrate, transaction,
        transaction_at,
    },
    test_util::Postgres,
};
use tokio::sync::Barrier;

use super::{Fresh, Version2, number, read, run};

/// A service's own error.
#[derive(Debug, PartialEq)]
enum Failure {
    Store(StoreError),
    Rule,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl InTransaction for Failure {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Rule => None,
        }
    }
}

async fn with_counters(store: &Fresh) -> Pool {
    let db = store.open().await;
    migrate::<Version2>(&db).await.unwrap();
    run(&db, "INSERT INTO counters VALUES (1, 0), (2, 0)").await.unwrap();
    db
}

#[tokio::test]
async fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    for store in Fresh::on_both() {
        let db = with_counters(&store).await;
        let value = transaction(&db, "good", |tx| async move {
            run(&*tx, "UPDATE counters SET n = 5 WHERE id = 1").await?;
            Ok::<_, StoreError>("value")
        });
        assert_eq!(value.await, Ok("value"));
        let failed = transaction(&db, "bad", |tx| async move {
            run(&*tx, "UPDATE counters SET n = 6 WHERE id = 1").await.map_err(StoreError::from)?;
            Err::<(), _>(Failure::Rule)
        });
        assert_eq!(failed.await, Err(Failure::Rule));
        assert_eq!(number(&db, "SELECT n FROM counters WHERE id = 1").await, 5);
    }
}

#[tokio::test]
async fn a_transaction_that_is_cancelled_leaves_nothing_and_blocks_nobody() {
    for store in Fresh::on_both() {
        let db = with_counters(&store).await;
        let stuck = transaction(&db, "cancelled", |tx| async move {
            run(&*tx, "UPDATE counters SET n = 7").await?;
            std::future::pending::<Result<(), StoreError>>().await
        });
        tokio::time::timeout(Duration::from_millis(50), stuck).await.unwrap_err();
        assert_eq!(
            number(&db, "SELECT CAST(sum(n) AS BIGINT) FROM counters WHERE n = 7 OR n = 0").await,
            0
        );
        let next = transaction(&db, "next", |tx| async move {
            Ok::<_, StoreError>(run(&*tx, "UPDATE counters SET n = 1").await?)
        });
        next.await.unwrap();
    }
}

/// Handlers run on any thread: what they await must be `Send`, closures and borrows included.
#[tokio::test]
async fn increments_from_many_tasks_are_all_counted() {
    for store in Fresh::on_both() {
        let db = with_counters(&store).await;
        let runs = Arc::new(AtomicU32::new(0));
        let tasks = (0..8).map(|_| {
            let (db, runs) = (db.clone(), runs.clone());
            tokio::spawn(async move {
                let (id, runs) = (&String::from("1"), &runs);
                let increment = |tx: Tx| async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    // Read, then write: lost without isolation.
                    let select = format!("SELECT n FROM counters WHERE id = {id}");
                    let next = read(&*tx, &select).await? + 1;
                    let write = format!("UPDATE counters SET n = {next} WHERE id = {id}");
                    run(&*tx, &write).await.map_err(StoreError::from)
                };
                // Each attempt that fails means that another one has succeeded meanwhile, so a
                // caller who keeps trying gets there.
                while let Err(error) = transaction(&db, "increment", increment).await {
                    assert!(matches!(error, StoreError::Conflict(_)), "{error:?}");
                }
            })
        });
        futures::future::try_join_all(tasks).await.unwrap();
        assert_eq!(number(&db, "SELECT n FROM counters WHERE id = 1").await, 8);
    }
}

#[tokio::test]
async fn a_conflict_is_tried_again_and_then_succeeds() {
    let [_, postgres] = Fresh::on_both();
    let db = with_counters(&postgres).await;
    // Both read what the other will write, before either writes: one must run again.
    let both_have_read = &Barrier::new(2);
    let runs = &AtomicU32::new(0);
    let move_one = async |reads: &str, writes: &str| {
        let first = &AtomicU32::new(0);
        transaction(&db, "skew", |tx| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            let seen = read(&*tx, &format!("SELECT n FROM counters WHERE id = {reads}")).await?;
            if first.fetch_add(1, Ordering::SeqCst) == 0 {
                both_have_read.wait().await;
            }
            let write = format!("UPDATE counters SET n = {} WHERE id = {writes}", seen + 1);
            run(&*tx, &write).await.map_err(StoreError::from)
        })
        .await
    };
    let (a, b) = tokio::join!(move_one("1", "2"), move_one("2", "1"));
    assert_eq!((a, b), (Ok(()), Ok(())));
    assert_eq!(runs.load(Ordering::SeqCst), 3, "one of the two ran twice");
    // As if one had run after the other: 1 and 2, never 1 and 1.
    assert_eq!(number(&db, "SELECT CAST(sum(n) AS BIGINT) FROM counters").await, 3);
}

#[tokio::test]
async fn deadlocks_are_tried_again() {
    let [_, postgres] = Fresh::on_both();
    let db = with_counters(&postgres).await;
    let both_hold_one = &Barrier::new(2);
    let lock_both = async |first: &str, second: &str| {
        let attempts = &AtomicU32::new(0);
        transaction_at(&db, "deadlock", IsolationLevel::ReadCommitted, |tx| async move {
            let update = |id: &str| format!("UPDATE counters SET n = n + 1 WHERE id = {id}");
            run(&*tx, &update(first)).await?;
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                both_hold_one.wait().await;
            }
            run(&*tx, &update(second)).await.map_err(StoreError::from)
        })
        .await
    };
    let (a, b) = tokio::join!(lock_both("1", "2"), lock_both("2", "1"));
    assert_eq!((a, b), (Ok(()), Ok(())));
    assert_eq!(number(&db, "SELECT n FROM counters WHERE id = 1").await, 2);
}

#[tokio::test]
async fn a_conflict_that_does_not_end_is_reported() {
    for store in Fresh::on_both() {
        let db = store.open().await;
        let runs = &AtomicU32::new(0);
        let result = transaction(&db, "hopeless", |_| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(StoreError::Conflict("again".to_owned()))
        });
        assert_eq!(result.await, Err(StoreError::Conflict("again".to_owned())));
        assert_eq!(runs.load(Ordering::SeqCst), 6);
    }
}

#[tokio::test]
async fn a_duplicate_is_known_as_one_and_not_tried_again() {
    for store in Fresh::on_both() {
        let db = with_counters(&store).await;
        let runs = &AtomicU32::new(0);
        let result = transaction(&db, "duplicate", |tx| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            run(&*tx, "INSERT INTO counters VALUES (1, 1)").await.map_err(StoreError::from)
        });
        let error = result.await.unwrap_err();
        assert!(matches!(error, StoreError::Duplicate(_)), "{error:?}");
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let config = StoreConfig {
        url: Secret::new(Postgres::shared().database()),
        statement_timeout: Span::from_millis(100),
        ..StoreConfig::default()
    };
    let db = connect(&config).await.unwrap();
    let error = StoreError::from(run(&db, "SELECT pg_sleep(60)").await.unwrap_err());
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn waiting_for_a_connection_has_an_end() {
    for store in Fresh::on_both() {
        let config = StoreConfig {
            max_connections: 1,
            acquire_timeout: Span::from_millis(100),
            ..store.config.clone()
        };
        let db = &connect(&config).await.unwrap();
        let result = transaction(db, "outer", |_| async move {
            run(db, "SELECT 1").await.map_err(StoreError::from)
        });
        let error = result.await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    }
}
