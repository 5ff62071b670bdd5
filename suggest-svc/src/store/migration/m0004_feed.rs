//! Following consent-svc's feed: how far, what it says of people, and erasures.

use sea_orm::ConnectionTrait;
use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, blob, integer, text, text_null},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite takes one change of a table at a time.
        let revision = || big_integer("revision").default(0).to_owned();
        let uses = ["suggest_until", "spam_until"].map(big_integer_null);
        for column in uses.into_iter().chain([revision()]) {
            manager.alter_table(alter("person").add_column(column).to_owned()).await?;
        }
        manager.alter_table(alter("person").drop_column("checked_at").to_owned()).await?;
        let denials = big_integer("denials").default(0).to_owned();
        manager.alter_table(alter("head").add_column(denials).to_owned()).await?;
        for table in [feed_position(), erasure(), erased(), left_key()] {
            manager.create_table(table).await?;
        }
        for (name, table, column) in [
            ("erasure_change", "erasure", "after_change"),
            ("erased_at", "erased", "at"),
            ("left_key_change", "left_key", "after_change"),
            ("block_blocked", "block", "blocked"),
        ] {
            let mut index = Index::create();
            manager.create_index(index.name(name).table(table).col(column).to_owned()).await?;
        }
        let db = manager.get_connection();
        let mut position = Query::insert();
        position
            .into_table("feed_position")
            .columns(["id", "cursor", "beat", "sweeps", "swept_at"])
            .values_panic([1.into(), Vec::<u8>::new().into(), 0.into(), 0.into(), 0.into()]);
        db.execute(&position).await?;
        // They name people: from now on a keyed digest stands there.
        let named = Expr::col("caller").like("ROLE_USER/%");
        db.execute(Query::delete().from_table("request").and_where(named)).await?;
        Ok(())
    }
}

fn alter(table: &'static str) -> TableAlterStatement {
    Table::alter().table(table).to_owned()
}

fn table(name: &'static str, key: &'static str) -> TableCreateStatement {
    Table::create().table(name).primary_key(Index::create().col(key).primary()).to_owned()
}

fn feed_position() -> TableCreateStatement {
    table("feed_position", "id")
        .col(integer("id"))
        .col(blob("cursor"))
        .col(big_integer("beat"))
        .col(text_null("sweep"))
        .col(big_integer("sweeps"))
        .col(big_integer("swept_at"))
        .to_owned()
}

fn erasure() -> TableCreateStatement {
    table("erasure", "subject").col(text("subject")).col(big_integer("after_change")).to_owned()
}

fn left_key() -> TableCreateStatement {
    let change = big_integer("after_change");
    table("left_key", "match_key").col(blob("match_key")).col(change).to_owned()
}

fn erased() -> TableCreateStatement {
    table("erased", "person").col(text("person")).col(big_integer("at")).to_owned()
}
