//! Finding people whose consent has ended.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut index = Index::create();
        let index = index.name("person_consent_until").table("person").col("consent_until");
        manager.create_index(index.to_owned()).await
    }
}
