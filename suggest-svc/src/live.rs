//! The graph in memory, kept at the store's latest position.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use service_kit::{clock::Clock, store::StoreError};
use tokio::{sync::Notify, task::spawn_blocking};

use crate::{
    domain::{
        Subject,
        ranking::{
            Scratch,
            community::{Communities, Reading},
        },
    },
    feedback::Feedback,
    graph::{Graph, Merging, Position, Snapshot, SnapshotError},
    store::{Delta, News, Store},
};

/// Connections applied before readers have their turn: some half a millisecond.
const AT_ONCE: usize = 2_000;

/// How long after a write it is followed, if no reader needs it sooner: by then it is answered. What
/// follows takes longer the more people were found, and would tell that to whoever waits.
const ANSWERED: Duration = Duration::from_millis(5);

/// The graph of this process. It is read whole, then moved on by what the store says happened
/// since, this process's own writes and those of other replicas alike.
pub(crate) struct Live {
    store: Store,
    clock: Clock,
    state: Arc<RwLock<State>>,
    looks: Looks,
    /// Held by whoever moves the state on.
    following: tokio::sync::Mutex<()>,
    written: Notify,
    /// How many writes of this process were done, and how many of them are here.
    writes: AtomicU64,
    followed: AtomicU64,
    scratches: Mutex<Vec<Scratch>>,
    /// Where connections are kept for the next start, if they are.
    snapshot: Option<PathBuf>,
}

struct State {
    graph: Graph,
    feedback: Feedback,
    position: Position,
    /// Of the graph as it was some time ago, with the same ordinals.
    communities: Option<Arc<Communities>>,
    /// Tells one numbering of people from another.
    numbering: Arc<()>,
}

impl Live {
    /// Reads the whole graph, connections from the snapshot if there is a good one.
    pub(crate) async fn load(
        store: Store,
        clock: Clock,
        snapshot: Option<PathBuf>,
    ) -> Result<Self, StoreError> {
        let state = State::load(&store, &clock, snapshot.as_ref()).await?;
        Ok(Self {
            store,
            clock,
            state: Arc::new(RwLock::new(state)),
            looks: Looks::default(),
            following: tokio::sync::Mutex::default(),
            written: Notify::new(),
            writes: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            scratches: Mutex::default(),
            snapshot,
        })
    }

    /// What `read` makes of the graph as it is at an instant after this was called: every write
    /// acknowledged before, on any replica, is in it, and whose consent has lapsed is not.
    pub(crate) async fn read<T>(&self, read: impl FnOnce(&Graph) -> T) -> Result<T, StoreError> {
        self.catch_up().await?;
        Ok(read(&self.state().graph))
    }

    /// What `read` makes of the graph as this process has it at hand, as of a position that may be
    /// behind the store's.
    pub(crate) fn at_hand<T>(&self, read: impl FnOnce(&Graph, Position) -> T) -> T {
        let state = self.state();
        read(&state.graph, state.position)
    }

    /// As [`Live::at_hand`], with what people said, what a ranking looks at beside the graph, and
    /// working space; and the position, unless somebody's consent has lapsed since. Whoever finds by
    /// a [`Live::look`] that began later that the store is at that position has read all there is.
    pub(crate) fn rank<T>(
        &self,
        read: impl FnOnce(&Graph, &Feedback, Option<&Communities>, &mut Scratch) -> T,
    ) -> (Option<Position>, T) {
        let spare = || self.scratches.lock();
        let mut scratch = spare().pop().unwrap_or_default();
        let state = self.state();
        let communities = state.communities.as_deref();
        let result = read(&state.graph, &state.feedback, communities, &mut scratch);
        let has_lapsed = state.graph.lapses_by(self.clock.now().get());
        let as_of = (!has_lapsed).then_some(state.position);
        drop(state);
        spare().push(scratch);
        (as_of, result)
    }

