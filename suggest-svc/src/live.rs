//! The graph in memory, kept at the store's latest position.

use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use service_kit::{clock::Clock, store::StoreError};
use tokio::sync::Notify;

use crate::{
    domain::ranking::Scratch,
    feedback::Feedback,
    graph::Graph,
    store::{Delta, News, Store},
};

/// The graph of this process. It is read whole, then moved on by what the store says happened
/// since, this process's own writes and those of other replicas alike.
pub(crate) struct Live {
    store: Store,
    clock: Clock,
    state: RwLock<State>,
    /// Held by whoever moves the state on.
    following: tokio::sync::Mutex<()>,
    written: Notify,
    scratches: Mutex<Vec<Scratch>>,
}

struct State {
    graph: Graph,
    feedback: Feedback,
    sequence: i64,
}

impl Live {
    /// Reads the whole graph.
    pub(crate) async fn load(store: Store, clock: Clock) -> Result<Self, StoreError> {
        let state = State::load(&store, &clock).await?;
        Ok(Self {
            store,
            clock,
            state: RwLock::new(state),
            following: tokio::sync::Mutex::default(),
            written: Notify::new(),
            scratches: Mutex::default(),
        })
    }

    /// What `read` makes of the graph as it is at an instant after this was called: every write
    /// acknowledged before, on any replica, is in it, and whose consent has lapsed is not.
    pub(crate) async fn read<T>(&self, read: impl FnOnce(&Graph) -> T) -> Result<T, StoreError> {
        self.catch_up().await?;
        Ok(read(&self.state().graph))
    }

    /// As [`Live::read`], with what people said, and with working space for a ranking.
    pub(crate) async fn rank<T>(
        &self,
        read: impl FnOnce(&Graph, &Feedback, &mut Scratch) -> T,
    ) -> Result<T, StoreError> {
        self.catch_up().await?;
        let spare = || self.scratches.lock().unwrap_or_else(PoisonError::into_inner);
        let mut scratch = spare().pop().unwrap_or_default();
        let state = self.state();
        let result = read(&state.graph, &state.feedback, &mut scratch);
        drop(state);
        spare().push(scratch);
        Ok(result)
    }

    /// Says that something was written: whoever waits in [`Live::follow`] need not wait longer.
    pub(crate) fn written(&self) {
        self.written.notify_one();
    }

    /// Keeps up with the store, so that readers find little left to do. Does not end.
    pub(crate) async fn follow(&self, interval: std::time::Duration) {
        loop {
            tokio::select! {
                () = self.clock.sleep(interval) => {}
                () = self.written.notified() => {}
            }
            // A reader would fail by the same; the next turn may do better.
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "cannot follow the store");
            }
        }
    }

    /// Moves the graph on until it is at the position that the store has now, and at this instant.
    async fn catch_up(&self) -> Result<(), StoreError> {
        let head = self.store.head().await?;
        if self.is_current(head) {
            return Ok(());
        }
        let _following = self.following.lock().await;
        loop {
            let sequence = self.state().sequence;
            let news = if sequence < head { self.store.news(sequence).await? } else { News::None };
            match news {
                News::Some(delta) => self.state_mut().apply(*delta),
                News::Lost => {
                    tracing::warn!(sequence, head, "fell behind: reading everything again");
                    let state = State::load(&self.store, &self.clock).await?;
                    *self.state_mut() = state;
                }
                News::None => {
                    let now = self.clock.now().get();
                    self.state_mut().graph.advance(now);
                    return Ok(());
                }
            }
        }
    }

    fn is_current(&self, head: i64) -> bool {
        let state = self.state();
        state.sequence >= head && !state.graph.lapses_by(self.clock.now().get())
    }

    // A panic while the state was changed stops the process (a defect in pure code), and a reader
    // cannot spoil it: a poisoned lock means nothing more.

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    async fn load(store: &Store, clock: &Clock) -> Result<Self, StoreError> {
        let (builder, sequence) = store.load().await?;
        let graph = builder.finish(clock.now().get());
        // After the graph: what it is ahead by comes once more, and changes nothing.
        Ok(Self { graph, feedback: store.feedback().await?, sequence })
    }

    /// Identifiers come before address books: whether an entry is somebody is decided by them.
    fn apply(&mut self, delta: Delta) {
        let graph = &mut self.graph;
        for (subject, until) in &delta.consents {
            graph.set_consent(subject, *until);
        }
        for (subject, keys) in delta.keys {
            graph.set_keys(&subject, keys);
        }
        for (subject, settings) in &delta.settings {
            graph.set_settings(subject, *settings);
        }
        for (subject, synced, keys) in delta.books {
            graph.set_book(&subject, synced, keys);
        }
        for (one, other, connected) in &delta.connections {
            if *connected {
                graph.connect(one, other);
            } else {
                graph.disconnect(one, other);
            }
        }
        for (one, other, blocks) in &delta.blocks {
            graph.set_block(one, other, *blocks);
        }
        for (viewer, dismissed, until) in &delta.dismissals {
            self.feedback.dismiss(viewer, dismissed, *until);
        }
        for (account, is_risky) in &delta.risks {
            self.feedback.set_risky(account, *is_risky);
        }
        self.sequence = delta.sequence;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proto::suggest::v1::BlockSubjectResponse;
    use service_kit::{clock::UnixMillis, config::Secret, store::StoreConfig};

    use super::*;
    use crate::{domain::Subject, store::Once};

    #[tokio::test]
    async fn who_was_away_for_longer_than_changes_are_kept_reads_everything_again() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("suggest.db").display());
        let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
        Store::migrate(&config).await.unwrap();
        let store = Store::open(&config).await.unwrap();
        let live = Live::load(store.clone(), Clock::manual(UnixMillis::new(0))).await.unwrap();
        let (ann, bob) = (&Subject::from("ann"), &Subject::from("bob"));
        for n in 0..100 {
            let once = Once {
                caller: "ann".to_owned(),
                request_id: n.to_string(),
                digest: [0; 32],
                at: UnixMillis::new(n),
            };
            let at = once.at;
            let block = |writing: crate::store::Writing| async move {
                writing.block(ann, bob, at, 1).await?;
                writing.dismiss(bob, ann, [at, UnixMillis::new(1_000)], 1).await?;
                Ok(BlockSubjectResponse {})
            };
            store.once("block", &once, block).await.unwrap();
        }
        let blocked = |graph: &Graph| {
            let ordinal = |subject| graph.ordinal(subject).unwrap();
            graph.blocked(ordinal(ann), ordinal(bob))
        };
        store.prune(UnixMillis::new(50), UnixMillis::new(0)).await.unwrap();
        assert!(live.read(blocked).await.unwrap());
        assert!(live.state().feedback.dismissed_by(bob, 999)(ann));
        assert_eq!(live.state().sequence, 100);
        // And follows again from there.
        let late = Live::load(store.clone(), Clock::manual(UnixMillis::new(0))).await.unwrap();
        store.prune(UnixMillis::new(1_000), UnixMillis::new(0)).await.unwrap();
        assert!(late.read(blocked).await.unwrap());
    }
}
