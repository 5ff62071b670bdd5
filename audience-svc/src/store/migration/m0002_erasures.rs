//! Erasures that are to be acknowledged.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, string},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("erasure")
            .col(string("subject_id"))
            .col(big_integer("after_change"))
            .primary_key(Index::create().col("subject_id").primary())
            .to_owned();
        manager.create_table(table).await?;
        let index =
            Index::create().name("erasure_change").table("erasure").col("after_change").to_owned();
        manager.create_index(index).await
    }
}
