//! The service as its callers meet it: over gRPC, with every layer, on both stores.
#![allow(clippy::unwrap_used)]

/// Runs each test on SQLite and on PostgreSQL.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::World::on_sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::World::on_postgres().await).await;
            })*
        }
    };
}

mod decisions;
mod harness;
mod idempotency;
mod policies;
mod reasons;
mod replicas;
