//! People, identifiers, connections, address books, settings, blocks; requests and changes.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, blob, boolean, integer, small_integer, text},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in people().into_iter().chain(bookkeeping()) {
            manager.create_table(table).await?;
        }
        for (name, table) in [("request_at", "request"), ("change_at", "change")] {
            let mut index = Index::create();
            manager.create_index(index.name(name).table(table).col("at").to_owned()).await?;
        }
        let db = manager.get_connection();
        let mut head = Query::insert();
        head.into_table("head").columns(["id", "seq"]).values_panic([1.into(), 0.into()]);
        db.execute(&head).await?;
        if db.get_database_backend() == DbBackend::Postgres {
            // Random bytes do not compress, and trying would take its time.
            let plain = "ALTER TABLE address_book ALTER COLUMN entries SET STORAGE EXTERNAL";
            db.execute_unprepared(plain).await?;
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

fn people() -> [TableCreateStatement; 6] {
    [
        table("person", &["subject"])
            .col(text("subject"))
            .col(big_integer("consent_until"))
            .col(big_integer("checked_at"))
            .to_owned(),
        table("identifier", &["subject", "match_key"])
            .col(text("subject"))
            .col(blob("match_key"))
            .col(big_integer("since"))
            .to_owned(),
        table("connection", &["subject", "other"])
            .col(text("subject"))
            .col(text("other"))
            .col(big_integer_null("connected_at"))
            .to_owned(),
        table("address_book", &["subject"])
            .col(text("subject"))
            .col(text("token"))
            .col(big_integer("synced"))
            .col(blob("entries"))
            .to_owned(),
        table("contact_settings", &["subject"])
            .col(text("subject"))
            .col(small_integer("discoverability"))
            .col(boolean("may_be_mutual"))
            .to_owned(),
        table("block", &["subject", "blocked"])
            .col(text("subject"))
            .col(text("blocked"))
            .col(big_integer("at"))
            .to_owned(),
    ]
}

fn bookkeeping() -> [TableCreateStatement; 3] {
    [
        table("request", &["caller", "request_id"])
            .col(text("caller"))
            .col(text("request_id"))
            .col(blob("digest"))
            .col(blob("response"))
            .col(big_integer("at"))
            .to_owned(),
        table("change", &["seq"])
            .col(big_integer("seq"))
            .col(big_integer("at"))
            .col(blob("body"))
            .to_owned(),
        table("head", &["id"]).col(integer("id")).col(big_integer("seq")).to_owned(),
    ]
}
