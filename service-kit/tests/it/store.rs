//! One suite on both engines: what holds on SQLite in a test holds on PostgreSQL in production.

mod secrecy;
mod transactions;

use std::sync::Arc;

use sea_orm::{ConnectionTrait, Statement};
use sea_orm_migration::{
    MigratorTrait,
    prelude::{DbErr, MigrationName, MigrationTrait, SchemaManager, async_trait},
};
use service_kit::{
    config::Secret,
    store::{Pool, StoreConfig, StoreError, check_schema, connect, migrate, ping},
    test_util::Postgres,
};
use tempfile::TempDir;

/// A fresh store of each engine.
struct Fresh {
    config: StoreConfig,
    _directory: Arc<TempDir>,
}

impl Fresh {
    fn on_both() -> [Self; 2] {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let sqlite = format!("sqlite:{}", directory.path().join("store.db").display());
        [sqlite, Postgres::shared().database()].map(|url| {
            let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
            Self { config, _directory: directory.clone() }
        })
    }

    async fn open(&self) -> Pool {
        connect(&self.config).await.unwrap()
    }
}

struct Step(&'static str, &'static str);

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared(self.1).await.map(drop)
    }
}

const FIRST: Step =
    Step("m1_counters", "CREATE TABLE counters (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)");
const SECOND: Step = Step("m2_names", "CREATE TABLE names (name VARCHAR(8) NOT NULL UNIQUE)");
const BROKEN: Step =
    Step("m3_broken", "CREATE TABLE broken (id BIGINT PRIMARY KEY); SELECT nonsense FROM nowhere");

macro_rules! migrator {
    ($name:ident: $($step:ident),*) => {
        struct $name;

        impl MigratorTrait for $name {
            fn migrations() -> Vec<Box<dyn MigrationTrait>> {
                vec![$(Box::new($step)),*]
            }
        }
    };
}

migrator!(Version1: FIRST);
migrator!(Version2: FIRST, SECOND);
migrator!(Version3: FIRST, SECOND, BROKEN);

pub(crate) async fn run(db: &impl ConnectionTrait, sql: &str) -> Result<(), DbErr> {
    db.execute_unprepared(sql).await.map(drop)
}

async fn read(db: &impl ConnectionTrait, sql: &str) -> Result<i64, StoreError> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?.unwrap();
    Ok(row.try_get_by_index(0)?)
}

pub(crate) async fn number(db: &impl ConnectionTrait, sql: &str) -> i64 {
    read(db, sql).await.unwrap()
}

#[tokio::test]
async fn a_store_is_migrated_once_however_often_it_is_asked_for() {
    for store in Fresh::on_both() {
        let db = store.open().await;
        migrate::<Version1>(&db).await.unwrap();
        run(&db, "INSERT INTO counters VALUES (1, 41)").await.unwrap();
        migrate::<Version1>(&db).await.unwrap();
        migrate::<Version2>(&db).await.unwrap();
        check_schema::<Version2>(&db).await.unwrap();
        assert_eq!(number(&db, "SELECT n FROM counters").await, 41);
    }
}

#[tokio::test]
async fn processes_that_start_together_do_not_migrate_twice() {
    for store in Fresh::on_both() {
        // Each with connections of its own, as processes have.
        let (a, b, c) = tokio::join!(store.open(), store.open(), store.open());
        let all =
            tokio::join!(migrate::<Version2>(&a), migrate::<Version2>(&b), migrate::<Version2>(&c));
        assert_eq!(all, (Ok(()), Ok(()), Ok(())));
        check_schema::<Version2>(&a).await.unwrap();
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_everything_as_it_was() {
    for store in Fresh::on_both() {
        let db = store.open().await;
        migrate::<Version1>(&db).await.unwrap();
        migrate::<Version3>(&db).await.unwrap_err();
        check_schema::<Version1>(&db).await.unwrap();
        run(&db, "SELECT * FROM names").await.unwrap_err();
        migrate::<Version2>(&db).await.unwrap();
    }
}

#[tokio::test]
async fn a_schema_of_another_version_is_refused() {
    for store in Fresh::on_both() {
        let db = store.open().await;
        let refused = |result: Result<(), StoreError>, name: &str| {
            let Err(StoreError::Schema(text)) = result else { panic!("{result:?}") };
            assert!(text.contains(name), "{text}");
        };
        refused(check_schema::<Version1>(&db).await, "m1_counters");
        migrate::<Version1>(&db).await.unwrap();
        check_schema::<Version1>(&db).await.unwrap();
        refused(check_schema::<Version2>(&db).await, "m2_names");
        migrate::<Version2>(&db).await.unwrap();
        refused(check_schema::<Version1>(&db).await, "m2_names");
        refused(migrate::<Version1>(&db).await, "m2_names");
    }
}

#[tokio::test]
async fn checking_a_schema_changes_nothing() {
    for store in Fresh::on_both() {
        let db = store.open().await;
        check_schema::<Version1>(&db).await.unwrap_err();
        run(&db, "SELECT * FROM seaql_migrations").await.unwrap_err();
    }
}

#[tokio::test]
async fn sqlite_is_opened_so_that_acknowledged_writes_last() {
    let [sqlite, _] = Fresh::on_both();
    let db = sqlite.open().await;
    let pragma = |name: &str| format!("SELECT * FROM pragma_{name}");
    assert_eq!(number(&db, &pragma("synchronous")).await, 2, "FULL");
    assert_eq!(number(&db, &pragma("foreign_keys")).await, 1);
    let wal = "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'";
    assert_eq!(number(&db, wal).await, 1);
}

#[tokio::test]
async fn a_store_that_is_gone_is_unavailable_and_one_that_is_back_is_used_again() {
    let postgres = Postgres::start();
    let config = StoreConfig { url: Secret::new(postgres.database()), ..StoreConfig::default() };
    let db = connect(&config).await.unwrap();
    ping(&db).await.unwrap();
    postgres.kill();
    assert!(matches!(ping(&db).await, Err(StoreError::Unavailable(_))));
    let insert = run(&db, "CREATE TABLE t (n INT)").await.map_err(StoreError::from);
    assert!(matches!(insert, Err(StoreError::Unavailable(_))), "{insert:?}");
    postgres.restart();
    ping(&db).await.unwrap();
}
