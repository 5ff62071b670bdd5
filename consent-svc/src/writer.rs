//! Writing: many small writes, one commit, and no stale answer after any of them.
//!
//! A commit waits for the disk, and SQLite has one connection. So one task takes whatever has
//! queued up, commits it in one transaction and only then acknowledges each. Under light load that
//! is a write a commit with nothing added; under heavy load the cost of a commit is shared. Several
//! such tasks would only wait for one another where the feed's positions are taken: they were slower
//! in every measurement. A write outlives its caller: once queued it is carried out.
//!
//! With Redis, a batch goes through the protocol of [`cache`](crate::cache):
//!
//! 1. fence the subjects whose answers may change, in a transaction of its own; then read the
//!    generation rows;
//! 2. delete those subjects' keys in these generations; if that fails, close the cache and go to
//!    1. Wait until this process has known these rows for long enough;
//! 3. apply the changes if the fences still stand; what has lost its fence goes to 1;
//! 4. acknowledge.
//!
//! Writes to one subject are in order: within this process there is one writer; against other
//! replicas the row lock, and the primary key of `event`, which admits one event per revision.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng as _;
use serde::{Deserialize, Serialize};
use service_kit::{context::Context, store::StoreError, telemetry::waited};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::{BootTime, Cache, Lease, Metrics, Redis},
    config::ConsentConfig,
    domain::Policies,
    error::Error,
    mutant::{self, Mutant},
    store::{Applied, Command, Guard, PolicyReply, PolicyRule, Reply, RequestId, Store, Token},
};

/// How writes are gathered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct WriterConfig {
    /// The most writes in one commit. More share the disk better under load; all of them wait for
    /// the slowest, and fail together when the database does.
    pub batch: usize,
    /// How many writes may queue before further ones are answered UNAVAILABLE.
    pub queue: usize,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self { batch: 256, queue: 8_192 }
    }
}

/// The way to write. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    work: Arc<Work>,
    queue: mpsc::Sender<Job>,
}

struct Job {
    command: Command,
    done: oneshot::Sender<Result<Reply, Error>>,
}

struct Work {
    store: Store,
    cache: Arc<Cache>,
    metrics: Metrics,
    reopen_after: i64,
}

/// How often a batch starts over before its writes are given up: other replicas write the same
/// subjects, or Redis fails again and again.
const ATTEMPTS: u32 = 20;

/// The longest pause before the second attempt to keep a fence; before each further one it is longer
/// by as much. The first comes at once: most are for subjects that were found to be linked.
const PAUSE: Duration = Duration::from_millis(2);

impl Writer {
    /// Starts it.
    pub(crate) fn start(
        ctx: &Context,
        store: &Store,
        cache: &Arc<Cache>,
        metrics: Metrics,
        config: &ConsentConfig,
    ) -> Self {
        let reopen_after = config.cache.reopen_after.get().as_millis();
        let reopen_after = i64::try_from(reopen_after).unwrap_or(i64::MAX);
        let config = &config.writer;
        let (store, cache) = (store.clone(), cache.clone());
        let work = Arc::new(Work { store, cache, metrics, reopen_after });
        let batch = config.batch.clamp(1, 1_000);
        let (queue, queued) = mpsc::channel(config.queue.max(1));
        ctx.spawn("writer", run(work.clone(), queued, batch, ctx.drained.clone()));
        Self { work, queue }
    }

    /// Carries out a write, or finds what was answered to it before. When this returns, the
    /// effect survives whatever the store's configuration promises to survive, and no check that
    /// starts from now on is answered from before it.
    pub(crate) async fn write(&self, command: Command) -> Result<Reply, Error> {
        let started = Instant::now();
        let (done, answer) = oneshot::channel();
        self.queue.try_send(Job { command, done }).map_err(|failed| match failed {
            TrySendError::Full(_) => Error::WriterBusy,
            TrySendError::Closed(_) => Error::Stopping,
        })?;
        let answer = answer.await.map_err(|_| Error::Stopping)?;
        waited("store write", started.elapsed(), matches!(answer, Err(Error::Store(_))));
        answer
    }

