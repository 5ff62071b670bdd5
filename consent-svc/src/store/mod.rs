//! The only module that knows the database.
//!
//! | table | a row |
//! |---|---|
//! | `subject` | a subject's whole state, encoded: a check is one read by primary key |
//! | `event` | what happened to a subject, appended, chained by digests |
//! | `feed`, `feed_head` | what changed anybody's answers, in order; how far that goes |
//! | `due_scan` | how far deadlines have been computed anew after a change of policies |
//! | `erasure`, `erasure_follower` | who was erased, and which followers have done the same |
//! | `policy` | a policy version |
//! | `policy_epoch` | one row, counted up with every change of policies |
//! | `request` | what was answered to a write, so that it can be answered again |
//! | `fence` | a subject whose answers are about to change |
//! | `cache_primary` | a Redis primary, and the generation of keys that is valid there |
//!
//! The policy set is kept in memory, under its epoch. Every read of a subject reads the epoch in
//! the same statement, and is answered only with the set of that epoch, so no replica ever
//! evaluates with policies that were outdated when it looked.

mod apply;
mod due;
mod entity;
mod erasure;
mod events;
mod feed;
mod fence;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod generation;
mod history;
mod load;
mod migration;
mod policies;
mod read;
mod reply;
mod request;
mod rows;
mod sql;
mod state;
mod time;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use sea_orm::{ConnectionTrait as _, DbBackend};
use service_kit::{
    context::Context,
    store::{self, Pool, StoreConfig, StoreError},
};
use tokio::sync::{Notify, Semaphore};

pub(crate) use apply::{Applied, Change, Command, Guard, Outcome, Scene};
pub(crate) use erasure::{Erasure, Pending};
pub(crate) use events::{Page, Proof};
pub(crate) use feed::{Fed, Kind};
pub(crate) use fence::Token;
pub(crate) use history::{chain_digest, content_digest, decode as decode_event};
pub(crate) use policies::{Alteration, PolicyRule};
pub(crate) use read::Reading;
pub(crate) use reply::{PolicyReply, Reply};
pub(crate) use request::RequestId;

use crate::{
    config::ConsentConfig,
    domain::{Interval, Moment, Policies},
};
use time::DatabaseTime;

/// Subjects, events, policies. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    loads: load::Loads,
    /// A permit for each statement of many reads at once.
    many: Arc<Semaphore>,
    cursor_key: Arc<[u8]>,
}

struct Shared {
    db: Pool,
    /// For fences, whose commits need not wait for the disk.
    fences: Pool,
    /// How long a statement may take to be answered.
    patience: Duration,
    time: DatabaseTime,
    policies: ArcSwap<Policies>,
    /// Who must erase what is erased here.
    followers: Vec<String>,
    feed_grew: Notify,
}

/// Every statement here goes by an index. Left to itself, PostgreSQL plans for the statistics of the
/// moment, which of a new or fast growing table are those of a small one, and reads all of it; and
/// it would plan anew each time.
const BY_INDEX: &[(&str, &str)] =
    &[("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan"), ("jit", "off")];

/// How much longer than the database's own limit an answer is waited for. A connection on which nothing
/// comes by then leads nowhere; the operating system would take a quarter of an hour to say so.
const GRACE: Duration = Duration::from_secs(2);

impl Store {
    /// Opens the store of a running service.
    pub(crate) async fn open(ctx: &Context, config: &ConsentConfig) -> Result<Self, StoreError> {
        // What is kept in the process must not be changed behind its back.
        let session = BY_INDEX.to_vec();
        let alone = StoreConfig { exclusive: true, session, ..config.store.clone() };
        let db = store::connect(&alone).await?;
        store::check_schema::<migration::Migrator>(&db).await?;
        // For an erasure after which the process died.
        scrub(&db).await?;
        let probe = db.clone();
        ctx.readiness.require("store", move || {
            let db = probe.clone();
            async move { store::ping(&db).await }
        });
        let remote = db.get_database_backend() == DbBackend::Postgres;
        let fences = if remote && !config.cache.redis.is_empty() {
            let session = [BY_INDEX, &[("synchronous_commit", "off")]].concat();
            store::connect(&StoreConfig { session, ..config.store.clone() }).await?
        } else {
            db.clone()
        };
        db.report(&ctx.meter, "main");
        // Where they are the same connections, this does nothing.
        fences.report(&ctx.meter, "fences");
        let cursor_key = feed::cursor_key(&db).await?.into();
        let shared = Arc::new(Shared {
            db,
            fences,
            patience: config.store.statement_timeout.get() + GRACE,
            time: DatabaseTime::new(ctx.clock.clone(), remote),
            // An epoch that no database has: the first read loads the policies.
            policies: ArcSwap::from_pointee(Policies::new(-1, Vec::new())),
            followers: config.followers.clone(),
            feed_grew: Notify::new(),
        });
        let readers = if remote { config.readers } else { 1 };
        let loads = load::start(ctx, &shared, readers);
        let many = Arc::new(Semaphore::new(readers.max(1)));
        Ok(Self { shared, loads, many, cursor_key })
    }

    /// Brings the schema up to date.
    pub(crate) async fn migrate(config: &StoreConfig) -> Result<(), StoreError> {
        let db = store::connect(config).await?;
        store::migrate::<migration::Migrator>(&db).await?;
        db.close().await
    }

    /// Whether other processes may share the database.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.db.get_database_backend() == DbBackend::Postgres
    }

    /// What time it is for the database, as well as that is known.
    pub(crate) fn now(&self) -> Interval {
        self.shared.time.now()
    }

    /// What seals the cursors of this store's feed.
    pub(crate) fn cursor_key(&self) -> &[u8] {
        &self.cursor_key
    }

    /// Waits until this process has appended to the feed.
    pub(crate) async fn feed_growth(&self) {
        self.shared.feed_grew.notified().await;
    }

    fn feed_grew(&self) {
        self.shared.feed_grew.notify_waiters();
    }

    /// SQLite: moves what was written into the file itself and empties the log of it, in which pages
    /// stand as they were. What was overwritten or deleted is nowhere after this.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        scrub(&self.shared.db).await
    }

    /// Forgets requests that were recorded longer ago than this.
    pub(crate) async fn forget_requests(&self, retention: Duration) -> Result<(), StoreError> {
        while request::forget(&self.shared.db, self.ago(retention)).await? {}
        Ok(())
    }

    /// Forgets entries of the feed that were recorded longer ago than this.
    pub(crate) async fn forget_feed(&self, retention: Duration) -> Result<(), StoreError> {
        while self.purge_feed(self.ago(retention)).await? {}
        Ok(())
    }

    fn ago(&self, span: Duration) -> Moment {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Moment::from_millis(self.now().earliest.millis().saturating_sub(millis))
    }
}

async fn scrub(db: &Pool) -> Result<(), StoreError> {
    if db.get_database_backend() == DbBackend::Sqlite {
        db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
    }
    Ok(())
}

impl Shared {
    /// Gives up what takes much longer than the database's own limit allows. SQLite is no network
    /// away, and has no limit.
    async fn answered<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        if !self.time.is_remote() {
            return work.await;
        }
        match tokio::time::timeout(self.patience, work).await {
            Ok(answered) => answered,
            Err(_) => Err(StoreError::Unavailable("no answer in time".to_owned()).into()),
        }
    }

    /// The time of a transaction.
    fn now(&self, header: &apply::Header) -> Moment {
        if self.time.is_remote() { header.now } else { self.time.local() }
    }
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Other(format!("a row of {what} cannot be read"))
}
