//! On PostgreSQL, connections are found from their other end by an index of that end alone: it keeps
//! the rows of one person in one list, so that a new connection costs it half as much.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("DROP INDEX connection_other").await?;
            let index = "CREATE INDEX connection_other ON connection (other)";
            db.execute_unprepared(index).await?;
        }
        Ok(())
    }
}
