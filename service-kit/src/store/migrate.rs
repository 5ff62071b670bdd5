//! Bringing a schema up to date, and refusing one that is not.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{Migration, MigratorTrait};

use super::StoreError;

/// The advisory lock under which a PostgreSQL database is migrated: "assent" in ASCII.
const LOCK: i64 = 0x6173_7365_6e74;

/// Applies the migrations that are pending: all of them, or none when one fails. Safe to call
/// again, and from several processes at once: one does the work, the others wait for it.
///
/// # Errors
/// [`StoreError::Schema`] when the database has a migration that `M` does not know.
pub async fn migrate<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), StoreError> {
    // The migrator takes no lock of its own. A transaction does: SQLite's from its start, on
    // PostgreSQL an advisory lock that ends with it, also when this process dies.
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = db.begin_with_options(immediate).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        run(&tx, "SET LOCAL statement_timeout = 0".to_owned()).await?;
        run(&tx, "SET LOCAL idle_in_transaction_session_timeout = 0".to_owned()).await?;
        run(&tx, format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    }
    refuse_unknown::<M>(&tx).await?;
    M::up(&tx, None).await?;
    Ok(tx.commit().await?)
}

async fn run(tx: &DatabaseTransaction, sql: String) -> Result<(), DbErr> {
    tx.execute_raw(Statement::from_string(tx.get_database_backend(), sql)).await.map(drop)
}

/// Makes sure that the schema is the one that `M` describes: nothing pending, nothing unknown.
/// Changes nothing.
///
/// # Errors
/// [`StoreError::Schema`] naming what is pending or unknown.
pub async fn check_schema<M: MigratorTrait>(db: &DatabaseConnection) -> Result<(), StoreError> {
    refuse_unknown::<M>(db).await?;
    let pending = M::get_pending_migrations_read_only(db).await?;
    let names: Vec<&str> = pending.iter().map(Migration::name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let text = format!("not migrated yet: {} (run the migrate command)", names.join(", "));
    Err(StoreError::Schema(text))
}

async fn refuse_unknown<M: MigratorTrait>(db: &impl ConnectionTrait) -> Result<(), StoreError> {
    // Of this query's errors, `Custom` is the one about migrations that are not in `M`.
    match M::get_migration_with_status_read_only(db).await {
        Ok(_) => Ok(()),
        Err(DbErr::Custom(text)) => {
            Err(StoreError::Schema(format!("made by another version of this program: {text}")))
        }
        Err(error) => Err(error.into()),
    }
}
