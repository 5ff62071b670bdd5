//! Who is waited for: without it, whoever looks for erasures that a follower has not acknowledged
//! reads all that there ever were.

use sea_orm_migration::prelude::*;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_pending_erasures"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "CREATE INDEX erasure_follower_pending ON erasure_follower (follower, subject_id)
                   WHERE acknowledged_at IS NULL";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}
