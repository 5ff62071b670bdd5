//! A mark for each change: tells one store's history from another's with the same numbers.

use sea_orm_migration::{prelude::*, schema::blob};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["head", "change"] {
            // Sixteen bytes; none: from before there were marks.
            let mark = blob("mark").default(Vec::<u8>::new()).to_owned();
            manager.alter_table(Table::alter().table(table).add_column(mark).to_owned()).await?;
        }
        Ok(())
    }
}
