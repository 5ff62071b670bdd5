//! How many people are keyed under each version of the secret, and which replicas have which.
//! Replicas of the build before do not count: stop them before this is applied.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer, string, text},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let version = Table::create()
            .table("directory_version")
            .col(integer("version"))
            .col(big_integer("people"))
            .primary_key(Index::create().col("version").primary())
            .to_owned();
        manager.create_table(version).await?;
        let replica = Table::create()
            .table("replica")
            .col(string("replica_id"))
            .col(text("secret_versions"))
            .col(big_integer("seen_at"))
            .primary_key(Index::create().col("replica_id").primary())
            .to_owned();
        manager.create_table(replica).await?;
        // To find those who are left under a version without reading everybody. While a version
        // stays the same, a row that changes does not touch it.
        let index = Index::create()
            .name("directory_subject_secret_version")
            .table("directory_subject")
            .col("secret_version")
            .to_owned();
        manager.create_index(index).await?;
        let count = "INSERT INTO directory_version (version, people) \
                     SELECT secret_version, COUNT(*) FROM directory_subject GROUP BY secret_version";
        manager.get_connection().execute_unprepared(count).await.map(drop)
    }
}
