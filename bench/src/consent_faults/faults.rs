//! What goes wrong, and how it is made to.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use service_kit::test_util::{Proxy, Way};
use tokio::{task::block_in_place, time::sleep};

use super::{primary::Pair, tally::Tally, world::World};
use crate::Result;

/// Something that goes wrong with a process, or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9` of a replica, which is started again.
    ReplicaKilled,
    /// `SIGSTOP` of a replica, which then goes on as if nothing had happened.
    ReplicaStopped,
    /// `SIGSTOP` of Redis.
    RedisStopped,
    /// `kill -9` of Redis, which starts again with nothing.
    RedisEmptied,
    /// `kill -9` of Redis, which starts again with what it held some time ago.
    RedisFromOldDump,
    /// Another Redis that has fallen behind takes its place.
    FailoverToStale,
    /// The same, and for a while some replicas still talk to the former.
    SplitBrain,
    /// The primary becomes a replica of one that has fallen behind, and is promoted back.
    PromotedBack,
    /// `SIGSTOP` of the database.
    DatabaseStopped,
    /// The database crashes and recovers.
    DatabaseRestarted,
}

/// Those that are drawn from.
pub(super) const FAULTS: [Fault; 10] = [
    Fault::ReplicaKilled,
    Fault::ReplicaStopped,
    Fault::RedisStopped,
    Fault::RedisEmptied,
    Fault::RedisFromOldDump,
    Fault::FailoverToStale,
    Fault::SplitBrain,
    Fault::PromotedBack,
    Fault::DatabaseStopped,
    Fault::DatabaseRestarted,
];

/// Makes things go wrong.
#[derive(Clone)]
pub(super) struct Breaker {
    pub(super) world: Arc<World>,
    pub(super) tally: Arc<Tally>,
}

fn between(rng: &mut ChaCha8Rng, least: Duration, most: Duration) -> Duration {
    rng.random_range(least..=most)
}

const MOMENT: Duration = Duration::from_millis(10);

impl Breaker {
    /// Makes one thing go wrong, and repairs it.
    pub(super) async fn inflict(&self, fault: Fault, rng: &mut ChaCha8Rng) -> Result<()> {
        let wait = self.world.wait();
        let at = rng.random_range(0..self.world.replicas.len());
        let replica = &self.world.replicas[at];
        let primary = rng.random_range(0..self.world.primaries.len());
        let pair = &self.world.primaries[primary];
        let name = format!("{fault:?}");
        let _present = self.tally.fault(&name, format!("{name} (replica {at})"));
        match fault {
            Fault::ReplicaKilled => {
                block_in_place(|| replica.kill());
                sleep(between(rng, MOMENT, wait)).await;
                self.start_again(at).await?;
            }
            Fault::ReplicaStopped => {
                let stopped = block_in_place(|| replica.stop())?;
                sleep(between(rng, MOMENT, wait * 3)).await;
                block_in_place(|| drop(stopped));
            }
            Fault::RedisStopped => {
                let stopped = block_in_place(|| pair.stop())?;
                sleep(between(rng, MOMENT, wait * 2)).await;
                block_in_place(|| drop(stopped));
            }
            Fault::RedisEmptied => {
                pair.kill();
                sleep(between(rng, MOMENT, wait)).await;
                pair.restart_empty();
            }
            Fault::RedisFromOldDump => {
                pair.save().await?;
                sleep(between(rng, MOMENT, wait)).await;
                pair.kill();
                sleep(between(rng, MOMENT, wait / 2)).await;
                pair.restart_with_dump();
            }
            Fault::FailoverToStale => self.fail_over(primary, pair, false, rng).await?,
            Fault::SplitBrain => self.fail_over(primary, pair, true, rng).await?,
            Fault::PromotedBack => {
                pair.leave_replica_behind().await?;
                sleep(between(rng, MOMENT, wait)).await;
                pair.replace_the_past().await?;
            }
            Fault::DatabaseStopped => {
                let stopped = block_in_place(|| self.world.stop_database())?;
                sleep(between(rng, MOMENT, wait)).await;
                block_in_place(|| drop(stopped));
            }
            Fault::DatabaseRestarted => {
                self.world.restart_database(between(rng, MOMENT, wait)).await;
            }
        }
        Ok(())
    }

