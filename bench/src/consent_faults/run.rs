//! One run: everything is started, all write and check, and faults come and go.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    cache_use::CacheUse,
    checkers::Auditor,
    faults::{Breaker, FAULTS},
    history::History,
    replica::Terms,
    setup,
    tally::Tally,
    world::World,
    writers::Writer,
};
use crate::{Result, svc::Program};

/// How large everything is.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What all draws come from.
    pub seed: u64,
    /// Replicas of consent-svc.
    pub replicas: usize,
    /// Redis primaries.
    pub primaries: usize,
    /// Subjects.
    pub subjects: usize,
    /// Of these, accounts that are linked to another.
    pub linked: usize,
    /// Of these, those whose policy comes and goes.
    pub governed: usize,
    /// Subjects in a batch.
    pub batch: usize,
    /// How long a sweeper rests between two batches.
    pub sweep_pause: Duration,
    /// Who sweeps, at each replica.
    pub sweepers: usize,
    /// Who asks about single subjects, at each replica.
    pub followers: usize,
    /// Writers at the same time.
    pub writers: usize,
    /// How long a writer rests between two writes, on average.
    pub write_pause: Duration,
    /// The cache's lease.
    pub lease: Duration,
    /// How long there is between faults, at most.
    pub calm: Duration,
    /// Who is written to.
    pub writes_at: WritesAt,
    /// Which replicas are asked; none: all.
    pub checks_at: Vec<usize>,
    /// Where logs are kept.
    pub logs: Option<PathBuf>,
}

/// Who is written to.
#[derive(Debug, Clone, Default)]
pub enum WritesAt {
    /// Any replica.
    #[default]
    Anywhere,
    /// Any of these.
    Some(Vec<usize>),
    /// The first replica about subjects with even numbers, the second about the others.
    ByNumber,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            replicas: 2,
            primaries: 1,
            subjects: 2_000,
            linked: 400,
            governed: 16,
            batch: 2_000,
            sweep_pause: Duration::from_millis(10),
            sweepers: 2,
            followers: 4,
            writers: 32,
            write_pause: Duration::from_millis(60),
            lease: Duration::from_secs(1),
            calm: Duration::from_secs(3),
            writes_at: WritesAt::default(),
            checks_at: Vec::new(),
            logs: None,
        }
    }
}

/// How long may be waited for something that should take no time, before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a policy is in force, and how long it is not, on average: the cache is closed for every
/// change of policies.
const GOVERNING_PAUSE: Duration = Duration::from_secs(12);

/// After how many seconds it is said how far it is.
const TELL_EVERY: u64 = 10;

/// A run under way.
pub struct Run {
    plan: Plan,
    world: Arc<World>,
    /// What has been counted.
    pub tally: Arc<Tally>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Run {
    /// Starts everything.
    pub async fn start(program: &Program, mut plan: Plan) -> Result<Self> {
        if plan.checks_at.is_empty() {
            plan.checks_at = (0..plan.replicas).collect();
        }
        let terms = Terms {
            lease: plan.lease,
            timeout: Duration::from_millis(250),
            reopen_after: plan.lease / 2,
        };
        let world =
            World::start(program, plan.replicas, plan.primaries, terms, plan.logs.clone()).await?;
        let (world, tally) = (Arc::new(world), Arc::new(Tally::default()));
        let history = Arc::new(History::new(plan.subjects, plan.linked, plan.governed));
        let (policies, governing) = setup::policies(&world).await?;
        let stop = CancellationToken::new();
        let mut run = Self { plan, world, tally, stop, tasks: JoinSet::new() };
        let auditor = Auditor {
            world: run.world.clone(),
            history: history.clone(),
            tally: run.tally.clone(),
        };
        let followers = run.follow(&auditor);
        let writer = Writer {
            world: run.world.clone(),
            history: history.clone(),
            tally: run.tally.clone(),
            policies: Arc::new(policies),
            governing,
            writes_at: run.plan.writes_at.clone(),
            followers,
        };
        let all = 0..history.len();
        setup::subjects(&run.world, &history, all, |one| writer.policy(one).clone()).await?;
        let mut rng = run.draws(0);
        for person in history.linked_groups() {
            writer.link(person, &mut rng).await;
        }
        // The cache holds a yes of everybody before the first withdrawal: a system that deleted
        // nothing would otherwise go on with the first no.
        let ungoverned = 0..run.plan.subjects - run.plan.governed;
        let agreements = ungoverned.map(|subject| {
            let (writer, mut rng) = (&writer, run.draws(100_000 + subject as u64));
            async move { writer.write(subject, &mut rng).await }
        });
        stream::iter(agreements).buffer_unordered(run.plan.writers).collect::<()>().await;
        eprintln!("everything runs; logs: {}", run.world.logs().display());
        run.sweep(&auditor);
        run.write(&writer);
        if !history.governed().is_empty() {
            let govern = writer.govern(GOVERNING_PAUSE, run.draws(3), run.stop.clone());
            run.tasks.spawn(govern);
        }
        run.tell();
        Ok(run)
    }

    /// Draws for a purpose.
    fn draws(&self, purpose: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed);
        rng.set_stream(purpose);
        rng
    }

