//! Connections to a database, and what is seen of them.

use std::{
    ops::Deref,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    Statement, StreamTrait,
};

use super::StoreError;
use crate::telemetry::Operations;

/// Upper bounds of the buckets of `assent_store_transaction_duration_seconds`.
const DURATION_BUCKETS: [f64; 12] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Connections to a database. What is done with them is counted, and told once
/// [`Pool::report`] was called. Clones share both.
#[derive(Debug, Clone)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: DatabaseConnection,
    figures: Arc<Figures>,
}

#[derive(Debug, Default)]
struct Figures {
    /// Statements and transactions that have a connection, or wait for one.
    callers: AtomicU64,
    /// How many of them waited in vain.
    timeouts: AtomicU64,
    /// How many statements were done.
    statements: AtomicU64,
    instruments: OnceLock<Instruments>,
}

#[derive(Debug)]
struct Instruments {
    operations: Operations,
    transactions: Histogram<f64>,
    retries: Counter<u64>,
}

impl Figures {
    fn done(&self, sql: &str, took: Duration, failed: bool) {
        self.statements.fetch_add(1, Relaxed);
        if let Some(instruments) = self.instruments.get() {
            instruments.operations.done(operation(sql), || table(sql), took, failed);
        }
    }
}

impl Pool {
    pub(super) fn new(mut db: DatabaseConnection) -> Self {
        let figures = Arc::<Figures>::default();
        let seen = figures.clone();
        db.set_metric_callback(move |done| {
            seen.done(done.statement.sql.as_str(), done.elapsed, done.failed);
        });
        Self(Arc::new(Inner { db, figures }))
    }

    /// Makes `meter` tell of these connections, as the pool `name`: how many there are, how many
    /// callers wait for one, and how long statements and transactions take. Once for a pool.
    pub fn report(&self, meter: &Meter, name: &'static str) {
        let system = match self.0.db.get_database_backend() {
            DbBackend::Postgres => "postgresql",
            _ => "sqlite",
        };
        let instruments = Instruments {
            operations: Operations::new(meter, system),
            transactions: meter
                .f64_histogram("assent_store_transaction_duration")
                .with_unit("s")
                .with_description("Time of a transaction from its first attempt to its outcome")
                .with_boundaries(DURATION_BUCKETS.to_vec())
                .build(),
            retries: meter
                .u64_counter("assent_store_transaction_retries")
                .with_description("Transactions that ran again: another one was in the way")
                .build(),
        };
        if self.0.figures.instruments.set(instruments).is_err() {
            return;
        }
        let pool = KeyValue::new("db.client.connection.pool.name", name);
        // The meter must not keep a store open.
        let (this, labels) = (Arc::downgrade(&self.0), pool.clone());
        meter
            .u64_observable_gauge("db.client.connection.count")
            .with_description("Connections to the database, by whether they are in use")
            .with_callback(move |gauge| {
                let Some(this) = this.upgrade() else { return };
                let (open, idle, _) = this.connections();
                for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle))] {
                    let state = KeyValue::new("db.client.connection.state", state);
                    gauge.observe(count, &[labels.clone(), state]);
                }
            })
            .build();
        let gauge = |name, description, read: fn(&Inner) -> u64| {
            let (this, labels) = (Arc::downgrade(&self.0), [pool.clone()]);
            meter
                .u64_observable_gauge(name)
                .with_description(description)
                .with_callback(move |gauge| {
                    if let Some(this) = this.upgrade() {
                        gauge.observe(read(&this), &labels);
                    }
                })
                .build();
        };
        gauge("db.client.connection.max", "The most connections that there may be", |this| {
            this.connections().2
        });
        gauge(
            "db.client.connection.pending_requests",
            "Statements and transactions that wait for a connection",
            |this| {
                let (open, idle, _) = this.connections();
                this.figures.callers.load(Relaxed).saturating_sub(open.saturating_sub(idle))
            },
        );
        let (figures, labels) = (self.0.figures.clone(), [pool]);
        meter
            .u64_observable_counter("db.client.connection.timeouts")
            .with_description("How often no connection became free in time")
            .with_callback(move |count| count.observe(figures.timeouts.load(Relaxed), &labels))
            .build();
    }

    /// A statement has ended that was sent by the driver itself, on a connection of the pool.
    pub fn done(&self, sql: &'static str, took: Duration, failed: bool) {
        self.0.figures.done(sql, took, failed);
    }

    /// How many statements were done so far, those of transactions included.
    pub fn statements(&self) -> u64 {
        self.0.figures.statements.load(Relaxed)
    }

    /// Closes the connections, of all clones.
    ///
    /// # Errors
    /// What the database said.
    pub async fn close(&self) -> Result<(), StoreError> {
        Ok(self.0.db.close_by_ref().await?)
    }

    /// Accounts for one who needs a connection until the result is dropped.
    pub(super) fn caller(&self) -> Caller<'_> {
        self.0.figures.callers.fetch_add(1, Relaxed);
        Caller(&self.0.figures)
    }

    /// A transaction has ended, after so many attempts in vain.
    pub(super) fn ended(
        &self,
        transaction: &'static str,
        retries: u32,
        took: Duration,
        committed: bool,
    ) {
        if let Some(instruments) = self.0.figures.instruments.get() {
            let outcome = if committed { "committed" } else { "rolled_back" };
            let attributes =
                [KeyValue::new("transaction", transaction), KeyValue::new("outcome", outcome)];
            instruments.transactions.record(took.as_secs_f64(), &attributes);
            // Zero too: a rate needs a series to begin with.
            instruments.retries.add(retries.into(), &attributes[..1]);
        }
    }

    async fn counted<T>(
        &self,
        work: impl Future<Output = Result<T, DbErr>> + Send,
    ) -> Result<T, DbErr> {
        let caller = self.caller();
        let result = work.await;
        if let Err(error) = &result {
            caller.failed(error);
        }
        result
    }
}

