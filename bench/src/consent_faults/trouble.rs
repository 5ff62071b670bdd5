//! Troubles that are made for one mutant: not drawn, but the very conditions under which the step
//! that it leaves out is needed, again and again.

use std::{future::pending, time::Duration};

use rand_chacha::ChaCha8Rng;
use service_kit::test_util::{Proxy, Way};
use tokio::{time::sleep, try_join};

use super::faults::Breaker;
use crate::Result;

/// Something that is wrong all the time, or again and again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// A replica's link to the database is slow, each direction as given.
    SlowDatabase { replica: usize, there: Duration, back: Duration },
    /// A replica's link to the database passes nothing on for a while.
    HeldDatabase { replica: usize, held: Duration, open: Duration },
    /// A replica's link to Redis is gone for a while.
    NoRedisAt { replica: usize, gone: Duration, there: Duration },
    /// Nobody's link to Redis is there.
    NoRedis,
    /// A Redis that has fallen behind takes the primary's place.
    Failover,
    /// The primary becomes a replica of one that has fallen behind, and is promoted back, while
    /// nobody asks it anything.
    PromotedBack,
    /// One replica's link to the database is held while the cache is closed and opened again
    /// because of another's that lost its link to Redis.
    HeldWhileReopened { held: usize, cut: usize },
}

/// How long everything is well at first.
const BEFORE: Duration = Duration::from_secs(1);

impl Breaker {
    /// Makes trouble until it is dropped.
    pub(super) async fn trouble(&self, troubles: &[Trouble], rng: &mut ChaCha8Rng) -> Result<()> {
        sleep(BEFORE).await;
        match troubles {
            [] => pending().await,
            [one] => self.again_and_again(*one, rng).await,
            [one, rest @ ..] => {
                let mut other = rng.clone();
                let rest = Box::pin(self.trouble(rest, &mut other));
                try_join!(self.again_and_again(*one, rng), rest).map(drop)
            }
        }
    }

    async fn again_and_again(&self, trouble: Trouble, rng: &mut ChaCha8Rng) -> Result<()> {
        loop {
            self.once(trouble, rng).await?;
        }
    }

    async fn once(&self, trouble: Trouble, rng: &mut ChaCha8Rng) -> Result<()> {
        let _present = self.tally.fault("Made", format!("{trouble:?}"));
        let database = |replica: usize| &self.world.replicas[replica].database;
        match trouble {
            Trouble::SlowDatabase { replica, there, back } => {
                database(replica).set(Way::Slow(there), Way::Slow(back), false);
                pending::<()>().await;
            }
            Trouble::HeldDatabase { replica, held, open } => {
                database(replica).set(Way::Stalled, Way::Stalled, false);
                sleep(held).await;
                database(replica).heal();
                sleep(open).await;
            }
            Trouble::NoRedisAt { replica, gone, there } => {
                self.without_redis(replica, gone).await;
                sleep(there).await;
            }
            Trouble::NoRedis => {
                for replica in &self.world.replicas {
                    replica.redis.iter().for_each(go);
                }
                pending::<()>().await;
            }
            Trouble::Failover => {
                self.fail_over(0, &self.world.primaries[0], false, rng).await?;
                sleep(self.world.wait() * 2).await;
            }
            Trouble::PromotedBack => {
                let pair = &self.world.primaries[0];
                pair.leave_replica_behind().await?;
                sleep(self.world.wait()).await;
                let silence = self.world.gate.write().await;
                // What is kept is still on its way when the call that brought it is answered.
                sleep(Duration::from_millis(100)).await;
                pair.replace_the_past().await?;
                drop(silence);
                sleep(self.world.wait()).await;
            }
            Trouble::HeldWhileReopened { held, cut } => {
                database(held).set(Way::Stalled, Way::Open, false);
                self.without_redis(cut, self.world.terms.reopen_after).await;
                sleep(self.world.terms.lease * 2).await;
                database(held).heal();
                sleep(self.world.wait() * 3).await;
            }
        }
        Ok(())
    }

    async fn without_redis(&self, replica: usize, gone: Duration) {
        let links = &self.world.replicas[replica].redis;
        links.iter().for_each(go);
        sleep(gone).await;
        links.iter().for_each(Proxy::heal);
    }
}

fn go(link: &Proxy) {
    link.set(Way::Open, Way::Open, true);
    link.cut();
}
