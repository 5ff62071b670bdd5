//! The schema, one file a step.

mod m0001_graph;
mod m0002_lapsed;
mod m0003_quotas;
mod m0004_feed;
mod m0005_feedback;
mod m0006_marks;
mod m0007_connections;
mod m0008_other_end;

use sea_orm_migration::prelude::*;

/// Every step, oldest first.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_graph::Migration),
            Box::new(m0002_lapsed::Migration),
            Box::new(m0003_quotas::Migration),
            Box::new(m0004_feed::Migration),
            Box::new(m0005_feedback::Migration),
            Box::new(m0006_marks::Migration),
            Box::new(m0007_connections::Migration),
            Box::new(m0008_other_end::Migration),
        ]
    }
}
