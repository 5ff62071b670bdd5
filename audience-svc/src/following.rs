//! Following consent-svc's feed: whoever withdraws, lapses or is erased is out of the directory,
//! and of those who are counted in usage metrics, within a second.
//!
//! The replicas share one position in the feed. One of them follows it and raises a beat; the
//! others watch the beat, and one of them takes its place when it stands still. Should two follow at
//! once, each step is done by the one that finds the position where it left it; the other one
//! stands back.
//!
//! Where the feed cannot say who is concerned (a policy has changed, or steps were missed), the
//! whole directory is swept, then all who are counted, then all who have left a business: everybody is
//! asked about again, page by page, between the steps. The same happens once a day, so that nothing
//! that went wrong stays so. A sweep finds erasures too.
//!
//! An erasure is acknowledged when nothing of the person is left: not before the changes of the
//! directory that may name the person's keys are pruned. Replicas and snapshots rely on that log
//! for as long as it is kept, so that keys cannot be taken out of it earlier.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::metrics::Meter;
use proto::{consent::v1::WatchChangesResponse, errors::v1::Reason, status};
use service_kit::telemetry::FeedMetrics;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    consent::Heard,
    domain::{Agreed, AgreedToCount},
    error::Error,
    service::Service,
    store::{
        Tx, departures,
        directory::{self, Entry},
        erasures,
        feed::{self, Position},
        requests, usage,
    },
};

/// How often a replica that does not follow looks at the beat.
const LOOK: Duration = Duration::from_millis(500);
/// After how many looks at a beat that stands still it follows itself.
const STILL: u32 = 4;
/// After how long without a step, not even one that says that there is none, the stream is opened
/// anew.
const SILENCE: Duration = Duration::from_secs(10);
/// How long after the last step what is known counts as current.
const FRESH: Duration = Duration::from_secs(10);
/// How long a call waits until it is.
const PATIENCE: Duration = Duration::from_secs(3);
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// How many people are asked about at once in a sweep: the most of one `BatchCheck`.
const PAGE: u64 = 10_000;
/// How often everybody is asked about again.
const SWEEP_EVERY: Duration = Duration::from_hours(24);

/// Stands before the subject in the position of a sweep that is past the directory, among those who
/// are counted. No subject's id has it.
const COUNTED: &str = "/";
/// The same, past those who are counted, among those who have left a business.
const LEFT: &str = "+";

/// Of how many erasures consent-svc is told before it is looked whether there are more.
const TOLD: u64 = 1_000;

/// The steps of the feed.
pub(crate) type Steps = Streaming<WatchChangesResponse>;

/// When this replica last knew what the feed had told.
#[derive(Debug)]
pub(crate) struct Following {
    heard: watch::Sender<Option<Instant>>,
    /// The same, and still known when the feed is lost; at first, when this replica started.
    last: Arc<Mutex<Instant>>,
    metrics: FeedMetrics,
}

impl Following {
    /// Nothing was heard yet. `meter` tells of it.
    pub(crate) fn new(meter: &Meter) -> Self {
        let last = Arc::new(Mutex::new(Instant::now()));
        let seen = last.clone();
        let age = move || seen.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        let metrics = FeedMetrics::new(meter, "consent", age);
        Self { heard: watch::Sender::new(None), last, metrics }
    }

    fn heard(&self) {
        let now = Instant::now();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.heard.send_replace(Some(now));
    }

    /// What comes from now on is not heard.
    fn lost(&self) {
        self.heard.send_replace(None);
    }

    /// Waits until what is known of people's consent is current.
    ///
    /// # Errors
    /// When it is not, for too long: consent-svc does not answer.
    pub(crate) async fn fresh(&self) -> Result<(), Error> {
        let fresh = |heard: &Option<Instant>| heard.is_some_and(|at| at.elapsed() < FRESH);
        let mut heard = self.heard.subscribe();
        let waited = timeout(PATIENCE, heard.wait_for(fresh)).await;
        waited.ok().and_then(Result::ok).map(drop).ok_or(Error::ConsentTimeout)
    }
}

/// Somebody of whom something is kept here, and what was heard of their consent to that.
enum Held {
    InDirectory(String, Agreed),
    Counted(String, AgreedToCount),
    Left(String),
}

impl Held {
    fn subject_id(&self) -> &str {
        let (Self::InDirectory(id, _) | Self::Counted(id, _) | Self::Left(id)) = self;
        id
    }

    /// Where a sweep goes on after them.
    fn position(&self) -> String {
        match self {
            Self::InDirectory(subject_id, _) => subject_id.clone(),
            Self::Counted(subject_id, _) => format!("{COUNTED}{subject_id}"),
            Self::Left(subject_id) => format!("{LEFT}{subject_id}"),
        }
    }

    fn differs(&self, heard: &Heard) -> bool {
        let changed = match self {
            Self::InDirectory(_, agreed) => *agreed != heard.agreed,
            Self::Counted(_, agreed) => *agreed != heard.counted,
            Self::Left(_) => false,
        };
        changed || heard.erased
    }
}

