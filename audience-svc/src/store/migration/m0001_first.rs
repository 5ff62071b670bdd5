//! The directory, businesses, audiences, uploads, releases, request records, usage.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, blob, boolean, integer, string, string_null, text, text_null,
    },
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in directory().into_iter().chain(businesses()).chain(uploads()).chain(usage()) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let db = manager.get_connection();
        let counter = Query::insert()
            .into_table("directory_counter")
            .columns(["id", "next_ordinal", "last_change", "pruned_change"])
            .values_panic([1.into(), 0.into(), 0.into(), 0.into()])
            .to_owned();
        db.execute(&counter).await?;
        let counter = Query::insert()
            .into_table("list_counter")
            .columns(["id", "last_change", "pruned_change"])
            .values_panic([1.into(), 0.into(), 0.into()])
            .to_owned();
        db.execute(&counter).await?;
        let beginning = Query::insert()
            .into_table("feed_position")
            .columns(["id", "cursor", "beat", "sweeps", "swept_at"])
            .values_panic([1.into(), Vec::<u8>::new().into(), 0.into(), 0.into(), 0.into()])
            .to_owned();
        db.execute(&beginning).await?;
        let nobody = Query::insert()
            .into_table("usage_counter")
            .columns(["id", "next_ordinal"])
            .values_panic([1.into(), 0.into()])
            .to_owned();
        db.execute(&nobody).await?;
        if db.get_database_backend() == DbBackend::Postgres {
            // Compressed, a record's size would tell how many members it has.
            let plain = "ALTER TABLE upload_batch ALTER COLUMN members SET STORAGE EXTERNAL";
            db.execute_unprepared(plain).await?;
            // Random bytes: there is nothing to compress.
            let plain = "ALTER TABLE directory_change ALTER COLUMN changes SET STORAGE EXTERNAL";
            db.execute_unprepared(plain).await?;
            // Bitmaps are compact already.
            let plain = "ALTER TABLE usage_activity ALTER COLUMN people SET STORAGE EXTERNAL";
            db.execute_unprepared(plain).await?;
        }
        Ok(())
    }
}

/// The primary key, first column first.
fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(*column);
    }
    index.primary().to_owned()
}

fn counts(table: &mut TableCreateStatement) -> &mut TableCreateStatement {
    table
        .col(big_integer("rows_received"))
        .col(big_integer("rows_duplicate"))
        .col(blob("rows_refused"))
}

fn directory() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("directory_subject")
            .col(string("subject_id"))
            .col(big_integer("ordinal"))
            .col(big_integer("valid_until"))
            .col(big_integer("ads_until"))
            .col(big_integer("revision"))
            .col(big_integer("registered_at"))
            .col(integer("secret_version"))
            .col(blob("match_keys"))
            .primary_key(&mut key(&["subject_id"]))
            .to_owned(),
        Table::create()
            .table("directory_change")
            .col(big_integer("seq"))
            .col(big_integer("recorded_at"))
            .col(blob("changes"))
            .primary_key(&mut key(&["seq"]))
            .to_owned(),
        Table::create()
            .table("directory_counter")
            .col(integer("id"))
            .col(big_integer("next_ordinal"))
            .col(big_integer("last_change"))
            .col(big_integer("pruned_change"))
            .primary_key(&mut key(&["id"]))
            .to_owned(),
        Table::create()
            .table("feed_position")
            .col(integer("id"))
            .col(blob("cursor"))
            .col(big_integer("beat"))
            .col(text_null("sweep"))
            .col(big_integer("sweeps"))
            .col(big_integer("swept_at"))
            .primary_key(&mut key(&["id"]))
            .to_owned(),
    ]
}

