//! suggest-svc as its callers see it: over gRPC, with every layer, on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used)]

mod blocks;
mod connections;
mod consent;
mod consent_matrix;
mod contacts;
mod engine;
mod enumeration;
mod erasure;
mod export;
mod exposure;
mod feedback;
mod following;
mod hits_and_misses;
mod identifiers;
mod inspection;
mod lasting;
mod mutual_counts;
mod paired_worlds;
mod privacy;
mod process;
mod profiles;
mod quotas;
mod ranges;
mod replicas;
mod revocation;
mod society;
mod spam;
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