    /// Starts a replica, which needs the database for it.
    async fn start_again(&self, replica: usize) -> Result<()> {
        const ATTEMPTS: u32 = 40;
        for attempt in 1.. {
            match block_in_place(|| self.world.replicas[replica].start()) {
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => sleep(Duration::from_millis(250)).await,
                Ok(()) => break,
            }
        }
        Ok(())
    }

    pub(super) async fn fail_over(
        &self,
        primary: usize,
        pair: &Pair,
        split: bool,
        rng: &mut ChaCha8Rng,
    ) -> Result<()> {
        let wait = self.world.wait();
        pair.leave_replica_behind().await?;
        sleep(between(rng, MOMENT, wait)).await;
        let promoted = pair.promote_other().await?;
        for replica in &self.world.replicas {
            let link = &replica.redis[primary];
            link.switch(promoted);
            if !split || rng.random() {
                link.cut();
            }
        }
        if split {
            sleep(between(rng, MOMENT, wait * 2)).await;
            for replica in &self.world.replicas {
                replica.redis[primary].cut();
            }
        }
        Ok(())
    }

    /// Makes one link bad, and then good again.
    pub(super) async fn disturb(&self, rng: &mut ChaCha8Rng) -> Result<()> {
        let at = rng.random_range(0..self.world.replicas.len());
        let replica = &self.world.replicas[at];
        let (to, link) = match rng.random_range(0..10) {
            0..6 => {
                let primary = rng.random_range(0..replica.redis.len());
                ("Redis", &replica.redis[primary])
            }
            _ => ("database", &replica.database),
        };
        let what = Disturbance::draw(rng, self.world.terms.timeout);
        let name = format!("{} link {}", to, what.name());
        let _present = self.tally.fault(&name, format!("{to} link of replica {at}: {what:?}"));
        let how_long = between(rng, MOMENT, self.world.wait() * 3 / 2);
        what.on(link, how_long).await;
        Ok(())
    }
}

/// What happens to a link.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    /// Its connections end, once.
    Cut,
    /// They end, and there are no new ones.
    Gone,
    /// It is slow, each direction as given.
    Slow { there: Duration, back: Duration },
    /// Nothing gets there.
    RequestsHeld,
    /// Nothing comes back, though what was asked is done.
    AnswersHeld,
    /// What was asked is done, and whether it was is never known.
    AnswersLost,
}

impl Disturbance {
    fn draw(rng: &mut ChaCha8Rng, timeout: Duration) -> Self {
        let slow = |rng: &mut ChaCha8Rng| rng.random_range(Duration::ZERO..timeout * 2 / 3);
        match rng.random_range(0..8) {
            0 => Self::Cut,
            1 => Self::Gone,
            2 | 3 => Self::Slow { there: slow(rng), back: slow(rng) },
            4 => Self::Slow { there: slow(rng) / 8, back: slow(rng) / 8 },
            5 => Self::RequestsHeld,
            6 => Self::AnswersHeld,
            _ => Self::AnswersLost,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Gone => "gone",
            Self::Slow { .. } => "slow",
            Self::RequestsHeld => "requests held",
            Self::AnswersHeld => "answers held",
            Self::AnswersLost => "answers lost",
        }
    }

    async fn on(self, link: &Proxy, how_long: Duration) {
        match self {
            Self::Cut => link.cut(),
            Self::Gone => {
                link.set(Way::Open, Way::Open, true);
                link.cut();
            }
            Self::Slow { there, back } => link.set(Way::Slow(there), Way::Slow(back), false),
            Self::RequestsHeld => link.set(Way::Stalled, Way::Open, false),
            Self::AnswersHeld | Self::AnswersLost => link.set(Way::Open, Way::Stalled, false),
        }
        sleep(how_long).await;
        if let Self::AnswersLost = self {
            link.cut();
        }
        link.heal();
    }
}
