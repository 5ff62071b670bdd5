//! Each connection is one row, found from either end: half of what has to be written, and indexed by
//! bytes, whatever the language of the database.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        // SQLite compares bytes by itself.
        let bytes = match db.get_database_backend() {
            DbBackend::Postgres => r#"COLLATE "C""#,
            _ => "",
        };
        for statement in [
            "ALTER TABLE connection RENAME TO connection_twice".to_owned(),
            format!(
                "CREATE TABLE connection (subject text {bytes} NOT NULL, \
                 other text {bytes} NOT NULL, connected_at bigint, \
                 CONSTRAINT connection_once PRIMARY KEY (subject, other))"
            ),
            format!(
                "INSERT INTO connection SELECT subject, other, connected_at \
                 FROM connection_twice WHERE subject {bytes} < other {bytes}"
            ),
            "DROP TABLE connection_twice".to_owned(),
            "CREATE INDEX connection_other ON connection (other, subject)".to_owned(),
        ] {
            db.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