    /// Stores a draft, which changes nobody's answers.
    pub(crate) async fn draft_policy(
        &self,
        request: RequestId,
        rule: PolicyRule,
    ) -> Result<(PolicyReply, Arc<Policies>), Error> {
        let drafted = self.work.store.alter_policies(request, &rule, &[]).await?;
        drafted.ok_or(Error::WriterBusy)
    }

    /// Changes policies, and with them anybody's answers.
    pub(crate) async fn change_policies(
        &self,
        request: RequestId,
        rule: PolicyRule,
    ) -> Result<(PolicyReply, Arc<Policies>), Error> {
        let work = self.work.clone();
        // Outlives its caller: a cache that was closed for it is not left closed for longer.
        let task = tokio::spawn(async move { work.change_policies(request, &rule).await });
        task.await.map_err(|_| Error::Stopping)?
    }
}

async fn run(
    work: Arc<Work>,
    mut queue: mpsc::Receiver<Job>,
    batch: usize,
    drained: CancellationToken,
) {
    let mut jobs = Vec::new();
    loop {
        tokio::select! {
            count = queue.recv_many(&mut jobs, batch) => if count == 0 { return },
            // Nothing new comes in; what is queued is still carried out.
            () = drained.cancelled(), if !queue.is_closed() => queue.close(),
        }
        if !jobs.is_empty() {
            work.commit(std::mem::take(&mut jobs)).await;
        }
    }
}

impl Work {
    /// Carries out jobs and answers each.
    async fn commit(&self, mut jobs: Vec<Job>) {
        let mut more = HashSet::new();
        for attempt in 0..ATTEMPTS {
            let (commands, waiting): (Vec<Command>, Vec<_>) =
                jobs.into_iter().map(|job| (job.command, job.done)).unzip();
            let applied = self.attempt(&commands, &more).await;
            jobs = Vec::new();
            match applied {
                Ok(applied) => {
                    for ((command, done), applied) in commands.into_iter().zip(waiting).zip(applied)
                    {
                        match applied {
                            // A caller that has gone away does not need it.
                            Applied::Done(answer) => drop(done.send(answer)),
                            Applied::Unguarded(affected) => {
                                more.extend(affected);
                                jobs.push(Job { command, done });
                            }
                        }
                    }
                }
                Err(error) => {
                    for done in waiting {
                        let _ = done.send(Err(Error::Store(error.clone())));
                    }
                }
            }
            if jobs.is_empty() {
                return;
            }
            self.metrics.restarted("fence");
            // So that two who take each other's fences do not go on doing so.
            let pause = rand::rng().random_range(Duration::ZERO..=PAUSE * attempt);
            tokio::time::sleep(pause).await;
        }
        for job in jobs {
            let conflict =
                StoreError::Conflict("other replicas write the same subjects".to_owned());
            let _ = job.done.send(Err(Error::Store(conflict)));
        }
    }

    /// One attempt. `more`: subjects that an earlier one found to be affected too.
    async fn attempt(
        &self,
        commands: &[Command],
        more: &HashSet<String>,
    ) -> Result<Vec<Applied>, StoreError> {
        let named = commands.iter().flat_map(|command| &command.subject_ids);
        let affected: HashSet<String> = named.chain(more).cloned().collect();
        match &*self.cache {
            Cache::None => self.store.apply(commands, Guard::Uncached).await,
            Cache::InProcess(own) => {
                // Nobody else writes, so who is linked now will be when the changes are applied,
                // but for other writes of this very batch: they will be in `more`.
                let held = own.hold(affected.iter().map(String::as_str));
                let applied = self.store.apply(commands, Guard::Held(&affected)).await;
                drop(held);
                applied
            }
            Cache::Redis(_) => {
                let affected: Vec<String> = affected.into_iter().collect();
                let (fenced, token) = self.invalidate(&affected).await?;
                self.store.apply(commands, Guard::Fenced(&fenced, token)).await
            }
        }
    }

