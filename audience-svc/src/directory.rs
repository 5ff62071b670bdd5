//! The index in memory, kept at the directory's state by its sequence of changes.

use std::sync::Arc;

use service_kit::clock::Clock;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    index::{Index, Loading},
    service::Service,
    store::{
        Store,
        directory::{self, Tail},
    },
};

/// How many changes are read at once.
const PAGE: u64 = 10_000;

/// The index and the last change that is in it.
#[derive(Debug)]
pub(crate) struct Directory {
    store: Store,
    index: Arc<Index>,
    position: Mutex<i64>,
}

impl Directory {
    /// Loads the index.
    pub(crate) async fn load(store: Store) -> Result<Self, Error> {
        let directory = Self { store, index: Arc::default(), position: Mutex::new(0) };
        let position = directory.reload().await?;
        *directory.position.lock().await = position;
        directory.catch_up().await?;
        Ok(directory)
    }

    /// The index.
    pub(crate) fn index(&self) -> Arc<Index> {
        self.index.clone()
    }

    /// Applies every change that was committed, by whatever replica, before this was called. It is
    /// called at fixed points, never because a key was not found.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        let mut position = self.position.lock().await;
        let goal = directory::last_change(self.store.reads()).await?;
        while *position < goal {
            match directory::changes_after(self.store.reads(), *position, PAGE).await? {
                Tail::Changes(changes, reached) if reached > *position => {
                    self.index.apply(&changes);
                    *position = reached;
                }
                // Pruned, or a store that was set back behind what was counted.
                Tail::Changes(..) | Tail::Gone => *position = self.reload().await?,
            }
        }
        Ok(())
    }

    async fn reload(&self) -> Result<i64, Error> {
        let mut content = Loading::default();
        let position =
            directory::load(self.store.reads(), |key, ordinal| content.insert(key, ordinal))
                .await?;
        self.index.replace(content);
        Ok(position)
    }
}

impl Service {
    /// Keeps the index current until `shutdown`.
    pub(crate) async fn follow_directory(self: Arc<Self>, shutdown: CancellationToken) {
        let pause = self.config.directory.poll_interval.get();
        while until_next(&self.clock, pause, &shutdown).await {
            if let Err(error) = self.directory.catch_up().await {
                tracing::warn!(%error, "the directory's changes cannot be read");
            }
        }
    }
}

/// Waits; false at shutdown.
async fn until_next(
    clock: &Clock,
    pause: std::time::Duration,
    shutdown: &CancellationToken,
) -> bool {
    tokio::select! {
        () = clock.sleep(pause) => true,
        () = shutdown.cancelled() => false,
    }
}
