//! Subjects spread over several Redis primaries: each has its own generation, and fails alone.

use std::time::{Duration, Instant};

use proto::consent::v1::PolicyRef;
use service_kit::{
    clock::{Clock, UnixMillis},
    config::Span,
    test_util::{Postgres, Redis},
};

use crate::{calls::*, harness::*, inside::*};

/// How many subjects there are: enough for each primary to have some.
const SUBJECTS: usize = 12;

fn ids() -> Vec<String> {
    (0..SUBJECTS).map(|n| format!("subject-{n}")).collect()
}

/// Two replicas and the primaries that they are told of; everyone has agreed.
struct Spread {
    redis: [Redis; 2],
    one: World,
    other: World,
    policy: PolicyRef,
}

impl Spread {
    async fn new() -> Self {
        let redis = [Redis::start(), Redis::start()];
        let clock = Clock::manual(UnixMillis::new(START));
        let database = Postgres::shared().database();
        let urls = [redis[0].url(), redis[1].url()];
        let mut one = World::begin(database, &urls, None, clock.clone()).await;
        let mut other = one.replica(clock).await;
        let policy = one.announce("sharing", opt_out()).await;
        for id in ids() {
            one.agreed(&id, &policy).await;
        }
        for world in [&mut one, &mut other] {
            world.reconfigure(|config| config.cache.reopen_after = Span::from_millis(300)).await;
        }
        let spread = Self { redis, one, other, policy };
        spread.warm(&ids()).await;
        spread
    }

    fn both(&self) -> [&World; 2] {
        [&self.one, &self.other]
    }

    /// A replica that is told of another primary, too.
    async fn with_three(&self, third: &Redis) -> World {
        let urls = [self.redis[0].url(), self.redis[1].url(), third.url()];
        self.one.replica_with(self.one.clock.clone(), &urls).await
    }

    /// Until both replicas answer these from the cache.
    async fn warm(&self, ids: &[String]) {
        for world in self.both() {
            for id in ids {
                world.kept(id).await;
            }
        }
    }

    /// The subjects whose answers each primary holds.
    async fn places(&self) -> [Vec<String>; 2] {
        let mut places = [Vec::new(), Vec::new()];
        for (place, redis) in places.iter_mut().zip(&self.redis) {
            let keys = Keys::of(&redis.url()).await;
            for id in ids() {
                if keys.entry(&id).await.is_some() {
                    place.push(id);
                }
            }
        }
        places
    }

