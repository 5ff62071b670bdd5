//! Reads of single subjects, gathered.
//!
//! Checks that miss the cache queue here. A few readers each take whatever has queued up and read
//! it in one statement: whoever asks for the same subject shares its row, and however many checks
//! miss at once, the database sees a bounded number of statements. A check shares only statements
//! that begin after it was queued.

use std::{sync::Arc, time::Instant};

use service_kit::{context::Context, store::StoreError, telemetry::waited};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::sync::CancellationToken;

use super::{Reading, Shared, Store};
use crate::error::Error;

/// The most subjects in one statement.
const BATCH: usize = 256;
/// How many reads may queue before further ones are refused.
const QUEUE: usize = 16_384;

struct Load {
    subject_id: String,
    done: oneshot::Sender<Result<Arc<Reading>, StoreError>>,
}

/// The way to the readers.
#[derive(Clone)]
pub(super) struct Loads(mpsc::Sender<Load>);

impl Store {
    /// Reads a subject. The statement begins after this is called.
    pub(crate) async fn read(&self, subject_id: &str) -> Result<Arc<Reading>, Error> {
        #[cfg(feature = "mutants")]
        if let Some(reading) = earlier::reading(subject_id) {
            return Ok(reading);
        }
        let started = Instant::now();
        let (done, reading) = oneshot::channel();
        let load = Load { subject_id: subject_id.to_owned(), done };
        self.loads.0.try_send(load).map_err(|failed| match failed {
            TrySendError::Full(_) => Error::ReaderBusy,
            TrySendError::Closed(_) => Error::Stopping,
        })?;
        let reading = reading.await.map_err(|_| Error::Stopping)?;
        waited("store read subject", started.elapsed(), reading.is_err());
        Ok(reading?)
    }
}

/// Starts this many readers.
pub(super) fn start(ctx: &Context, shared: &Arc<Shared>, readers: usize) -> Loads {
    let (sender, queue) = mpsc::channel(QUEUE);
    let queue = Arc::new(tokio::sync::Mutex::new(queue));
    for _ in 0..readers.max(1) {
        let work = run(shared.clone(), queue.clone(), ctx.drained.clone());
        ctx.spawn("reader", work);
    }
    Loads(sender)
}

async fn run(
    shared: Arc<Shared>,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Load>>>,
    drained: CancellationToken,
) {
    let mut loads = Vec::new();
    loop {
        let next = async { queue.lock().await.recv_many(&mut loads, BATCH).await };
        tokio::select! {
            count = next => if count == 0 { return },
            () = drained.cancelled() => return,
        }
        let (ids, done): (Vec<String>, Vec<_>) =
            loads.drain(..).map(|load| (load.subject_id, load.done)).unzip();
        #[cfg(feature = "mutants")]
        let begun = std::time::Instant::now();
        let reading = shared.read(&ids).await.map(Arc::new);
        #[cfg(feature = "mutants")]
        if let Ok(reading) = &reading {
            earlier::remember(&ids, begun, reading);
        }
        for done in done {
            // A caller that has gone away does not need it.
            let _ = done.send(reading.clone());
        }
    }
}

/// The mutant that shares a read with checks that begin after it did.
#[cfg(feature = "mutants")]
mod earlier {
    use std::{
        collections::HashMap,
        sync::{Arc, LazyLock, Mutex, PoisonError},
        time::{Duration, Instant},
    };

    use super::Reading;
    use crate::mutant::{self, Mutant};

    /// How long a slow read might be under way.
    const SLOW: Duration = Duration::from_millis(100);

    type Known = HashMap<String, (Instant, Arc<Reading>)>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

    pub(super) fn reading(subject_id: &str) -> Option<Arc<Reading>> {
        if !mutant::is(Mutant::ReadBegunEarlier) {
            return None;
        }
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let (begun, reading) = known.get(subject_id)?;
        (begun.elapsed() < SLOW).then(|| Arc::clone(reading))
    }

    pub(super) fn remember(ids: &[String], begun: Instant, reading: &Arc<Reading>) {
        if mutant::is(Mutant::ReadBegunEarlier) {
            let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
            for id in ids {
                known.insert(id.clone(), (begun, Arc::clone(reading)));
            }
        }
    }
}
