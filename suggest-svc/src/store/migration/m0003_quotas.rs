//! What people have uploaded, and how much more they may; ranges of phone numbers, who is in which,
//! and how much more may be found in them.

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
        for table in [
            table("uploaded", &["subject"])
                .col(text("subject"))
                .col(blob("recent"))
                .col(blob("older")),
            table("contact_quota", &["subject"]).col(text("subject")).col(big_integer("empty_at")),
            table("number_range", &["subject", "range"])
                .col(text("subject"))
                .col(big_integer("range"))
                .col(blob("match_keys")),
            table("range_budget", &["range"])
                .col(big_integer("range"))
                .col(big_integer("empty_at")),
        ] {
            manager.create_table(table.to_owned()).await?;
        }
        for (table, column) in
            [("contact_quota", "empty_at"), ("number_range", "range"), ("range_budget", "empty_at")]
        {
            let mut index = Index::create();
            let index = index.name(format!("{table}_{column}")).table(table).col(column);
            manager.create_index(index.to_owned()).await?;
        }
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

fn table(name: &'static str, key: &[&'static str]) -> TableCreateStatement {
    let mut index = Index::create();
    for column in key {
        index.col(*column);
    }
    Table::create().table(name).primary_key(index.primary()).to_owned()
}