    /// What each replica's withdrawals change, both know at once; then everyone agrees again.
    async fn withdraws(&self, ids: &[String]) {
        for id in ids {
            for here in self.both() {
                for world in self.both() {
                    assert!(world.ask(id).await.unwrap());
                }
                here.withdraw(id, &[ADS]).await.unwrap();
                for world in self.both() {
                    assert!(!world.ask(id).await.unwrap(), "{id}");
                    assert!(!world.ask(id).await.unwrap(), "{id}");
                }
                here.agreed(id, &self.policy).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_primary_has_some_subjects_and_changes_are_known_at_once() {
    let spread = Spread::new().await;
    let [mut all, second] = spread.places().await;
    assert!(!all.is_empty() && !second.is_empty());
    all.extend(second);
    all.sort_unstable();
    let mut expected = ids();
    expected.sort_unstable();
    assert_eq!(all, expected, "each at one of them");
    spread.withdraws(&ids()).await;
    // Who are linked may be at different ones.
    let ids: Vec<String> = ids();
    let linked: Vec<&str> = ids.iter().map(String::as_str).take(6).collect();
    spread.one.link(&linked).await.unwrap();
    spread.warm(&ids).await;
    spread.other.withdraw(linked[3], &[ADS]).await.unwrap();
    for id in &linked {
        for world in spread.both() {
            assert!(!world.ask(id).await.unwrap(), "{id}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_primaries_ends_and_comes_back() {
    let mut spread = Spread::new().await;
    // Long enough to be told from other waits.
    for world in [&mut spread.one, &mut spread.other] {
        world.reconfigure(|config| config.cache.lease = Span::from_millis(900)).await;
    }
    spread.warm(&ids()).await;
    let [lost, left] = spread.places().await;
    spread.redis[0].kill();
    for world in spread.both() {
        for id in ids() {
            assert!(world.ask(&id).await.unwrap(), "{id}");
        }
        for id in &left {
            assert_eq!(world.asked(id).await, (true, HIT));
        }
    }
    // W = L (1 + ε) / (1 − ε), once.
    let wait = Duration::from_millis(1_100);
    let took = withdrawal(&spread, &lost[0]).await;
    assert!(took > wait && took < 4 * wait, "{took:?}");
    let took = withdrawal(&spread, &lost[0]).await;
    assert!(took < wait, "{took:?}");
    spread.withdraws(&[&lost[..1], &left[..2]].concat()).await;
    for world in spread.both() {
        until("the other's cache is used", || async { world.asked(&left[2]).await.1 == HIT }).await;
        assert_eq!(world.asked(&lost[0]).await, (true, UNUSABLE));
    }
    spread.redis[0].restart();
    spread.warm(&ids()).await;
    assert_eq!(spread.places().await, [lost, left], "as before");
    spread.withdraws(&ids()[..4]).await;
}

/// How long it took; both know at once, and then agree again.
async fn withdrawal(spread: &Spread, id: &str) -> Duration {
    let begun = Instant::now();
    spread.one.withdraw(id, &[ADS]).await.unwrap();
    let took = begun.elapsed();
    for world in spread.both() {
        assert!(!world.ask(id).await.unwrap());
    }
    spread.one.agreed(id, &spread.policy).await;
    took
}

/// A replica that is told of more primaries places subjects elsewhere, in generations of its own.
/// Whoever knows only the old ones closes the cache to write; then everyone knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_at_a_replica_with_an_older_list_closes_the_cache_for_all() {
    let spread = Spread::new().await;
    let db = spread.one.database().await;
    let generations = async || -> Vec<Vec<u8>> {
        let rows = rows(&db, "SELECT generation FROM cache_primary ORDER BY number").await;
        rows.iter().map(|row| row.try_get("", "generation").unwrap()).collect()
    };
    let before = generations().await;
    let third = Redis::start();
    let new = spread.with_three(&third).await;
    let after = generations().await;
    assert_eq!((before.len(), after.len()), (2, 3));
    assert!(before.iter().all(|known| !after.contains(known)));
    for id in ids() {
        new.kept(&id).await;
    }
    assert!(!Keys::of(&third.url()).await.all().await.is_empty());
    let restarts =
        async |world: &World| world.count("consent_write_restarts_total", "cause=\"cache\"").await;
    let so_far = restarts(&spread.one).await;
    for id in &ids()[..4] {
        for here in spread.both() {
            new.kept(id).await;
            here.withdraw(id, &[ADS]).await.unwrap();
            for world in [&new, &spread.one, &spread.other] {
                assert!(!world.ask(id).await.unwrap(), "{id}");
                assert!(!world.ask(id).await.unwrap(), "{id}");
            }
            here.agreed(id, &spread.policy).await;
        }
    }
    assert!(restarts(&spread.one).await > so_far);
}

/// Those that know only the old ones go on without a cache.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_another_list_closes_the_cache_for_the_others() {
    let spread = Spread::new().await;
    let third = Redis::start();
    let new = spread.with_three(&third).await;
    for id in ids() {
        new.kept(&id).await;
    }
    for world in spread.both() {
        for id in ids() {
            assert_eq!(world.asked(&id).await, (true, UNUSABLE), "{id}");
        }
    }
}

/// The same, seen from outside: nobody's yes outlives a withdrawal, wherever it was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_lists_differ_a_withdrawal_at_any_replica_counts_at_all() {
    let spread = Spread::new().await;
    let third = Redis::start();
    let new = spread.with_three(&third).await;
    let all = [&new, &spread.one, &spread.other];
    for id in ids() {
        new.kept(&id).await;
        for world in all {
            // Whoever may keep it does.
            for _ in 0..3 {
                assert!(world.ask(&id).await.unwrap(), "{id}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        new.decide(new.decision(&id, &spread.policy, &opt_out(), &[SHARE])).await.unwrap();
        for (at, world) in all.iter().enumerate() {
            assert!(!world.ask(&id).await.unwrap(), "{id} at {at}");
        }
    }
}