    /// Steps 1 and 2: when this returns, no replica will answer for these subjects from before
    /// what is committed under the fences.
    async fn invalidate(
        &self,
        subject_ids: &[String],
    ) -> Result<(HashSet<String>, Token), StoreError> {
        let Cache::Redis(redis) = &*self.cache else { return Ok(<_>::default()) };
        let token: Token = rand::random();
        for _ in 0..ATTEMPTS {
            let early = if mutant::is(Mutant::RowBeforeFence) {
                Some(self.store.pulse().await?)
            } else {
                None
            };
            let fenced = if mutant::is(Mutant::NoFence) {
                subject_ids.iter().cloned().collect()
            } else {
                let with_linked = !mutant::is(Mutant::NoLinkedFence);
                self.store.fence(subject_ids, token, with_linked).await?
            };
            self.metrics.fenced(fenced.len());
            let pulse = match early {
                Some(early) => early,
                None => self.store.pulse().await?,
            };
            let known = redis.leases.learn(pulse.asked, pulse.answered, pulse.rows);
            let (leases, free): (Vec<Arc<Lease>>, Vec<BootTime>) = known.into_iter().unzip();
            let keys: Vec<String> = fenced.iter().cloned().collect();
            let deleted = redis.delete(&leases, &keys).await;
            if let Err((primary, fault)) = deleted {
                tracing::warn!(primary, %fault, "a key could not be deleted: closing the cache");
                if let Some(lease) = leases.iter().find(|lease| lease.row.primary == primary) {
                    self.store.close(&lease.row, self.reopen_after).await?;
                    self.metrics.generation("closed");
                    self.metrics.restarted("cache");
                    if mutant::is(Mutant::OnlyMoverWaits) {
                        tokio::time::sleep(redis.leases.wait()).await;
                    }
                }
                continue;
            }
            if let Some(free) = free.into_iter().max()
                && !mutant::is(Mutant::OnlyMoverWaits)
            {
                wait_until(free).await;
            }
            return Ok((fenced, token));
        }
        Err(StoreError::Unavailable("Redis keeps failing while the cache is opened".to_owned()))
    }

    async fn change_policies(
        &self,
        request: RequestId,
        rule: &PolicyRule,
    ) -> Result<(PolicyReply, Arc<Policies>), Error> {
        let Cache::Redis(redis) = &*self.cache else {
            let changed = self.store.alter_policies(request, rule, &[]).await?;
            return changed.ok_or(Error::WriterBusy);
        };
        // What is refused, or was done before, closes nothing.
        if let Some(done) = self.store.rehearse_policies(request, rule).await? {
            return Ok(done);
        }
        // Until well after an attempt.
        let hold = redis.leases.wait().saturating_mul(2) + Duration::from_secs(10);
        let hold = i64::try_from(hold.as_millis()).unwrap_or(i64::MAX);
        let changed = self.change_while_closed(redis, request, rule, hold).await;
        if changed.is_err()
            && let Err(error) = self.store.release().await
        {
            tracing::warn!(%error, "the cache stays closed for a while");
        }
        changed
    }

    async fn change_while_closed(
        &self,
        redis: &Redis,
        request: RequestId,
        rule: &PolicyRule,
        hold: i64,
    ) -> Result<(PolicyReply, Arc<Policies>), Error> {
        for _ in 0..ATTEMPTS {
            self.store.hold_closed(hold).await?;
            self.metrics.generation("closed");
            let pulse = self.store.pulse().await?;
            let known = redis.leases.learn(pulse.asked, pulse.answered, pulse.rows);
            if let Some(free) = known.iter().map(|(_, free)| *free).max() {
                wait_until(free).await;
            }
            let closed: Vec<_> = known.into_iter().map(|(lease, _)| lease.row.clone()).collect();
            // Nothing when somebody opened the cache in spite of that.
            if let Some(changed) = self.store.alter_policies(request, rule, &closed).await? {
                return Ok(changed);
            }
        }
        Err(Error::WriterBusy)
    }
}

async fn wait_until(free: BootTime) {
    // A timer may be early by this clock.
    loop {
        let left = free.since(BootTime::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}
