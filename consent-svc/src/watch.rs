//! Following the feed of changes.
//!
//! A stream reads pages of the feed from its own position on, each only when its reader asks for
//! more: a slow reader costs no memory and loses nothing, unless it stays away for longer than
//! entries are kept.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{Stream, stream::try_unfold};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::BootTime,
    config::FeedConfig,
    domain::Moment,
    error::Error,
    store::{Fed, Reading, Store},
};

/// The most entries in one step, and about how many bytes: half of what clients accept by default.
const STEP: usize = 500;
const STEP_BYTES: usize = 2 << 20;
/// The most bytes of an entry without its answers, and of an answer.
const ENTRY_BYTES: usize = 256;
const ANSWER_BYTES: usize = 192;

/// A step of the feed.
pub(crate) struct Step {
    /// The position after it.
    pub(crate) position: i64,
    pub(crate) entries: Vec<Fed>,
    /// The subjects of the entries as they are now.
    pub(crate) reading: Option<Arc<Reading>>,
    /// Everything that was committed before this instant has been told.
    pub(crate) checkpoint: Option<Moment>,
}

struct Follower {
    store: Store,
    config: FeedConfig,
    shutdown: CancellationToken,
    position: Option<i64>,
    /// How many purposes were chosen; 0: all.
    chosen: usize,
    /// When the latest step was handed over.
    told: BootTime,
    /// When to tell that there is nothing to tell.
    quiet_until: BootTime,
}

/// The steps after a position; without one, from the oldest entry on that is kept. `chosen`: how many
/// purposes each entry is told with; 0: all.
pub(crate) fn watch(
    store: &Store,
    config: &FeedConfig,
    shutdown: &CancellationToken,
    position: Option<i64>,
    chosen: usize,
) -> impl Stream<Item = Result<Step, Error>> + Send + use<> {
    let now = BootTime::now();
    let follower = Follower {
        store: store.clone(),
        config: config.clone(),
        shutdown: shutdown.clone(),
        position,
        chosen,
        told: now,
        quiet_until: now,
    };
    try_unfold(follower, |mut follower| async move {
        let step = follower.next().await?;
        Ok(step.map(|step| (step, follower)))
    })
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Step>, Error> {
        if BootTime::now().since(self.told) > self.config.patience.get() {
            return Err(Error::ReaderTooSlow);
        }
        loop {
            // However much there is to tell: it is told elsewhere.
            if self.shutdown.is_cancelled() {
                return Err(Error::Stopping);
            }
            // Before the feed's extent is read: what was committed by then is in it.
            let now = self.store.now().earliest;
            let extent = self.store.feed_extent().await?;
            let position = *self.position.get_or_insert(extent.purged_to);
            if position < extent.purged_to {
                return Err(Error::CursorTooOld);
            }
            if position > extent.last {
                return Err(Error::CursorInvalid);
            }
            if position < extent.last {
                let entries = self.store.feed_after(position, self.step()).await?;
                // Positions are consecutive: what is missing here was forgotten just now.
                if entries.first().is_none_or(|entry| entry.position != position + 1) {
                    continue;
                }
                return self.tell(entries, extent.last, now).await.map(Some);
            }
            if BootTime::now() >= self.quiet_until {
                return self.tell(Vec::new(), extent.last, now).await.map(Some);
            }
            self.pause().await;
        }
    }

    /// How many entries fit in a step.
    fn step(&self) -> u64 {
        let all = || self.store.policies_at_hand().slots().count();
        let purposes = if self.chosen == 0 { all() } else { self.chosen };
        (STEP_BYTES / (ENTRY_BYTES + purposes * ANSWER_BYTES)).clamp(1, STEP) as u64
    }

    async fn tell(&mut self, entries: Vec<Fed>, last: i64, now: Moment) -> Result<Step, Error> {
        let position = entries.last().map_or(last, |entry| entry.position);
        let subjects: BTreeSet<&String> =
            entries.iter().filter_map(|entry| entry.subject_id.as_ref()).collect();
        let reading = if subjects.is_empty() {
            None
        } else {
            let subjects: Vec<&String> = subjects.into_iter().collect();
            Some(Arc::new(self.store.read_many(&subjects).await?))
        };
        self.position = Some(position);
        self.told = BootTime::now();
        self.quiet_until = self.told.plus(self.config.checkpoint.get());
        let checkpoint = (position >= last).then_some(now);
        Ok(Step { position, entries, reading, checkpoint })
    }

    /// Waits until there may be more to tell, or the service stops.
    async fn pause(&self) {
        let poll = self.config.poll.get().max(Duration::from_millis(1));
        tokio::select! {
            () = self.store.feed_growth() => {}
            () = tokio::time::sleep(poll) => {}
            () = self.shutdown.cancelled() => {}
        }
    }
}