impl Inner {
    /// How many connections are open, how many of them idle, and how many there may be.
    fn connections(&self) -> (u64, u64, u64) {
        let (open, idle, most) = if self.db.get_database_backend() == DbBackend::Postgres {
            let pool = self.db.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        } else {
            let pool = self.db.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        };
        (open.into(), idle as u64, most.into())
    }
}

/// One who has a connection, or waits for one.
pub(super) struct Caller<'a>(&'a Figures);

impl Caller<'_> {
    pub(super) fn failed(&self, error: &DbErr) {
        if matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) {
            self.0.timeouts.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Relaxed);
    }
}

impl Deref for Pool {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.0.db
    }
}

#[sea_orm::prelude::async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.0.db.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.counted(self.0.db.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.counted(self.0.db.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.counted(self.0.db.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.counted(self.0.db.query_all_raw(statement)).await
    }
}

impl StreamTrait for Pool {
    type Stream<'a> = <DatabaseConnection as StreamTrait>::Stream<'a>;

    fn get_database_backend(&self) -> DbBackend {
        self.0.db.get_database_backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Self::Stream<'a>, DbErr>> + 'a + Send>> {
        self.0.db.stream_raw(statement)
    }
}

/// What a statement does.
fn operation(sql: &str) -> &'static str {
    let first = sql.split_ascii_whitespace().next().unwrap_or_default();
    let known = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
    known.into_iter().find(|known| first.eq_ignore_ascii_case(known)).unwrap_or("OTHER")
}

/// The table that a statement names first, or nothing.
fn table(sql: &str) -> &str {
    let mut words = sql.split_ascii_whitespace();
    let before = ["FROM", "INTO", "UPDATE"];
    let is_before = |word: &&str| before.iter().any(|known| word.eq_ignore_ascii_case(known));
    let table = words.find(is_before).and_then(|_| words.next()).unwrap_or_default();
    let end = |character: char| !character.is_ascii_alphanumeric() && character != '_';
    table.trim_matches('"').split(end).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        config::{Secret, Span},
        store::{StoreConfig, connect, transaction},
        telemetry::Telemetry,
    };

    #[tokio::test]
    async fn who_waits_for_a_connection_is_seen_and_who_waits_in_vain_is_counted() {
        const WAITING: &str = "db_client_connection_pending_requests";
        let config = StoreConfig {
            url: Secret::new("sqlite::memory:"),
            acquire_timeout: Span::from_millis(100),
            ..StoreConfig::default()
        };
        let pool = &connect(&config).await.unwrap();
        let metrics = &Telemetry::quiet().service("test").unwrap();
        pool.report(&metrics.meter(), "main");
        let page = || String::from_utf8(metrics.render().unwrap()).unwrap();
        let value = |page: &str, name: &str| -> String {
            let line = page.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.rsplit(' ').next()).unwrap_or("none").to_owned()
        };
        let held = transaction(pool, "held", |_| async move {
            assert_eq!(value(&page(), WAITING), "0");
            let (other, seen) = tokio::join!(pool.execute_unprepared("SELECT 1"), async { page() });
            assert!(other.is_err());
            Ok::<_, StoreError>(value(&seen, WAITING))
        });
        assert_eq!(held.await.unwrap(), "1");
        let page = page();
        assert_eq!(value(&page, WAITING), "0");
        assert_eq!(value(&page, "db_client_connection_timeouts_total"), "1");
        assert_eq!(value(&page, "assent_store_transaction_duration_seconds_count"), "1");
        assert_eq!(value(&page, "assent_store_transaction_retries_total"), "0");
    }

    #[test]
    fn a_statement_is_known_by_what_it_does_and_its_first_table() {
        for (sql, verb, name) in [
            ("SELECT \"a\" FROM \"block\" WHERE x = $1", "SELECT", "block"),
            ("\nWITH asked AS (\n SELECT a FROM subject\n) SELECT 1", "WITH", "subject"),
            ("INSERT INTO erasure (subject_id) VALUES ($1)", "INSERT", "erasure"),
            ("update head SET n = 1", "UPDATE", "head"),
            ("DELETE FROM fence;", "DELETE", "fence"),
            ("PRAGMA wal_checkpoint", "OTHER", ""),
        ] {
            assert_eq!((operation(sql), table(sql)), (verb, name), "{sql}");
        }
    }
}