fn businesses() -> Vec<TableCreateStatement> {
    let mut audience = Table::create();
    audience
        .table("audience")
        .col(string("business_id"))
        .col(string("audience_id"))
        .col(text("display_name"))
        .col(text("description"))
        .col(integer("source"))
        .col(big_integer("lifetime_ms"))
        .col(big_integer("version"))
        .col(text_null("size"))
        .col(big_integer_null("sized_version"))
        .col(boolean("targetable"))
        .col(big_integer("created_at"))
        .col(big_integer("updated_at"))
        .primary_key(&mut key(&["business_id", "audience_id"]));
    counts(&mut audience);
    vec![
        Table::create()
            .table("business")
            .col(string("business_id"))
            .col(text("display_name"))
            .col(string("owner_id"))
            .col(big_integer("created_at"))
            .primary_key(&mut key(&["business_id"]))
            .to_owned(),
        audience,
        Table::create()
            .table("audience_member")
            .col(integer("chunk"))
            .col(string("audience_id"))
            .col(integer("expires_on"))
            .col(string("business_id"))
            .col(integer("listed_on"))
            .col(blob("members"))
            .primary_key(&mut key(&["chunk", "audience_id", "expires_on"]))
            .to_owned(),
        Table::create()
            .table("list_change")
            .col(big_integer("seq"))
            .col(big_integer("recorded_at"))
            .col(string("audience_id"))
            .col(blob("chunks"))
            .primary_key(&mut key(&["seq"]))
            .to_owned(),
        Table::create()
            .table("list_counter")
            .col(integer("id"))
            .col(big_integer("last_change"))
            .col(big_integer("pruned_change"))
            .primary_key(&mut key(&["id"]))
            .to_owned(),
        Table::create()
            .table("reach_release")
            .col(string("business_id"))
            .col(blob("expression"))
            .col(text("released"))
            .primary_key(&mut key(&["business_id", "expression"]))
            .to_owned(),
        Table::create()
            .table("release_budget")
            .col(string("owner_id"))
            .col(big_integer("ever"))
            .col(blob("drawn"))
            .primary_key(&mut key(&["owner_id"]))
            .to_owned(),
        Table::create()
            .table("departure")
            .col(string("subject_id"))
            .col(string("business_id"))
            .col(big_integer("left_at"))
            .primary_key(&mut key(&["subject_id", "business_id"]))
            .to_owned(),
        Table::create()
            .table("request_record")
            .col(string("principal"))
            .col(string("request_id"))
            .col(blob("content"))
            .col(text("answer"))
            .col(big_integer("recorded_at"))
            .primary_key(&mut key(&["principal", "request_id"]))
            .to_owned(),
    ]
}

fn uploads() -> Vec<TableCreateStatement> {
    let mut upload = Table::create();
    upload
        .table("upload")
        .col(string("business_id"))
        .col(string("upload_id"))
        .col(string("audience_id"))
        .col(integer("mode"))
        .col(string("profile"))
        .col(string_null("default_region"))
        .col(boolean("validate_only"))
        .col(integer("state"))
        .col(big_integer("batches_received"))
        .col(big_integer_null("last_batch"))
        .col(big_integer("expires_at"))
        .col(big_integer("created_at"))
        .primary_key(&mut key(&["business_id", "upload_id"]));
    counts(&mut upload);
    let mut batch = Table::create();
    batch
        .table("upload_batch")
        .col(string("business_id"))
        .col(string("upload_id"))
        .col(big_integer("batch_number"))
        .col(blob("content"));
    counts(&mut batch).col(blob("rejections")).col(blob("members")).primary_key(&mut key(&[
        "business_id",
        "upload_id",
        "batch_number",
    ]));
    vec![upload, batch]
}

fn usage() -> Vec<TableCreateStatement> {
    vec![
        Table::create()
            .table("usage_person")
            .col(string("subject_id"))
            .col(big_integer("ordinal"))
            .col(big_integer("valid_until"))
            .col(big_integer("revision"))
            .primary_key(&mut key(&["subject_id"]))
            .to_owned(),
        Table::create()
            .table("usage_counter")
            .col(integer("id"))
            .col(big_integer("next_ordinal"))
            .primary_key(&mut key(&["id"]))
            .to_owned(),
        Table::create()
            .table("usage_calendar")
            .col(integer("id"))
            .col(integer("closed_before"))
            .col(integer("next_day"))
            .primary_key(&mut key(&["id"]))
            .to_owned(),
        Table::create()
            .table("usage_day")
            .col(integer("day"))
            .col(string("app_id"))
            .primary_key(&mut key(&["day", "app_id"]))
            .to_owned(),
        Table::create()
            .table("usage_activity")
            .col(integer("chunk"))
            .col(string("app_id"))
            .col(integer("day"))
            .col(blob("people"))
            .primary_key(&mut key(&["chunk", "app_id", "day"]))
            .to_owned(),
        Table::create()
            .table("usage_figure")
            .col(integer("day"))
            .col(string("app_id"))
            .col(text("figures"))
            .primary_key(&mut key(&["day", "app_id"]))
            .to_owned(),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table(table);
        for column in columns {
            index.col(*column);
        }
        index
    };
    vec![
        index("directory_subject_ordinal", "directory_subject", &["ordinal"]).unique().to_owned(),
        index("directory_subject_valid_until", "directory_subject", &["valid_until"]),
        index("audience_id", "audience", &["audience_id"]).unique().to_owned(),
        index("audience_member_list", "audience_member", &["business_id", "audience_id", "chunk"]),
        index("audience_member_expiry", "audience_member", &["expires_on"]),
        index("departure_business", "departure", &["business_id"]),
        index("upload_audience", "upload", &["business_id", "audience_id"]),
        index("upload_expiry", "upload", &["state", "expires_at"]),
        index("usage_person_ordinal", "usage_person", &["ordinal"]).unique().to_owned(),
        index("usage_person_valid_until", "usage_person", &["valid_until"]),
        index("usage_activity_day", "usage_activity", &["day"]),
        index("request_record_age", "request_record", &["recorded_at"]),
    ]
}
