//! Clearing away what has ended. Everything here counts for nothing already.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    domain::day_of,
    error::Error,
    service::Service,
    store::{Tx, directory, members, uploads},
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
        }
    }

    async fn tidy(&self) -> Result<(), Error> {
        let now = self.now();
        loop {
            let ended = directory::expired(self.store.reads(), now, SOME).await?;
            if ended.is_empty() {
                break;
            }
            let ended = &ended;
            let remove = |tx: Tx| async move { directory::remove_expired(&tx, ended, now).await };
            self.store.locking("remove_expired", remove).await?;
        }
        let expire = |tx: Tx| async move { uploads::expire(&tx, now, SOME_UPLOADS).await };
        while self.store.locking("expire_uploads", expire).await? > 0 {}
        members::drop_ended(self.store.reads(), day_of(now)).await?;
        let old = now.minus(self.config.directory.change_retention.get());
        let prune = |tx: Tx| async move { directory::prune_changes(&tx, old).await };
        self.store.locking("prune_changes", prune).await?;
        let forgotten = now.minus(self.config.request_retention.get());
        self.store.forget_requests(forgotten).await?;
        uploads::forget(self.store.reads(), forgotten).await?;
        Ok(())
    }
}
