//! The online auditor: proof, while it runs, that no cached answer is stale.
//!
//! Some of the answers that come from the cache are looked at again: the primary database is read,
//! then the cache, then the database once more. If the database denied before and after, with
//! nothing changed in between, and the cache granted, then that yes was stale. There must never be
//! one: `consent_stale_yes_total` above 0 is an alarm.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use service_kit::context::Context;
use tokio::{sync::mpsc, time::Duration};

use crate::{
    cache::{Cache, Metrics},
    check::Checker,
    domain::{Decision, decide_throughout},
    error::Error,
    store::Store,
};

/// One of so many cached answers is offered to the auditor.
const ONE_OF: u64 = 64;
/// How many may wait for it; further ones are left out.
const QUEUE: usize = 64;

/// The way to the auditor. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit(Arc<Sampler>);

struct Sampler {
    answered: AtomicU64,
    samples: mpsc::Sender<Sample>,
}

/// A cached answer was given to this question.
struct Sample {
    subject_id: String,
    purpose_id: String,
}

impl Audit {
    /// A way, and the samples that come along it.
    pub(crate) fn new() -> (Self, Samples) {
        let (samples, queue) = mpsc::channel(QUEUE);
        (Self(Arc::new(Sampler { answered: AtomicU64::new(0), samples })), Samples(queue))
    }

    /// A question was answered from the cache.
    pub(crate) fn offer(&self, subject_id: &str, purpose_id: &str) {
        if self.0.answered.fetch_add(1, Ordering::Relaxed).is_multiple_of(ONE_OF) {
            let (subject_id, purpose_id) = (subject_id.to_owned(), purpose_id.to_owned());
            // While the auditor is busy with others, this one is left out.
            let _ = self.0.samples.try_send(Sample { subject_id, purpose_id });
        }
    }
}

/// Questions that were answered from the cache.
pub(crate) struct Samples(mpsc::Receiver<Sample>);

/// Starts the auditor, which looks at this many answers a second at most.
pub(crate) fn start(
    ctx: &Context,
    checker: &Checker,
    store: &Store,
    cache: &Cache,
    metrics: Metrics,
    (mut samples, per_second): (Samples, u32),
) {
    // In the process the store and the cache are one; without a cache there is nothing to audit.
    if per_second == 0 || !matches!(cache, Cache::Redis(_)) {
        return;
    }
    let (checker, store, shutdown) = (checker.clone(), store.clone(), ctx.shutdown.clone());
    ctx.spawn("auditor", async move {
        loop {
            let sample = tokio::select! {
                sample = samples.0.recv() => sample,
                () = shutdown.cancelled() => return,
            };
            let Some(Sample { subject_id, purpose_id }) = sample else { return };
            // While the database does not answer, nothing can be compared.
            if let Ok(Some(stale)) = is_stale(&checker, &store, &subject_id, &purpose_id).await {
                metrics.audited(stale);
                if stale {
                    tracing::error!(purpose = purpose_id, "a cached answer granted what is denied");
                }
            }
            tokio::time::sleep(Duration::from_secs(1) / per_second).await;
        }
    });
}

/// Whether the cache grants what the database denies; nothing when the cache has no answer, or
/// something changed meanwhile.
async fn is_stale(
    checker: &Checker,
    store: &Store,
    subject_id: &str,
    purpose_id: &str,
) -> Result<Option<bool>, Error> {
    let read = async || -> Result<(Decision, Vec<u64>), Error> {
        let now = store.now();
        let reading = store.read_many(&[subject_id]).await?;
        let decision = reading.with_person(subject_id, |person| {
            decide_throughout(&reading.policies, person, purpose_id, now)
        });
        Ok((decision, reading.revisions(subject_id)))
    };
    let (before, revisions) = read().await?;
    let Some(kept) = checker.kept_now(subject_id, purpose_id).await else { return Ok(None) };
    if !kept.granted || before.granted {
        return Ok(Some(false));
    }
    let (after, unchanged) = read().await?;
    Ok((!after.granted && revisions == unchanged).then_some(true))
}
