//! Opening a store.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection,
    sqlx::{
        ConnectOptions as _,
        postgres::PgConnectOptions,
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous},
    },
};
use serde::{Deserialize, Serialize};

use super::{Pool, StoreError};
use crate::config::{Secret, Span};

/// Where a service keeps its data.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreConfig {
    /// `sqlite:PATH` (made if it is not there; `sqlite::memory:` is gone with the process) or
    /// `postgres://USER:PASSWORD@HOST/DATABASE` (add `?sslmode=verify-full` off this machine).
    pub url: Secret,
    /// PostgreSQL: the most connections that this process opens. SQLite always has one, so that
    /// writers never collide.
    pub max_connections: u32,
    /// How long a request waits for a connection, a new one included, before UNAVAILABLE.
    pub acquire_timeout: Span,
    /// PostgreSQL: how long one statement may take. Migrations may take longer.
    pub statement_timeout: Span,
    /// PostgreSQL: when an unused connection is closed.
    pub idle_timeout: Span,
    /// SQLite: what an acknowledged write survives.
    pub synchronous: Synchronous,
    /// SQLite: whether the file is for this process alone; another one that opens it waits, and
    /// then fails. For a service that caches what it has read.
    #[serde(skip)]
    pub exclusive: bool,
    /// PostgreSQL: what every session sets, where it is not to be as the database is configured:
    /// names and values, as of `SET`.
    #[serde(skip)]
    pub session: Vec<(&'static str, &'static str)>,
}

/// What a write to SQLite survives once it is acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// Loss of power too: each commit waits for the disk.
    #[default]
    Full,
    /// `kill -9` of the process, but not a crash of the machine or loss of power, which may undo
    /// the last commits. Several times as many writes a second.
    Normal,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            max_connections: 16,
            acquire_timeout: Span::from_secs(5),
            statement_timeout: Span::from_secs(10),
            idle_timeout: Span::from_secs(600),
            synchronous: Synchronous::Full,
            exclusive: false,
            session: Vec::new(),
        }
    }
}

/// How long SQLite waits for another process that is writing to the same file, and how long it is
/// tried to open a store at all.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before it is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// A connection that was idle for longer than this is tried before it is used: firewalls and
/// failovers drop idle ones without a word.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(5);

/// Opens the store and makes sure that it answers.
///
/// # Errors
/// [`StoreError::Unavailable`] when it does not, [`StoreError::Other`] for a URL that is none.
pub async fn connect(config: &StoreConfig) -> Result<Pool, StoreError> {
    opened(config, false).await
}

/// Connections for reads that shall not wait for whoever writes, of a store that was opened before:
/// of SQLite one beside the first, which sees what was committed before each read; of PostgreSQL,
/// and where SQLite allows no second one (a store in memory, or one that is locked), the same.
///
/// # Errors
/// As [`connect`].
pub async fn connect_readers(config: &StoreConfig, db: &Pool) -> Result<Pool, StoreError> {
    let url = config.url.expose();
    let in_a_file = url.starts_with("sqlite:") && !url.contains(":memory:");
    if in_a_file && !url.contains("mode=memory") && !config.exclusive {
        opened(config, true).await
    } else {
        Ok(db.clone())
    }
}

async fn opened(config: &StoreConfig, reads: bool) -> Result<Pool, StoreError> {
    let url = config.url.expose();
    let options = match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => sqlite(url, config, reads)?,
        Some("postgres" | "postgresql") => postgres(url, config)?,
        _ => {
            let why = "store.url is neither sqlite:PATH nor postgres://USER:PASSWORD@HOST/DATABASE";
            return Err(StoreError::Other(why.to_owned()));
        }
    };
    let started = Instant::now();
    loop {
        match Database::connect(options.clone()).await.map_err(StoreError::from) {
            // Whoever opens a new SQLite file changes its journal, which does not wait for others
            // who are doing the same. And a database that is being restarted is there again soon.
            Err(StoreError::Conflict(_) | StoreError::Unavailable(_))
                if started.elapsed() < BUSY_TIMEOUT =>
            {
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(error) => return Err(error),
            Ok(db) => return ping(&db).await.map(|()| Pool::new(db)),
        }
    }
}

/// Asks the store whether it answers.
///
/// # Errors
/// [`StoreError::Unavailable`] when it does not.
pub async fn ping(db: &DatabaseConnection) -> Result<(), StoreError> {
    Ok(db.ping().await?)
}

// The mapping layer keeps the URL it is given and may print it. It is given one without
// credentials; the real one goes to the driver directly.

fn sqlite(url: &str, config: &StoreConfig, reads: bool) -> Result<ConnectOptions, StoreError> {
    let invalid = |_| StoreError::Other("store.url is not a valid sqlite: URL".to_owned());
    let synchronous = match config.synchronous {
        Synchronous::Full => SqliteSynchronous::Full,
        Synchronous::Normal => SqliteSynchronous::Normal,
    };
    let driver = SqliteConnectOptions::from_str(url)
        .map_err(invalid)?
        .create_if_missing(!reads)
        .locking_mode(if config.exclusive {
            SqliteLockingMode::Exclusive
        } else {
            SqliteLockingMode::Normal
        })
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .foreign_keys(true)
        // What is deleted is overwritten, not only forgotten: people have a right to it.
        .pragma("secure_delete", "ON")
        .pragma("query_only", if reads { "ON" } else { "OFF" })
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut options = ConnectOptions::new("sqlite::memory:");
    options
        .max_connections(1)
        .min_connections(1)
        // Closing an in-memory database would lose it.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .acquire_timeout(config.acquire_timeout.get())
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_sqlite_opts(move |_| driver.clone());
    Ok(options)
}

fn postgres(url: &str, config: &StoreConfig) -> Result<ConnectOptions, StoreError> {
    let invalid = |_| StoreError::Other("store.url is not a valid postgres:// URL".to_owned());
    let milliseconds = |span: Span| span.get().as_millis().to_string();
    let driver = PgConnectOptions::from_str(url)
        .map_err(invalid)?
        .application_name("assent")
        .options([
            ("statement_timeout", milliseconds(config.statement_timeout)),
            // A process that hangs within a transaction must not hold its locks for ever.
            ("idle_in_transaction_session_timeout", milliseconds(config.statement_timeout)),
            ("default_transaction_isolation", "read committed".to_owned()),
        ])
        .options(config.session.iter().copied())
        .disable_statement_logging();
    let mut options = ConnectOptions::new("postgres://");
    options
        .max_connections(config.max_connections)
        .min_connections(0)
        .idle_timeout(config.idle_timeout.get())
        // So that connections move to new replicas and memory of old sessions is given back.
        .max_lifetime(Duration::from_hours(1))
        .test_before_acquire_if_idle_for(TRY_AFTER_IDLE)
        .acquire_timeout(config.acquire_timeout.get())
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .map_sqlx_postgres_opts(move |_| driver.clone());
    Ok(options)
}
