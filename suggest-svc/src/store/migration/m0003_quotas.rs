//! What people have uploaded, and how much more they may.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, text},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut uploaded = Table::create();
        uploaded.table("uploaded").col(text("subject").primary_key());
        uploaded.col(blob("recent")).col(blob("older"));
        manager.create_table(uploaded).await?;
        let mut quota = Table::create();
        quota.table("contact_quota").col(text("subject").primary_key());
        manager.create_table(quota.col(big_integer("empty_at")).to_owned()).await?;
        let mut index = Index::create();
        let index = index.name("contact_quota_empty_at").table("contact_quota").col("empty_at");
        manager.create_index(index.to_owned()).await?;
        let db = manager.get_connection();
        if db.get_database_backend() == DbBackend::Postgres {
            // Fingerprints do not compress, and trying would take its time.
            for column in ["recent", "older"] {
                let plain =
                    format!("ALTER TABLE uploaded ALTER COLUMN {column} SET STORAGE EXTERNAL");
                db.execute_unprepared(&plain).await?;
            }
        }
        Ok(())
    }
}