    /// The store's position at an instant after this was called.
    pub(crate) async fn look(&self) -> Result<Position, StoreError> {
        self.looks.after_now(|| self.store.head()).await
    }

    /// Finds out who is popular among whom, again and again, never more than a tenth of the time.
    /// Does not end.
    pub(crate) async fn find_communities(&self, interval: Duration) {
        loop {
            let begun = Instant::now();
            // Whoever stops waiting for it ends it.
            let waiting = Arc::new(());
            let numbered = Numbered {
                state: self.state.clone(),
                numbering: self.state().numbering.clone(),
                waiting: Arc::downgrade(&waiting),
            };
            // Only a panic ends it early, a defect that is logged; the next turn may do better.
            let found = spawn_blocking(move || {
                let found = Arc::new(Communities::of(&numbered)?);
                numbered.write(|state| state.communities = Some(found))
            });
            found.await.ok();
            self.clock.sleep(interval.max(9 * begun.elapsed())).await;
        }
    }

    /// Says that something was written: whoever waits in [`Live::follow`] need not wait longer.
    pub(crate) fn written(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.written.notify_one();
    }

    /// Whether this process wrote something that is not here yet.
    pub(crate) fn has_written(&self) -> bool {
        self.writes.load(Ordering::SeqCst) > self.followed.load(Ordering::SeqCst)
    }

    /// Keeps up with the store, so that readers find little left to do. Does not end.
    pub(crate) async fn follow(&self, interval: Duration) {
        loop {
            tokio::select! {
                () = self.clock.sleep(interval) => {}
                () = self.written.notified() => tokio::time::sleep(ANSWERED).await,
            }
            // A reader would fail by the same; the next turn may do better.
            if let Err(error) = self.catch_up().await {
                tracing::warn!(%error, "cannot follow the store");
            }
        }
    }

    /// Puts what has changed into new bases: when it is much, and into the snapshot as often as
    /// `interval` says. Does not end.
    pub(crate) async fn keep(&self, interval: Duration) {
        let mut kept = None;
        let mut since = self.clock.now();
        loop {
            self.clock.sleep(LOOK.min(interval)).await;
            let now = self.clock.now();
            let is_due = self.snapshot.is_some() && now >= since.plus(interval);
            let position = self.state().position;
            let is_due = is_due && kept != Some(position);
            if is_due || self.state().graph.is_worth_merging() {
                kept = self.merge().await.or(kept);
                since = now;
            }
        }
    }

    /// Makes new bases beside the calls. Gives the position of the snapshot, if there is one now.
    pub(crate) async fn merge(&self) -> Option<Position> {
        let begun = {
            let mut state = self.state_mut();
            let (position, numbering) = (state.position, state.numbering.clone());
            state.graph.begin_merge().map(|merging| (merging, position, numbering))
        };
        let (merging, position, numbering) = begun?;
        // To the end, though nobody may wait for it any more: rows are frozen.
        let waiting = Arc::new(());
        let numbered =
            Numbered { state: self.state.clone(), numbering, waiting: Arc::downgrade(&waiting) };
        let path = self.snapshot.clone();
        let made = spawn_blocking(move || {
            let merged = match &path {
                Some(path) => in_file(&merging, path, position, &numbered),
                None => Ok(merging.in_memory()),
            };
            drop(merging);
            // Everything may have been read again meanwhile, and rows of other numbers do not fit.
            let finished = numbered.write(|state| match merged {
                Ok(merged) => {
                    state.graph.finish_merge(merged);
                    path.map(|_| position)
                }
                Err(error) => {
                    tracing::warn!(%error, "the snapshot of the graph is not written");
                    state.graph.give_up_merge();
                    None
                }
            });
            drop(waiting);
            finished.flatten()
        });
        // Its panic is logged.
        made.await.ok().flatten()
    }

