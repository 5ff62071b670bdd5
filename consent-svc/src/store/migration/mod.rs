//! The schema, step by step. A step that was released is never edited.

use sea_orm_migration::prelude::*;

mod m0001_subjects;
mod m0002_pending_erasures;

/// All steps.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m0001_subjects::Migration), Box::new(m0002_pending_erasures::Migration)]
    }
}
