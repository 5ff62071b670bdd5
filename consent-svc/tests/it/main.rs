//! The service as its callers meet it: over gRPC, with every layer, on both stores.
#![allow(clippy::unwrap_used)]

/// Runs each test on one store, in a module of that name.
macro_rules! on_store {
    ($store:ident, $world:ident, $($name:ident),*) => {
        mod $store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::World::$world().await).await;
            })*
        }
    };
}

/// Runs each test on SQLite with the cache in the process, on PostgreSQL without one, and on
/// PostgreSQL with Redis.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        on_store!(sqlite, on_sqlite, $($name),*);
        on_shared_stores!($($name),*);
    };
}

/// Runs each test on the stores that replicas can share: PostgreSQL, without and with Redis.
macro_rules! on_shared_stores {
    ($($name:ident),* $(,)?) => {
        on_store!(postgres, on_postgres, $($name),*);
        on_store!(redis, on_redis, $($name),*);
    };
}

mod as_of;
mod auditor;
mod cache;
mod cache_metrics;
mod calls;
mod database_down;
mod decisions;
mod erasure;
mod erasure_storage;
mod exclusive;
mod feed;
mod feed_deadlines;
mod feed_replicas;
mod fences;
mod guardians;
mod harness;
mod idempotency;
mod inside;
mod links;
mod links_replicas;
mod long_histories;
mod overload;
mod policies;
mod primaries;
mod reasons;
mod receipts;
mod redis_faults;
mod replicas;
mod tampered;
