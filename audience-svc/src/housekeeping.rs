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

/// How many batches of uploads, of 40 KB each.
const SOME_BATCHES: u64 = 1_000;

impl Service {
    /// Clears away, now and then, until `shutdown`.
    pub(crate) async fn keep_house(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = self.clock.sleep(self.config.housekeeping_interval.get()) => {}
                () = self.untidy.notified() => {}
                () = shutdown.cancelled() => return,
            }
            self.tidy().await;
        }
    }

    /// Tries every step, whichever of them fail.
    async fn tidy(&self) {
        let now = self.now();
        let forgotten = now.minus(self.config.request_retention.get());
        let db = self.store.reads();
        report("subjects whose consent has run out", self.expire_subjects(now).await);
        report("uploads to which nothing came", self.expire_uploads(now).await);
        report("memberships that have ended", members::drop_ended(db, day_of(now)).await);
        report("old changes", self.prune_changes(now).await);
        // After it: that is what they wait for.
        report("erasures to be acknowledged", self.acknowledge_erasures().await);
        report("old requests", self.store.forget_requests(forgotten).await);
        report("uploads of long ago", uploads::forget(db, forgotten).await);
        report("figures of usage to be drawn", self.draw_figures().await);
    }

    async fn expire_subjects(&self, now: UnixMillis) -> Result<(), Error> {
        loop {
            let ended = directory::expired(self.store.reads(), now, SOME).await?;
            if ended.is_empty() {
                return Ok(());
            }
            self.remove_expired(&ended, now).await?;
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

    async fn expire_uploads(&self, now: UnixMillis) -> Result<(), Error> {
        let expire = |tx: Tx| async move { uploads::expire(&tx, now, SOME_BATCHES).await };
        while self.store.locking("expire_uploads", expire).await? {}
        Ok(())
    }

    async fn prune_changes(&self, now: UnixMillis) -> Result<(), Error> {
        let old = now.minus(self.config.directory.change_retention.get());
        let prune = |tx: Tx| async move { list_changes::prune(&tx, old).await };
        let lists = self.store.locking("prune_list_changes", prune).await;
        let prune = |tx: Tx| async move { directory::prune_changes(&tx, old).await };
        self.store.locking("prune_changes", prune).await?;
        lists
    }
}

fn report<T>(what: &str, done: Result<T, Error>) {
    if let Err(error) = done {
        tracing::warn!(%error, what, "the housekeeping could not see to it");
    }
}
