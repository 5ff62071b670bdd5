//! What is kept of the directory in memory: whom a key finds, and who may be counted. It follows
//! the database by its sequence of changes.

mod snapshot;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use roaring::RoaringBitmap;
use service_kit::clock::{Clock, UnixMillis};
use tokio::{task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    error::Error,
    index::{Index, Loading},
    service::Service,
    store::{
        Database, Store,
        directory::{self, Changes, Position, Stored, Tail},
    },
};

/// The changes of how many transactions are read at once.
const PAGE: u64 = 100;

/// The directory in memory.
#[derive(Debug)]
pub(crate) struct Directory {
    store: Store,
    clock: Clock,
    memory: Arc<Memory>,
    /// Where it is kept for the next start, if it is.
    snapshot: Option<PathBuf>,
}

#[derive(Debug)]
struct Memory {
    state: Mutex<State>,
    /// Held while changes are applied, so that they are in their order.
    applying: Mutex<()>,
}

#[derive(Debug, Default, Clone)]
struct State {
    index: Arc<Index>,
    /// The ordinals of those who are here and agreed to the use.
    countable: Arc<RoaringBitmap>,
    /// The last change that is in both.
    position: Position,
}

impl Directory {
    /// Loads it: from the snapshot, if there is a good one, and what changed since.
    pub(crate) async fn load(
        store: Store,
        clock: Clock,
        snapshot: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let kept = match &snapshot {
            Some(path) => snapshot::read(store.reads(), path).await?,
            None => None,
        };
        let state = match kept {
            Some(state) => state,
            None => loaded(store.reads(), clock.now()).await?,
        };
        let memory = Memory { state: Mutex::new(state), applying: Mutex::default() };
        let directory = Self { store, clock, memory: Arc::new(memory), snapshot };
        directory.catch_up().await?;
        Ok(directory)
    }

    /// Whom a key finds.
    pub(crate) fn index(&self) -> Arc<Index> {
        self.memory.state().index.clone()
    }

    /// Who may be counted.
    pub(crate) fn countable(&self) -> Arc<RoaringBitmap> {
        self.memory.state().countable.clone()
    }

    /// Applies every change that was committed, by whatever replica, before this was called. It is
    /// called at fixed points, never because a key was not found.
    pub(crate) async fn catch_up(&self) -> Result<(), Error> {
        self.catch_up_in(self.store.reads()).await
    }

    /// The same, reading through a transaction. Nothing is held while the database is asked: who
    /// has its one connection (SQLite) may be waiting here.
    pub(crate) async fn catch_up_in(&self, db: &impl Database) -> Result<(), Error> {
        let mut from = self.position();
        let goal = directory::last_change(db).await?;
        if goal.seq < from.seq || goal.seq == from.seq && goal != from {
            // A database that was set back to a copy.
            self.load_anew(db, from).await?;
            from = self.position();
        }
        while from.seq < goal.seq {
            match directory::changes_after(db, from, PAGE).await? {
                Tail::Changes(changes, reached) if reached.seq > from.seq => {
                    let memory = self.memory.clone();
                    // It takes time where a segment of the index is merged.
                    let apply = spawn_blocking(move || memory.advance(from, &changes, reached));
                    apply.await.map_err(|_| Error::Internal("the index did not follow"))?;
                }
                // Pruned.
                Tail::Changes(..) | Tail::Gone => self.load_anew(db, from).await?,
            }
            from = self.position();
        }
        Ok(())
    }

    /// Reads everything, unless someone else was faster. Until then answers come from what was
    /// there: for a while there is room for both.
    async fn load_anew(&self, db: &impl Database, from: Position) -> Result<(), Error> {
        let loaded = loaded(db, self.clock.now()).await?;
        let _applying = self.memory.applying();
        let mut state = self.memory.state();
        if state.position == from {
            *state = loaded;
        }
        Ok(())
    }

    fn position(&self) -> Position {
        self.memory.state().position
    }
}

impl Memory {
    // A panic elsewhere leaves the position behind: what is applied twice is the same.

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn applying(&self) -> MutexGuard<'_, ()> {
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies changes that follow `from`, unless someone else was faster.
    fn advance(&self, from: Position, changes: &[Changes], reached: Position) {
        let _applying = self.applying();
        let index = {
            let state = self.state();
            if state.position != from {
                return;
            }
            state.index.clone()
        };
        for change in changes {
            index.apply(&change.keys);
        }
        let mut state = self.state();
        let countable = Arc::make_mut(&mut state.countable);
        for (ordinal, counts) in changes.iter().flat_map(|change| &change.people) {
            if *counts {
                countable.insert(*ordinal);
            } else {
                countable.remove(*ordinal);
            }
        }
        state.position = reached;
    }
}

async fn loaded(db: &impl Database, now: UnixMillis) -> Result<State, Error> {
    let (mut index, mut countable) = (Loading::default(), RoaringBitmap::new());
    let each = |page: &[Stored]| {
        for one in page {
            one.keys.iter().for_each(|key| index.insert(*key, one.found.ordinal));
        }
        let counted = page.iter().filter(|one| one.found.agreed.counts(now));
        countable.extend(counted.map(|one| one.found.ordinal));
    };
    let position = directory::load(db, each).await?;
    Ok(State { index: Arc::new(index.finish()), countable: Arc::new(countable), position })
}

impl Service {
    /// Writes a snapshot of the directory now and then, and a last one when the last call has been
    /// answered.
    pub(crate) async fn keep_directory(self: Arc<Self>, drained: CancellationToken) {
        let pause = self.config.directory.snapshot_interval.get();
        let mut written = None;
        while drained.run_until_cancelled(sleep(pause)).await.is_some() {
            written = self.directory.keep(written).await;
        }
        if let Err(error) = self.directory.catch_up().await {
            tracing::warn!(%error, "the directory's last changes cannot be read");
        }
        self.directory.keep(written).await;
    }

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
