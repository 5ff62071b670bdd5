//! What is kept of the directory in memory: whom a key finds, and who may be counted. It follows
//! the database by its sequence of changes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use identifiers::MatchKey;
use roaring::RoaringBitmap;
use service_kit::clock::{Clock, UnixMillis};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    index::{Change, Index},
    service::Service,
    store::{
        Database, Store,
        directory::{self, Changes, Stored, Tail},
    },
};

/// The changes of how many transactions are read at once.
const PAGE: u64 = 100;

/// The directory in memory.
#[derive(Debug)]
pub(crate) struct Directory {
    store: Store,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    index: Arc<Index>,
    /// The ordinals of those who are here and agreed to the use.
    countable: Arc<RoaringBitmap>,
    /// The last change that is in both.
    position: i64,
}

impl Directory {
    /// Loads it.
    pub(crate) async fn load(store: Store, clock: Clock) -> Result<Self, Error> {
        let state = Mutex::new(loaded(store.reads(), clock.now()).await?);
        let directory = Self { store, clock, state };
        directory.catch_up().await?;
        Ok(directory)
    }

    /// Whom a key finds.
    pub(crate) fn index(&self) -> Arc<Index> {
        self.state().index.clone()
    }

    /// Who may be counted.
    pub(crate) fn countable(&self) -> Arc<RoaringBitmap> {
        self.state().countable.clone()
    }

    /// Applies every change that was committed, by whatever replica, before this was called. It is
    /// called at fixed points, never because a key was not found.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        self.catch_up_in(self.store.reads()).await
    }

    /// The same, reading through a transaction. Nothing is held while the database is asked: who
    /// has its one connection (SQLite) may be waiting here.
    pub(crate) async fn catch_up_in(&self, db: &impl Database) -> Result<(), Error> {
        let goal = directory::last_change(db).await?;
        loop {
            let from = self.state().position;
            if from >= goal {
                return Ok(());
            }
            match directory::changes_after(db, from, PAGE).await? {
                Tail::Changes(changes, reached) if reached > from => {
                    self.state().advance(from, &changes, reached);
                }
                // Pruned, or a store that was set back behind what was counted.
                Tail::Changes(..) | Tail::Gone => {
                    let loaded = loaded(db, self.clock.now()).await?;
                    let mut state = self.state();
                    if state.position == from {
                        *state = loaded;
                    }
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the position behind: what is applied twice is the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Applies changes that follow `from`, unless someone else was faster.
    fn advance(&mut self, from: i64, changes: &[Changes], reached: i64) {
        if self.position != from {
            return;
        }
        let countable = Arc::make_mut(&mut self.countable);
        for change in changes {
            self.index.apply(&change.keys);
            for (ordinal, counts) in &change.people {
                if *counts {
                    countable.insert(*ordinal);
                } else {
                    countable.remove(*ordinal);
                }
            }
        }
        self.position = reached;
    }
}

async fn loaded(db: &impl Database, now: UnixMillis) -> Result<State, Error> {
    let (index, mut countable) = (Index::default(), RoaringBitmap::new());
    let each = |page: &[Stored]| {
        let keys = page.iter().flat_map(|one| {
            let change = |key: &MatchKey| Change { key: *key, ordinal: Some(one.found.ordinal) };
            one.keys.iter().map(change)
        });
        index.apply(&keys.collect::<Vec<_>>());
        let counted = page.iter().filter(|one| one.found.agreed.counts(now));
        countable.extend(counted.map(|one| one.found.ordinal));
    };
    let position = directory::load(db, each).await?;
    Ok(State { index: Arc::new(index), countable: Arc::new(countable), position })
}

impl Service {
    /// Keeps what is in memory of the directory and of lists current until `shutdown`.
    pub(crate) async fn follow_changes(self: Arc<Self>, shutdown: CancellationToken) {
        let pause = self.config.directory.poll_interval.get();
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
            if let Err(error) = self.directory.catch_up().await {
                tracing::warn!(%error, "the directory's changes cannot be read");
            }
            if let Err(error) = self.lists.catch_up().await {
                tracing::warn!(%error, "the changes of lists cannot be read");
            }
            self.lists.tidy(self.now());
        }
    }
}
