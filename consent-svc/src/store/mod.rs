//! The only module that knows the database.
//!
//! | table | a row |
//! |---|---|
//! | `subject` | a subject's whole state, encoded: a check is one read by primary key |
//! | `event` | what happened to a subject, appended, chained by digests |
//! | `policy` | a policy version |
//! | `policy_epoch` | one row, counted up with every change of policies |
//! | `request` | what was answered to a write, so that it can be answered again |
//!
//! The policy set is kept in memory, under its epoch. Every read of a subject reads the epoch in
//! the same statement, and is answered only with the set of that epoch, so no replica ever
//! evaluates with policies that were outdated when it looked.

mod entity;
mod history;
mod migration;
mod policies;
mod read;
mod reply;
mod request;
mod state;
mod write;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use sea_orm::DatabaseConnection;
use tokio_util::sync::CancellationToken;

use service_kit::{
    context::Context,
    store::{self, StoreConfig, StoreError},
};

pub(crate) use policies::Alteration;
pub(crate) use read::Known;
pub(crate) use reply::{PolicyReply, Reply};
pub(crate) use request::RequestId;
pub use write::WriterConfig;
pub(crate) use write::{Change, Command, Outcome, Scene};

use crate::domain::{Moment, Policies};

/// How often requests that are old enough are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// Subjects, events, policies. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
    lanes: Arc<[write::Lane]>,
}

struct Shared {
    db: DatabaseConnection,
    clock: service_kit::clock::Clock,
    policies: ArcSwap<Policies>,
}

impl Store {
    /// Opens the store of a running service: its writers run until the service has drained.
    pub(crate) async fn open(
        ctx: &Context,
        config: &StoreConfig,
        writers: &WriterConfig,
        request_retention: Duration,
    ) -> Result<Self, StoreError> {
        let db = store::connect(config).await?;
        store::check_schema::<migration::Migrator>(&db).await?;
        let probe = db.clone();
        ctx.readiness.require("store", move || {
            let db = probe.clone();
            async move { store::ping(&db).await }
        });
        let shared = Arc::new(Shared {
            db,
            clock: ctx.clock.clone(),
            // An epoch that no database has: the first read loads the policies.
            policies: ArcSwap::from_pointee(Policies::new(-1, Vec::new())),
        });
        let lanes = write::start(ctx, &shared, writers);
        ctx.spawn("old requests", forget(shared.clone(), request_retention, ctx.shutdown.clone()));
        Ok(Self { shared, lanes })
    }

    /// Brings the schema up to date.
    pub(crate) async fn migrate(config: &StoreConfig) -> Result<(), StoreError> {
        let db = store::connect(config).await?;
        store::migrate::<migration::Migrator>(&db).await?;
        Ok(db.close().await?)
    }
}

impl Shared {
    fn now(&self) -> Moment {
        Moment::from_millis(self.clock.now().get())
    }
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Other(format!("a row of {what} cannot be read"))
}

/// Forgets old requests now and then, until `shutdown`.
async fn forget(shared: Arc<Shared>, retention: Duration, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shared.clock.sleep(FORGET_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
        let before = Moment::from_millis(shared.clock.now().minus(retention).get());
        if let Err(error) = request::forget(&shared.db, before).await {
            tracing::warn!(%error, "old requests could not be forgotten");
        }
    }
}