    fn follow(&mut self, auditor: &Auditor) -> Vec<mpsc::Sender<usize>> {
        let mut followers = Vec::new();
        for replica in self.plan.checks_at.clone() {
            let (each, mut queue) = mpsc::channel(4_096);
            let mut senders = Vec::new();
            for _ in 0..self.plan.followers {
                let (sender, subjects) = mpsc::channel(16);
                senders.push(sender);
                self.tasks.spawn(auditor.clone().follow(replica, subjects, self.stop.clone()));
            }
            // In turns, so that one who waits for a long time keeps no other from asking.
            self.tasks.spawn(async move {
                let mut turn = 0;
                while let Some(subject) = queue.recv().await {
                    turn += 1;
                    let _ = senders[turn % senders.len()].try_send(subject);
                }
            });
            followers.push(each);
        }
        followers
    }

    fn sweep(&mut self, auditor: &Auditor) {
        for replica in self.plan.checks_at.clone() {
            for sweeper in 0..self.plan.sweepers {
                let rng = self.draws(1_000 + (replica * 100 + sweeper) as u64);
                let (batch, pause) = (self.plan.batch, self.plan.sweep_pause);
                let sweep = auditor.clone().sweep(replica, batch, pause, rng, self.stop.clone());
                self.tasks.spawn(sweep);
            }
        }
    }

    fn write(&mut self, writer: &Writer) {
        for number in 0..self.plan.writers {
            let ungoverned = self.plan.subjects - self.plan.governed;
            let own = (number..ungoverned).step_by(self.plan.writers).collect();
            let rng = self.draws(10_000 + number as u64);
            let run = writer.clone().run(own, self.plan.write_pause, rng, self.stop.clone());
            self.tasks.spawn(run);
        }
    }

    /// Says from time to time how far it is.
    fn tell(&mut self) {
        let (world, tally, stop) = (self.world.clone(), self.tally.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            let mut cache = CacheUse::default();
            let mut ticks = interval(Duration::from_secs(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for second in 0_u64.. {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.cancelled() => break,
                }
                for (number, replica) in world.replicas.iter().enumerate() {
                    if replica.has_ended() {
                        tally.inexplicable(format!("replica {number} has ended by itself"));
                    }
                    if let Some(admin) = replica.admin() {
                        cache.ask(admin).await;
                    }
                }
                tally.found_in_cache(cache.hits());
                if second % TELL_EVERY == 0 {
                    eprintln!("{tally}; cache: {cache}");
                }
            }
            eprintln!("{tally}; cache: {cache}");
        });
    }

    pub(super) fn breaker(&self) -> Breaker {
        Breaker { world: self.world.clone(), tally: self.tally.clone() }
    }

    /// Lets things go wrong for so long: processes and servers, and at the same time links.
    pub async fn inflict(&self, length: Duration) -> Result<()> {
        let until = Instant::now() + length;
        let breaker = self.breaker();
        let processes = async {
            let mut rng = self.draws(1);
            let mut left = Vec::new();
            while Instant::now() < until {
                // All kinds as often, in an order that is drawn.
                if left.is_empty() {
                    left.extend(FAULTS);
                }
                let fault = left.swap_remove(rng.random_range(0..left.len()));
                breaker.inflict(fault, &mut rng).await?;
                sleep(rng.random_range(Duration::ZERO..self.plan.calm)).await;
            }
            Ok::<_, crate::Error>(())
        };
        let links = async {
            let mut rng = self.draws(2);
            while Instant::now() < until {
                breaker.disturb(&mut rng).await?;
                sleep(rng.random_range(Duration::ZERO..self.plan.calm)).await;
            }
            Ok::<_, crate::Error>(())
        };
        let ((), ()) = tokio::try_join!(processes, links)?;
        Ok(())
    }

    /// Ends everything; gives what was counted.
    pub async fn end(mut self) -> Result<Arc<Tally>> {
        self.stop.cancel();
        let ended = timeout(PATIENCE, async {
            while let Some(ended) = self.tasks.join_next().await {
                ended?;
            }
            Ok::<_, tokio::task::JoinError>(())
        });
        ended.await.map_err(|_| "not all who write and check have ended")??;
        eprintln!("faults: {}", self.tally.faults_by_name());
        Ok(self.tally)
    }
}
