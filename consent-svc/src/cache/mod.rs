//! Answers that are kept, so that most checks need no database, and that are never stale.
//!
//! After a change is acknowledged, no check that starts later is answered from before it. With
//! Redis, shared by replicas, this takes:
//!
//! - **a fence in the database** ([`Store::fence`](crate::store::Store::fence)): what is read of a
//!   subject between the invalidation and the commit of a change is not kept;
//! - **invalidation before the commit**: keys are deleted on a primary whose identity is verified in
//!   the same breath;
//! - **fills with a nonce**: a reader announces its fill before it reads the database, and stores
//!   only if its announcement still stands;
//! - **generations with leases** ([`lease`]): when Redis fails, the cache is closed, and the first
//!   writer waits until no replica can still believe it open.
//!
//! See ARCHITECTURE.md for the argument, and the model for the proof. Alone with a SQLite file, a
//! process keeps answers in its own memory, by the same rule ([`in_process`]). Replicas on PostgreSQL
//! without Redis keep none.

mod boot_time;
mod config;
mod in_process;
mod lease;
mod metrics;
mod redis;
mod value;

use std::{sync::Arc, time::Instant};

use service_kit::{boot::BootError, context::Context, telemetry::waited};

pub(crate) use boot_time::BootTime;
pub use config::CacheConfig;
use in_process::{InProcess, Seen};
pub(crate) use lease::{Lease, Row, drift};
pub(crate) use metrics::Metrics;
pub(crate) use redis::Redis;
use redis::{Found, Ticket};
#[cfg(any(test, fuzzing))]
pub(crate) use value::fuzz as fuzz_answers;
pub(crate) use value::{Answers, encode};

use crate::store::Store;

/// Where answers are kept.
pub(crate) enum Cache {
    /// In Redis, for all replicas.
    Redis(Arc<Redis>),
    /// In this process, which is alone with its store.
    InProcess(InProcess),
    /// Nowhere.
    None,
}

/// What a lookup found.
#[derive(Debug, Clone)]
pub(crate) enum Lookup {
    /// Answers, as bytes that [`Answers::decode`] reads.
    Hit(Bytes),
    /// Nothing. What is read from the store after this may be kept under the permit, if there is one.
    Miss(Option<Permit>),
}

/// Bytes of answers.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Permits to keep what is read after it was given.
#[derive(Debug, Clone)]
pub(crate) enum Permit {
    Redis(Ticket),
    InProcess(Seen),
}

impl Cache {
    /// The cache that fits the store and the configuration, and what keeps it up.
    pub(crate) async fn start(
        ctx: &Context,
        store: &Store,
        config: &CacheConfig,
        metrics: Metrics,
    ) -> Result<Self, BootError> {
        if !config.redis.is_empty() {
            let invalid = |_| BootError::other("cache.redis: not a redis:// or rediss:// URL");
            let (redis, tasks) = Redis::new(config, metrics, &ctx.meter).map_err(invalid)?;
            let redis = Arc::new(redis);
            redis.refuse_clusters().await.map_err(BootError::other)?;
            store.claim_primaries(redis.primaries()).await?;
            for task in tasks {
                let drained = ctx.drained.clone();
                ctx.spawn("cache", async move {
                    tokio::select! { () = task => {}, () = drained.cancelled() => {} }
                });
            }
            redis::keep(ctx, store, &redis);
            return Ok(Self::Redis(redis));
        }
        Ok(if store.is_shared() {
            Self::None
        } else {
            Self::InProcess(InProcess::new(config.capacity))
        })
    }

    /// Looks a subject up for a check that started at `start`.
    pub(crate) async fn get(&self, subject_id: &str, start: BootTime) -> Lookup {
        match self {
            Self::Redis(redis) => {
                let started = Instant::now();
                let found = redis.get(subject_id, start).await;
                waited("cache get", started.elapsed(), false);
                found.into()
            }
            Self::InProcess(own) => own_lookup(own, subject_id),
            Self::None => Lookup::Miss(None),
        }
    }

    /// Looks many subjects up, by their index, for a check that started at `start`.
    pub(crate) async fn get_many(&self, subject_ids: &[String], start: BootTime) -> Vec<Lookup> {
        match self {
            Self::Redis(redis) => {
                redis.get_many(subject_ids, start).await.into_iter().map(Lookup::from).collect()
            }
            Self::InProcess(own) => subject_ids.iter().map(|id| own_lookup(own, id)).collect(),
            Self::None => vec![Lookup::Miss(None); subject_ids.len()],
        }
    }

    /// A permit for a subject whose kept answers have run out.
    pub(crate) async fn renew(&self, subject_id: &str, start: BootTime) -> Option<Permit> {
        match self {
            Self::Redis(redis) => redis.begin(subject_id, start).await.map(Permit::Redis),
            Self::InProcess(own) => Some(Permit::InProcess(own.seen(subject_id))),
            Self::None => None,
        }
    }

    /// Keeps answers that were read from the store after `permit` was given, unless something
    /// happened to the subject meanwhile. Does not wait for it.
    pub(crate) fn fill(&self, subject_id: &str, permit: Permit, value: Vec<u8>) {
        match (self, permit) {
            (Self::Redis(redis), Permit::Redis(ticket)) => redis.fill(subject_id, ticket, value),
            (Self::InProcess(own), Permit::InProcess(seen)) => {
                own.fill(subject_id, seen, value);
            }
            _ => {}
        }
    }
}

fn own_lookup(own: &InProcess, subject_id: &str) -> Lookup {
    match own.get(subject_id) {
        Some(bytes) => Lookup::Hit(Bytes::Shared(bytes)),
        None => Lookup::Miss(Some(Permit::InProcess(own.seen(subject_id)))),
    }
}

impl From<Found> for Lookup {
    fn from(found: Found) -> Self {
        match found {
            Found::Value(bytes) => Self::Hit(Bytes::Own(bytes)),
            Found::Nothing(ticket) => Self::Miss(Some(Permit::Redis(ticket))),
            Found::Unusable => Self::Miss(None),
        }
    }
}
