//! Clearing away what has ended. Everything here counts for nothing already.

use std::sync::Arc;

use service_kit::clock::UnixMillis;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::day_of,
    error::Error,
    service::Service,
    store::{
        Tx,
        directory::{self, Entry, Stored},
        list_changes, members, uploads,
    },
};

/// How many rows are cleared away in one transaction.
const SOME: u64 = 1_000;

/// How many uploads, which have large batches.
const SOME_UPLOADS: u64 = 10;

impl Service {
    /// Clears away, now and then, until `shutdown`.
    pub(crate) async fn keep_house(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = self.clock.sleep(self.config.housekeeping_interval.get()) => {}
                () = self.untidy.notified() => {}
                () = shutdown.cancelled() => return,
            }
            if let Err(error) = self.tidy().await {
                tracing::warn!(%error, "what has ended could not be cleared away");
            }
            if let Err(error) = self.draw_figures().await {
                tracing::warn!(%error, "the figures of usage could not be drawn");
            }
        }
    }

    /// Takes those out whose rows do not count any more; who came back meanwhile stays.
    async fn remove_expired(&self, subject_ids: &[String], now: UnixMillis) -> Result<(), Error> {
        let remove = |tx: Tx| async move {
            let writer = directory::begin(&tx).await?;
            let known = writer.known(&tx, subject_ids.iter().map(String::as_str)).await?;
            let ended = known.values().filter(|one| !one.found.agreed.may_stay(now));
            let leaves = |one: &Stored| Entry::heard(one.subject_id.clone(), one.found.agreed);
            let entries: Vec<Entry> = ended.map(leaves).collect();
            writer.settle(&tx, &entries, &known, |_| Vec::new(), 0, now).await
        };
        self.store.locking("remove_expired", remove).await
    }

    async fn tidy(&self) -> Result<(), Error> {
        let now = self.now();
        loop {
            let ended = directory::expired(self.store.reads(), now, SOME).await?;
            if ended.is_empty() {
                break;
            }
            self.remove_expired(&ended, now).await?;
        }
        let expire = |tx: Tx| async move { uploads::expire(&tx, now, SOME_UPLOADS).await };
        while self.store.locking("expire_uploads", expire).await? > 0 {}
        members::drop_ended(self.store.reads(), day_of(now)).await?;
        let old = now.minus(self.config.directory.change_retention.get());
        let prune = |tx: Tx| async move { directory::prune_changes(&tx, old).await };
        self.store.locking("prune_changes", prune).await?;
        let prune = |tx: Tx| async move { list_changes::prune(&tx, old).await };
        self.store.locking("prune_list_changes", prune).await?;
        let forgotten = now.minus(self.config.request_retention.get());
        self.store.forget_requests(forgotten).await?;
        uploads::forget(self.store.reads(), forgotten).await?;
        Ok(())
    }
}
