//! What a store can fail with, without anything that a row may hold.

use std::time::Duration;

use proto::{errors::v1::Reason, status};
use sea_orm::{
    ConnAcquireErr, DbErr, RuntimeErr, SqlErr,
    sqlx::{self, error::DatabaseError},
};
use tonic::Status;

/// Why the store did not do what was asked. The text names codes, tables and constraints, never
/// values, statements or URLs, so it is safe to log. It is not for callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or all connections are in use.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Another transaction was in the way; the same again may succeed.
    #[error("conflict with another transaction: {0}")]
    Conflict(String),
    /// A row with the same unique key exists.
    #[error("duplicate: {0}")]
    Duplicate(String),
    /// The database's schema is not the one that this program knows.
    #[error("schema: {0}")]
    Schema(String),
    /// Anything else: a defect.
    #[error("store error: {0}")]
    Other(String),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match &error {
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => {
                Self::Unavailable("no connection became free in time".to_owned())
            }
            DbErr::ConnectionAcquire(_) => Self::Unavailable("the pool is closed".to_owned()),
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => {
                let duplicate =
                    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)));
                driver(cause, duplicate)
            }
            // Our own texts and the mapping's: column and type names.
            other => Self::Other(other.to_string()),
        }
    }
}

fn driver(error: &sqlx::Error, duplicate: bool) -> StoreError {
    match error {
        sqlx::Error::Database(database) => reported(database.as_ref(), duplicate),
        sqlx::Error::Io(error) => StoreError::Unavailable(error.to_string()),
        sqlx::Error::Tls(_) => StoreError::Unavailable("TLS failed".to_owned()),
        sqlx::Error::PoolTimedOut => {
            StoreError::Unavailable("no connection became free in time".to_owned())
        }
        sqlx::Error::PoolClosed => StoreError::Unavailable("the pool is closed".to_owned()),
        sqlx::Error::WorkerCrashed => StoreError::Unavailable("the SQLite worker died".to_owned()),
        sqlx::Error::Protocol(_) => StoreError::Unavailable("protocol error".to_owned()),
        sqlx::Error::ColumnDecode { index, .. } => {
            StoreError::Other(format!("column {index} cannot be read"))
        }
        sqlx::Error::Configuration(_) => StoreError::Other("the URL is not valid".to_owned()),
        // The remaining ones name columns, types and numbers of arguments.
        other => StoreError::Other(other.to_string()),
    }
}

/// An error that the database itself reported, by its SQLSTATE or SQLite result code.
fn reported(error: &dyn DatabaseError, duplicate: bool) -> StoreError {
    let code = error.code().unwrap_or_default();
    let place = error.constraint().or(error.table()).unwrap_or("no table");
    // Messages of these classes quote values: data exceptions, and errors raised by functions.
    let quotes = code.len() == 5 && (code.starts_with("22") || code.starts_with("P0"));
    let message = if quotes { "message withheld" } else { error.message() };
    let text = format!("code {code} ({place}): {message}");
    if duplicate {
        return StoreError::Duplicate(text);
    }
    match code.as_ref() {
        // PostgreSQL: serialization_failure, deadlock_detected, lock_not_available.
        "40001" | "40P01" | "55P03" => StoreError::Conflict(text),
        // query_canceled (statement_timeout), admin_shutdown and its kin, starting up.
        "57014" | "57P01" | "57P02" | "57P03" => StoreError::Unavailable(text),
        // Classes: connection exceptions, insufficient resources, wrong password.
        code if code.len() == 5
            && ["08", "53", "28"].iter().any(|class| code.starts_with(class)) =>
        {
            StoreError::Unavailable(text)
        }
        // SQLite: the low byte of 5 is BUSY, of 6 LOCKED; 10 is I/O, 13 is a full disk, 14 cannot
        // open.
        code => match code.parse::<u32>().map(|number| number & 0xff) {
            Ok(5 | 6) if code.len() < 5 => StoreError::Conflict(text),
            Ok(10 | 13 | 14) if code.len() < 5 => StoreError::Unavailable(text),
            _ => StoreError::Other(text),
        },
    }
}

impl From<StoreError> for Status {
    /// UNAVAILABLE where trying again may help, else INTERNAL. The cause is logged, not shown.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Conflict(_) => {
                tracing::warn!(%error, "the store did not answer");
                let text = "the store did not answer; try again";
                status::retryable(Reason::DependencyUnavailable, text, Duration::from_secs(1))
            }
            StoreError::Duplicate(_) | StoreError::Schema(_) | StoreError::Other(_) => {
                tracing::error!(%error, "the store failed");
                status::status(Reason::Internal, "internal error")
            }
        }
    }
}
