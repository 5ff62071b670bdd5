//! The schema, step by step. A step that was published is never edited.

mod m0001_first;
mod m0002_erasures;
mod m0003_match_key_versions;

use sea_orm_migration::prelude::*;

/// Every step, in order.
#[derive(Debug)]
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::Migration),
            Box::new(m0002_erasures::Migration),
            Box::new(m0003_match_key_versions::Migration),
        ]
    }
}
