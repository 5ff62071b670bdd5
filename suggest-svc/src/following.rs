//! Following consent-svc's feed: whoever withdraws, lapses or is erased is out of the graph and the
//! store within a second.
//!
//! The replicas share one position in the feed. One of them follows it and raises a beat; the
//! others watch the beat, and one of them takes its place when it stands still. Should two follow at
//! once, each step is done by the one that finds the position where it left it; the other one
//! stands back.
//!
//! Where the feed cannot say who is concerned (a policy has changed, or steps were missed), everybody
//! who is here or named is asked about again, page by page, between the steps. The same happens
//! once a day, so that nothing that went wrong stays so. A sweep finds erasures too.
//!
//! An erasure is acknowledged when nothing of the person is left: not before the changes that name
//! them are pruned. Replicas rely on that log for as long as it is kept.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::metrics::Meter;
use proto::{consent::v1::WatchChangesResponse, errors::v1::Reason, status};
use service_kit::telemetry::FeedMetrics;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use crate::{
    consents::Consents,
    domain::Subject,
    error::Error,
    service::Suggest,
    store::{Erased, Heard, Position},
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
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// How many people are asked about at once in a sweep: the most of one `BatchCheck`.
const PAGE: u64 = 10_000;
/// How often everybody is asked about again.
const SWEEP_EVERY: Duration = Duration::from_hours(24);
/// Of how many erasures consent-svc is told before it is looked whether there are more.
const TOLD: u64 = 1_000;

/// When this replica last knew what the feed had told; at first, when it started.
#[derive(Debug)]
pub(crate) struct Following {
    heard: Arc<Mutex<Instant>>,
    metrics: FeedMetrics,
}

impl Following {
    /// Nothing was heard yet. `meter` tells of it.
    pub(crate) fn new(meter: &Meter) -> Self {
        let heard = Arc::new(Mutex::new(Instant::now()));
        let seen = heard.clone();
        let metrics = FeedMetrics::new(meter, "consent", move || age(&seen));
        Self { heard, metrics }
    }

    fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// For readiness: whether what is known of people's consent is current.
    pub(crate) fn probe(&self) -> Result<(), String> {
        let age = age(&self.heard);
        if age < FRESH { Ok(()) } else { Err(format!("not heard for {} s", age.as_secs())) }
    }
}

fn age(heard: &Mutex<Instant>) -> Duration {
    heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
}

/// How following ended.
enum Ended {
    /// Another replica follows.
    Elsewhere,
    /// The steps after the position are not kept, or never were.
    Missed,
}

impl Suggest {
    /// Follows the feed, or sees to it that another replica does. Does not end.
    pub(crate) async fn follow_consent(&self) {
        loop {
            let ended = match self.follow().await {
                Ok(Ended::Elsewhere) => self.watch_beat().await,
                Ok(Ended::Missed) => self.store.begin_feed_anew().await.map_err(Error::from),
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(%error, "the feed of consents cannot be followed");
                sleep(PAUSE).await;
            }
        }
    }

    /// Returns when nobody else follows.
    async fn watch_beat(&self) -> Result<(), Error> {
        let (mut beat, mut still) = (None, 0);
        while still < STILL {
            let now = Some(self.store.feed_position().await?.beat);
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

    async fn follow(&self) -> Result<Ended, Error> {
        let mut at = self.store.feed_position().await?;
        let mut steps = match self.consents.changes(&self.purposes, at.cursor.clone()).await {
            Ok(steps) => steps,
            Err(status) => return missed(status),
        };
        self.following.metrics.opened();
        loop {
            let now = self.clock.now();
            let sweeping = at.sweep.is_some() || now.since(at.swept_at) >= SWEEP_EVERY;
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
            // Whose consent has just ended by the clock, whether or not the feed says so too.
            self.store.forget_lapsed(self.clock.now()).await?;
            self.live.written();
            let Some(now_at) = done else { return Ok(Ended::Elsewhere) };
            at = now_at;
        }
    }

    /// Does what a step says; nothing more, when another replica has done it.
    async fn apply_step(
        &self,
        at: &Position,
        step: WatchChangesResponse,
    ) -> Result<Option<Position>, Error> {
        let (mut said, mut policies) = (Vec::new(), false);
        for event in &step.events {
            if event.subject_id.is_empty() {
                policies = true;
            } else {
                let subject = Subject::from(event.subject_id.as_str());
                said.push((subject, Consents::told(&self.purposes, event)?));
            }
        }
        // Who erased themselves may be told of once more by another kind of event.
        let erased = said.iter().filter(|(_, said)| said.erased).map(|(subject, _)| subject);
        let erased = self.named(erased);
        // At the first revision nobody has agreed before.
        let denial = said.iter().any(|(_, said)| said.until.is_none() && said.revision != 1);
        let heard = Heard { answers: said.into_iter().collect(), erased, policies, denial };
        let settled = self.store.follow_step(at, &heard, &step.cursor, self.clock.now()).await?;
        if settled.is_some() {
            self.following.heard();
            let recorded = step.events.iter().map(|event| event.recorded_at);
            self.following.metrics.applied(recorded, self.clock.now());
        }
        Ok(settled)
    }

    /// Asks about a page of those who are here or named again.
    async fn sweep(&self, at: &Position) -> Result<Option<Position>, Error> {
        let sweep = at.sweep.clone().unwrap_or_default();
        let page = self.store.sweep_page(&sweep, PAGE).await?;
        let mut answers =
            self.consents.check(&self.purposes.transfer, page.iter().collect()).await?;
        if sweep.is_of_people_here() {
            let granted = answers.granted().collect();
            let uses = self.consents.uses(&self.purposes, granted).await?;
            answers.add_uses(uses);
        }
        let erased = self.named(answers.erased());
        let heard = Heard { answers, erased, ..Heard::default() };
        let next = sweep.next(&page);
        let position = self.store.sweep_step(at, &heard, next.as_ref(), self.clock.now()).await?;
        Ok((position.cursor == at.cursor).then_some(position))
    }

    /// Tells consent-svc of the erasures that are done: nothing of the person is left here.
    pub(crate) async fn acknowledge_erasures(&self) -> Result<(), Error> {
        loop {
            let done = self.store.erasures_done(TOLD).await?;
            if done.is_empty() {
                return Ok(());
            }
            for subject in done {
                self.consents.acknowledge_erasure(&subject).await?;
                self.store.erasure_told(&subject).await?;
            }
        }
    }

    fn named<'s>(&self, subjects: impl Iterator<Item = &'s Subject>) -> Vec<Erased> {
        let named = |subject: &Subject| Erased {
            caller: self.seal.person(subject),
            subject: subject.clone(),
        };
        let distinct: std::collections::BTreeSet<_> = subjects.collect();
        distinct.into_iter().map(named).collect()
    }
}

fn missed(status: Status) -> Result<Ended, Error> {
    match status::reason(&status) {
        Some(Reason::CursorTooOld | Reason::CursorInvalid) => Ok(Ended::Missed),
        _ => Err(Error::Consent(Box::new(status))),
    }
}
