//! What people say about suggestions and accounts, and which accounts are a risk.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text},
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

/// Tables that lead with whose word it is, what else their keys have, and the other columns.
const TABLES: [(&str, &[&str], &str); 4] = [
    ("dismissal", &["subject", "dismissed"], "until"),
    ("spam_report", &["subject", "reported"], "at"),
    ("spam_review", &["subject"], "sequence"),
    ("spam_risk", &["subject"], "at"),
];

/// For finding what is over, and what was said about a person.
const INDEXES: [(&str, &str, &[&str]); 7] = [
    ("dismissal_until", "dismissal", &["until"]),
    ("dismissal_dismissed", "dismissal", &["dismissed"]),
    ("spam_report_at", "spam_report", &["at"]),
    ("spam_report_reported", "spam_report", &["reported", "at"]),
    ("spam_review_sequence", "spam_review", &["sequence"]),
    ("spam_risk_at", "spam_risk", &["at"]),
    ("block_blocked_at", "block", &["blocked", "at"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, key, number) in TABLES {
            let (mut table, mut primary) = (Table::create(), Index::create());
            table.table(name);
            for column in key {
                table.col(text(*column));
                primary.col(*column);
            }
            table.col(big_integer(number)).primary_key(primary.primary());
            manager.create_table(table).await?;
        }
        // The one by both serves as well.
        let drop = Index::drop().name("block_blocked").table("block").to_owned();
        manager.drop_index(drop).await?;
        for (name, table, columns) in INDEXES {
            let mut index = Index::create();
            index.name(name).table(table);
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
