//! suggest-svc as its callers see it: over gRPC, with every layer, on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used)]

mod blocks;
mod connections;
mod consent;
mod consent_matrix;
mod contacts;
mod engine;
mod erasure;
mod export;
mod following;
mod identifiers;
mod inspection;
mod paired_worlds;
mod privacy;
mod replicas;
mod society;
mod stars;
mod suggestions;
mod village;
mod world;

/// The same tests on both databases.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::world::World::on_sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test($crate::world::World::on_postgres().await).await;
            })*
        }
    };
}
pub(crate) use on_both_stores;
