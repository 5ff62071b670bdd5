//! The database of a service: SQLite for a suite in one process, PostgreSQL for everything else.
//! The only module of the kit that knows the ORM.

mod connect;
mod error;
mod migrate;
mod pool;
mod transaction;

pub use connect::{StoreConfig, Synchronous, connect, connect_readers, ping};
pub use error::StoreError;
pub use migrate::{check_schema, migrate};
pub use pool::Pool;
pub use transaction::{InTransaction, Tx, transaction, transaction_at};