    /// Moves the graph on until it is at the position that the store has now, and at this instant.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        let writes = self.writes.load(Ordering::SeqCst);
        self.move_on().await?;
        self.followed.fetch_max(writes, Ordering::SeqCst);
        Ok(())
    }

    async fn move_on(&self) -> Result<(), StoreError> {
        let head = self.look().await?;
        if self.is_current(head) {
            return Ok(());
        }
        let _following = self.following.lock().await;
        loop {
            let position = self.state().position;
            // It is ahead of the store when that was set back to a copy, or asked before others wrote.
            let is_there = position == head;
            let news = if is_there { News::None } else { self.store.news(position).await? };
            match news {
                News::Some(delta) => self.apply(*delta),
                News::Lost => {
                    let sequence = position.sequence;
                    tracing::warn!(sequence, head = head.sequence, "reading everything again");
                    let path = self.snapshot.as_ref();
                    let state = State::load(&self.store, &self.clock, path).await?;
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

    /// Applies what some writes changed. Who reads meanwhile may see a part of it: none of it is
    /// acknowledged before all is there.
    fn apply(&self, mut delta: Delta) {
        let (connections, position) = (std::mem::take(&mut delta.connections), delta.position);
        self.state_mut().apply(delta);
        for some in connections.chunks(AT_ONCE) {
            let mut state = self.state_mut();
            state.connect(some);
            // To those who wait; or else this one would have it again before they wake up.
            RwLockWriteGuard::unlock_fair(state);
        }
        self.state_mut().position = position;
    }

    fn is_current(&self, head: Position) -> bool {
        let state = self.state();
        state.position == head && !state.graph.lapses_by(self.clock.now().get())
    }

    // A panic while the state was changed stops the process (a defect in pure code), and a reader
    // cannot spoil it.

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }
}

/// Looks at the store's position that several readers share: each gets what a look found that began
/// after it asked, so that every write that was acknowledged before is in it.
#[derive(Default)]
struct Looks {
    /// How many have begun.
    begun: AtomicU64,
    /// Which one found what last; held while one is under way.
    last: tokio::sync::Mutex<(u64, Position)>,
}

impl Looks {
    async fn after_now<F>(&self, look: impl FnOnce() -> F) -> Result<Position, StoreError>
    where
        F: Future<Output = Result<Position, StoreError>>,
    {
        let before = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.0 > before {
            return Ok(last.1);
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        *last = (number, look().await?);
        Ok(last.1)
    }
}

/// The graph, as long as its people have the numbers that they have now and somebody waits for what
/// is read.
struct Numbered {
    state: Arc<RwLock<State>>,
    numbering: Arc<()>,
    waiting: Weak<()>,
}

impl Numbered {
    fn is_good(&self, state: &State) -> bool {
        Arc::ptr_eq(&state.numbering, &self.numbering) && self.waiting.strong_count() > 0
    }

    fn write<T>(&self, write: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.state.write();
        self.is_good(&state).then(|| write(&mut state))
    }
}

impl Reading for Numbered {
    fn read<T>(&self, read: impl FnOnce(&Graph) -> T) -> Option<T> {
        let state = self.state.read();
        self.is_good(&state).then(|| read(&state.graph))
    }
}

/// How often it is looked whether there is much in front of the bases.
const LOOK: Duration = Duration::from_secs(5);

fn in_file(
    merging: &Merging,
    path: &std::path::Path,
    position: Position,
    numbered: &Numbered,
) -> Result<crate::graph::Merged, SnapshotError> {
    merging.in_file(path, position, |naming| numbered.read(|graph| graph.names(naming)))
}

/// The snapshot, if there is a readable one; why there is none is logged.
fn open(path: Option<&PathBuf>) -> Option<Snapshot> {
    match Snapshot::open(path?) {
        // Everything is read from the store, and those who are here are numbered anew.
        Ok(snapshot) if snapshot.is_worn() => None,
        Ok(snapshot) => Some(snapshot),
        Err(SnapshotError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!("there is no snapshot of the graph yet");
            None
        }
        Err(error) => {
            tracing::warn!(%error, "the snapshot of the graph is of no use");
            None
        }
    }
}

impl State {
    async fn load(
        store: &Store,
        clock: &Clock,
        snapshot: Option<&PathBuf>,
    ) -> Result<Self, StoreError> {
        let (builder, position) = store.load(|| open(snapshot)).await?;
        let graph = builder.finish(clock.now().get());
        // After the graph: what it is ahead by comes once more, and changes nothing.
        let feedback = store.feedback().await?;
        Ok(Self { graph, feedback, communities: None, numbering: Arc::default(), position })
    }

    /// Identifiers come before address books: whether an entry is somebody is decided by them.
    fn apply(&mut self, delta: Delta) {
        let graph = &mut self.graph;
        for (subject, standing) in &delta.consents {
            graph.set_consent(subject, standing.transfer, standing.suggest);
            graph.set_revision(subject, standing.revision);
        }
        for (subject, keys) in delta.keys {
            graph.set_keys(&subject, keys);
        }
        for (subject, settings) in &delta.settings {
            graph.set_settings(subject, *settings);
        }
        for (subject, synced, keys) in delta.books {
            graph.set_book(&subject, synced, &keys);
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
    }

    fn connect(&mut self, connections: &[(Subject, Subject, bool)]) {
        self.graph.change_connections(connections);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proto::suggest::v1::BlockSubjectResponse;
    use service_kit::{clock::UnixMillis, config::Secret, store::StoreConfig};

    use super::*;
    use crate::store::Once;

    #[tokio::test]
    async fn looks_are_shared_by_those_who_asked_before_they_began() {
        let looks = Looks::default();
        let (made, now) = (AtomicU64::new(0), AtomicU64::new(0));
        let reader = async |delay: u64| {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            let asked = now.fetch_add(1, Ordering::SeqCst);
            let look = || async {
                made.fetch_add(1, Ordering::SeqCst);
                // What is there when it begins.
                let sequence = i64::try_from(now.load(Ordering::SeqCst)).unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok(Position { sequence, ..Position::default() })
            };
            let found = looks.after_now(look).await.unwrap();
            assert!(found.sequence > i64::try_from(asked).unwrap());
        };
        futures::future::join_all((0..100).map(reader)).await;
        assert!((5..30).contains(&made.load(Ordering::SeqCst)), "{made:?}");
    }

    #[tokio::test]
    async fn what_is_made_for_people_with_other_numbers_is_thrown_away() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("suggest.db").display());
        let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
        Store::migrate(&config).await.unwrap();
        let store = Store::open(&config).await.unwrap();
        let clock = Clock::manual(UnixMillis::new(0));
        let live = Live::load(store.clone(), clock.clone(), None).await.unwrap();
        let waiting = Arc::new(());
        let numbered = Numbered {
            state: live.state.clone(),
            numbering: live.state().numbering.clone(),
            waiting: Arc::downgrade(&waiting),
        };
        assert_eq!(numbered.read(Graph::len), Some(0));
        *live.state_mut() = State::load(&store, &clock, None).await.unwrap();
        assert_eq!(numbered.read(Graph::len), None);
        assert_eq!(numbered.write(|_| ()), None);
    }

    #[tokio::test]
    async fn who_was_away_for_longer_than_changes_are_kept_reads_everything_again() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("suggest.db").display());
        let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
        Store::migrate(&config).await.unwrap();
        let store = Store::open(&config).await.unwrap();
        let live =
            Live::load(store.clone(), Clock::manual(UnixMillis::new(0)), None).await.unwrap();
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
        assert!(live.state().feedback.is_dismissed(bob, "ann", 999));
        assert_eq!(live.state().position.sequence, 100);
        // And follows again from there.
        let late =
            Live::load(store.clone(), Clock::manual(UnixMillis::new(0)), None).await.unwrap();
        store.prune(UnixMillis::new(1_000), UnixMillis::new(0)).await.unwrap();
        assert!(late.read(blocked).await.unwrap());
    }
}