/// How following ended.
enum Ended {
    /// Another replica follows.
    Elsewhere,
    /// The steps after the position are not kept, or never were.
    Missed,
}

impl Service {
    /// Follows the feed, or sees to it that another replica does, until `shutdown`.
    pub(crate) async fn follow_consent(self: Arc<Self>, shutdown: CancellationToken) {
        let following = async {
            loop {
                let pause = match self.follow().await {
                    Ok(Ended::Elsewhere) => self.watch_beat().await,
                    Ok(Ended::Missed) => self.begin_anew().await,
                    Err(error) => Err(error),
                };
                if let Err(error) = pause {
                    tracing::warn!(%error, "the feed of consents cannot be followed");
                    self.following.lost();
                    sleep(PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = following => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Returns when nobody else follows.
    async fn watch_beat(&self) -> Result<(), Error> {
        let (mut beat, mut still) = (None, 0);
        while still < STILL {
            let now = Some(feed::position(self.store.reads()).await?.beat);
            if now == beat {
                still += 1;
            } else {
                if beat.is_some() {
                    self.following.heard();
                }
                (beat, still) = (now, 0);
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// From the oldest step that is kept; what was missed is made up for by a sweep.
    async fn begin_anew(&self) -> Result<(), Error> {
        let begin = |tx: Tx| async move {
            self.wait_for_registrations(&tx).await?;
            feed::begin_sweep(&tx).await?;
            feed::advance(&*tx, &[]).await
        };
        self.store.locking("begin_feed_anew", begin).await
    }

    async fn follow(&self) -> Result<Ended, Error> {
        let mut at = feed::position(self.store.reads()).await?;
        let mut steps = match self.consent.changes(at.cursor.clone()).await {
            Ok(steps) => steps,
            Err(status) => return missed(status),
        };
        self.following.metrics.opened();
        loop {
            let sweeping = at.sweep.is_some() || self.now().since(at.swept_at) >= SWEEP_EVERY;
            let patience = if sweeping { Duration::ZERO } else { SILENCE };
            let step = match timeout(patience, steps.message()).await {
                Ok(Ok(Some(step))) => Some(step),
                Ok(Err(status)) => return missed(status),
                Err(_) if sweeping => None,
                // A stream lasts as long as a call may.
                Ok(Ok(None)) | Err(_) => return Err(Error::FeedEnded),
            };
            let done = match step {
                Some(step) => self.apply_step(&at, step).await?,
                None => self.sweep(&at).await?,
            };
            let Some(now_at) = done else { return Ok(Ended::Elsewhere) };
            at = now_at;
        }
    }

    /// Does what a step says; nothing, when another replica has done it.
    async fn apply_step(
        &self,
        at: &Position,
        step: WatchChangesResponse,
    ) -> Result<Option<Position>, Error> {
        let WatchChangesResponse { cursor, events, .. } = step;
        let (mut people, mut policies) = (BTreeMap::new(), false);
        let mut erased = Vec::new();
        let recorded: Vec<_> = events.iter().map(|event| event.recorded_at).collect();
        for event in events {
            if event.subject_id.is_empty() {
                policies = true;
                continue;
            }
            let heard = self.consent.told(&event)?;
            if heard.erased {
                erased.push(event.subject_id.clone());
            }
            people.insert(event.subject_id, heard);
        }
        let (people, erased, cursor) = (&people, &erased, &cursor);
        let settle = |tx: Tx| async move {
            if !people.is_empty() {
                self.hear(&tx, people).await?;
            }
            if policies {
                self.wait_for_registrations(&tx).await?;
            }
            forget(&tx, erased).await?;
            if feed::lock(&tx).await?.cursor != at.cursor {
                return Ok(None);
            }
            if policies {
                feed::begin_sweep(&tx).await?;
            }
            feed::advance(&*tx, cursor).await?;
            feed::position(&*tx).await.map(Some)
        };
        let settled = self.store.locking("follow_feed", settle).await?;
        if !people.is_empty() {
            self.directory.catch_up().await?;
        }
        if settled.is_some() {
            self.following.heard();
            self.following.metrics.applied(recorded.into_iter(), self.now());
        }
        if !erased.is_empty() {
            self.try_acknowledging().await;
        }
        Ok(settled)
    }

    /// Tells consent-svc of the erasures that are done: nothing of the person is left here.
    pub(crate) async fn acknowledge_erasures(&self) -> Result<(), Error> {
        loop {
            let done = erasures::done(self.store.reads(), TOLD).await?;
            if done.is_empty() {
                return Ok(());
            }
            for subject_id in done {
                self.consent.acknowledge_erasure(&subject_id).await?;
                erasures::told(self.store.reads(), &subject_id).await?;
            }
        }
    }

    /// The same, where others go on if it fails: the housekeeping tries again.
    async fn try_acknowledging(&self) {
        if let Err(error) = self.acknowledge_erasures().await {
            tracing::warn!(%error, "erasures could not be acknowledged");
        }
    }

    /// Waits until those are stored who are being registered, and lets nobody else register until
    /// the transaction ends. What is read after it has everybody of whom consent-svc was asked
    /// before.
    async fn wait_for_registrations(&self, tx: &Tx) -> Result<(), Error> {
        directory::begin(tx).await?;
        usage::people(tx).await.map(drop)
    }

    /// Settles what was heard of people; of whom nothing is kept here, nothing is.
    async fn hear(&self, tx: &Tx, people: &BTreeMap<String, Heard>) -> Result<(), Error> {
        let writer = directory::begin(tx).await?;
        let known = writer.known(tx, people.keys().map(String::as_str)).await?;
        let heard = people.iter().filter(|(subject_id, _)| known.contains_key(*subject_id));
        let entries: Vec<Entry> =
            heard.map(|(id, heard)| Entry::heard(id.clone(), heard.agreed)).collect();
        writer.settle(tx, &entries, &known, |_| Vec::new(), 0, self.now()).await?;
        // As with the directory, whoever is being added now is there when those who add are done.
        let writer = usage::people(tx).await?;
        let heard: Vec<_> = people.iter().map(|(id, heard)| (&**id, heard.counted)).collect();
        writer.hear(tx, &heard, self.now()).await
    }

    /// The next page of those who are asked about again.
    async fn page(&self, after: &str) -> Result<Vec<Held>, Error> {
        let db = self.store.reads();
        if let Some(after) = after.strip_prefix(COUNTED) {
            let page = usage::page_of(db, after, PAGE).await?.into_iter();
            return Ok(page.map(|one| Held::Counted(one.subject_id, one.agreed)).collect());
        }
        if let Some(after) = after.strip_prefix(LEFT) {
            let page = departures::page_of(db, after, PAGE).await?.into_iter();
            return Ok(page.map(Held::Left).collect());
        }
        let page = directory::page_of(db, after, PAGE).await?.into_iter();
        Ok(page.map(|one| Held::InDirectory(one.subject_id, one.found.agreed)).collect())
    }

    /// Asks about a page of the directory, of those who are counted, or of those who have left a
    /// business, again.
    async fn sweep(&self, at: &Position) -> Result<Option<Position>, Error> {
        let after = at.sweep.clone().unwrap_or_default();
        let page = self.page(&after).await?;
        let next = match page.last() {
            Some(last) => last.position(),
            None if after.starts_with(LEFT) => String::new(),
            None if after.starts_with(COUNTED) => LEFT.to_owned(),
            None => COUNTED.to_owned(),
        };
        let ids = page.iter().map(|one| one.subject_id().to_owned()).collect();
        // At the end of the directory there is nobody to ask about.
        let answers = if page.is_empty() { Vec::new() } else { self.consent.heard(ids).await? };
        let differs = page.iter().zip(answers).filter(|(one, heard)| one.differs(heard));
        let people = differs.map(|(one, heard)| (one.subject_id().to_owned(), heard));
        let people: BTreeMap<String, Heard> = people.collect();
        let erased = people.iter().filter(|(_, heard)| heard.erased);
        let erased: Vec<String> = erased.map(|(subject_id, _)| subject_id.clone()).collect();
        let (people, erased, next) = (&people, &erased, &next);
        let settle = |tx: Tx| async move {
            self.wait_for_registrations(&tx).await?;
            let now = feed::lock(&tx).await?;
            // Asked for again meanwhile: what was heard may be older than that.
            if (now.sweeps, &now.sweep) == (at.sweeps, &at.sweep) {
                self.hear(&tx, people).await?;
                forget(&tx, erased).await?;
                if next.is_empty() {
                    feed::swept(&*tx, self.now()).await?;
                } else {
                    feed::sweep_after(&*tx, next).await?;
                }
            }
            feed::position(&*tx).await
        };
        let position = self.store.locking("sweep_directory", settle).await?;
        self.directory.catch_up().await?;
        if !erased.is_empty() {
            self.try_acknowledging().await;
        }
        Ok((position.cursor == at.cursor).then_some(position))
    }
}

/// Forgets what is kept of people who were erased, beside what they agreed to, and notes that
/// consent-svc is to be told of it.
async fn forget(tx: &Tx, erased: &[String]) -> Result<(), Error> {
    departures::forget(tx, erased).await?;
    for subject_id in erased {
        requests::forget_of(&**tx, subject_id).await?;
    }
    erasures::put(tx, erased).await
}

fn missed(status: Status) -> Result<Ended, Error> {
    match status::reason(&status) {
        Some(Reason::CursorTooOld | Reason::CursorInvalid) => Ok(Ended::Missed),
        _ => Err(Error::Consent(Box::new(status))),
    }
}
