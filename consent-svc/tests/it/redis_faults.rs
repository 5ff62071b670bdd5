//! Redis fails, forgets, is tampered with; answers stay right and writes go on.

use std::time::Duration;

use proto::{consent::v1::PolicyRef, errors::v1::Reason};
use redis::aio::MultiplexedConnection;
use service_kit::{
    clock::{Clock, UnixMillis},
    config::Span,
    test_util::{Postgres, Redis},
};

use crate::{calls::*, harness::*};

/// Two replicas with a Redis of their own, on which there are answers for subject `anna`.
struct Fault {
    redis: Redis,
    one: World,
    other: World,
    policy: PolicyRef,
}

impl Fault {
    async fn new() -> Self {
        let redis = Redis::start();
        let clock = Clock::manual(UnixMillis::new(START));
        let url = Postgres::shared().database();
        let mut one = World::begin(url, &[redis.url()], None, clock.clone()).await;
        // So that nobody waits for long until it is opened again.
        one.reconfigure(|config| config.cache.reopen_after = Span::from_millis(300)).await;
        let other = one.replica(clock).await;
        let policy = one.announce("sharing", opt_out()).await;
        one.put("anna", "US").await;
        let fault = Self { redis, one, other, policy };
        fault.agree("anna").await;
        fault.warm("anna").await;
        fault
    }

    fn both(&self) -> [&World; 2] {
        [&self.one, &self.other]
    }

    async fn agree(&self, id: &str) {
        let yes = self.one.decision(id, &self.policy, &opt_out(), &[SHARE, ADS, MESSAGES]);
        self.one.decide(yes).await.unwrap();
    }

    async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    async fn keys(&self) -> Vec<Vec<u8>> {
        redis::cmd("KEYS").arg("*").query_async(&mut self.connection().await).await.unwrap()
    }

    /// Until Redis holds an answer for the subject, and both replicas use it.
    async fn warm(&self, id: &str) {
        until("an answer is kept", || async {
            let granted = [self.one.granted(id, ADS).await, self.other.granted(id, ADS).await];
            assert_eq!(granted, [true, true]);
            let mut connection = self.connection().await;
            for key in self.keys().await {
                let value: Vec<u8> =
                    redis::cmd("GET").arg(&key).query_async(&mut connection).await.unwrap();
                if key.ends_with(id.as_bytes()) && value.starts_with(b"v") {
                    return true;
                }
            }
            false
        })
        .await;
    }

    /// A withdrawal at one replica is denied at both at once; then everything is as before.
    async fn withdraws(&self) {
        for here in self.both() {
            for world in self.both() {
                assert!(world.granted("anna", ADS).await);
            }
            here.withdraw("anna", &[ADS]).await.unwrap();
            for world in self.both() {
                assert!(!world.granted("anna", ADS).await);
                assert!(!world.granted("anna", ADS).await);
            }
            self.agree("anna").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_ends_and_comes_back() {
    let fault = Fault::new().await;
    fault.withdraws().await;
    for _ in 0..2 {
        fault.warm("anna").await;
        fault.redis.kill();
        for world in fault.both() {
            assert!(world.granted("anna", ADS).await);
        }
        fault.withdraws().await;
        // A policy can be changed without it.
        let policy = fault.one.announce("other", opt_out()).await;
        fault.other.retire(policy).await.unwrap();
        fault.redis.restart();
        fault.withdraws().await;
        fault.warm("anna").await;
        fault.withdraws().await;
    }
}

/// What was kept before and what is written meanwhile must not meet: after the restart there is a
/// new generation, whatever was in the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_that_nobody_noticed() {
    let fault = Fault::new().await;
    for _ in 0..3 {
        fault.warm("anna").await;
        fault.redis.restart();
        fault.withdraws().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_forgets() {
    let fault = Fault::new().await;
    for command in ["FLUSHALL", "SCRIPT FLUSH", "CLIENT KILL TYPE normal SKIPME yes"] {
        fault.warm("anna").await;
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        for word in words {
            cmd.arg(word);
        }
        cmd.query_async::<redis::Value>(&mut fault.connection().await).await.unwrap();
        fault.withdraws().await;
        fault.warm("anna").await;
        fault.withdraws().await;
    }
}

/// Whatever stands under a key that is no answer is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_hold_something_else() {
    let fault = Fault::new().await;
    let garbage: [&[u8]; 9] = [
        b"",
        b"v",
        b"v\x01",
        b"v\x01\x01\x06",
        b"x",
        b"vgarbage",
        b"n12345678",
        &[0xff; 300],
        &[b'v', 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    ];
    for value in garbage {
        fault.warm("anna").await;
        let mut connection = fault.connection().await;
        for key in fault.keys().await {
            let mut set = redis::cmd("SET");
            set.arg(&key).arg(value).query_async::<()>(&mut connection).await.unwrap();
        }
        fault.withdraws().await;
    }
    // Another type.
    fault.warm("anna").await;
    let mut connection = fault.connection().await;
    for key in fault.keys().await {
        redis::cmd("DEL").arg(&key).query_async::<()>(&mut connection).await.unwrap();
        let mut push = redis::cmd("RPUSH");
        push.arg(&key).arg("v").query_async::<()>(&mut connection).await.unwrap();
    }
    fault.withdraws().await;
    fault.warm("anna").await;
}

/// The server becomes another's replica and is promoted back, with whatever was copied onto it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_a_replica_for_a_while() {
    let fault = Fault::new().await;
    fault.warm("anna").await;
    let stale = Redis::start();
    let port = |redis: &Redis| redis.url().rsplit(':').next().unwrap().to_owned();
    let replicate = async |of: &Redis, from: &Redis| {
        let client = redis::Client::open(of.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd("REPLICAOF");
        command.arg("127.0.0.1").arg(port(from));
        command.query_async::<()>(&mut connection).await.unwrap();
        until("it is copied", || async {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            let info: String =
                redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap();
            info.contains("master_link_status:up")
        })
        .await;
        connection
    };
    let alone = async |mut connection: MultiplexedConnection| {
        let mut command = redis::cmd("REPLICAOF");
        command.arg("NO").arg("ONE").query_async::<()>(&mut connection).await.unwrap();
    };
    // The other has the yes of now.
    alone(replicate(&stale, &fault.redis).await).await;
    fault.one.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!fault.other.granted("anna", ADS).await);
    alone(replicate(&fault.redis, &stale).await).await;
    for world in fault.both() {
        for _ in 0..3 {
            assert!(!world.granted("anna", ADS).await);
        }
    }
    fault.agree("anna").await;
    fault.warm("anna").await;
    fault.withdraws().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_not_told_of_redis_does_not_write() {
    let url = Postgres::shared().database();
    let clock = Clock::manual(UnixMillis::new(START));
    let without = World::begin(url.clone(), &[], None, clock.clone()).await;
    let spec = opt_out();
    let policy = without.announce("sharing", spec.clone()).await;
    let draft = without.draft("other", spec.clone()).await.unwrap().r#ref.unwrap();
    without.put("anna", "US").await;
    let with = World::begin(url, &[Redis::shared().database()], None, clock).await;
    let yes = || with.decision("anna", &policy, &spec, &[SHARE, ADS]);
    with.decide(yes()).await.unwrap();
    assert!(with.granted("anna", ADS).await && without.granted("anna", ADS).await);
    let unavailable = Reason::DependencyUnavailable;
    assert_eq!(reason(without.withdraw("anna", &[ADS]).await), unavailable);
    assert_eq!(reason(without.link(&["anna", "bert"]).await), unavailable);
    assert_eq!(reason(without.erase("anna").await), unavailable);
    // Nobody's answers are changed behind the cache's back, by policies neither.
    assert_eq!(reason(without.publish(draft).await), unavailable);
    assert_eq!(reason(without.retire(policy.clone()).await), unavailable);
    assert!(with.granted("anna", ADS).await && without.granted("anna", ADS).await);
    with.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!with.granted("anna", ADS).await && !without.granted("anna", ADS).await);
}

/// A Redis server in cluster mode, until this is dropped.
struct Cluster {
    server: std::process::Child,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (free(), free());
        let port = first.local_addr().unwrap().port();
        let bus = second.local_addr().unwrap().port();
        drop((first, second));
        let directory = tempfile::tempdir().unwrap();
        let text = format!(
            "--port {port} --cluster-port {bus} --bind 127.0.0.1 --cluster-enabled yes --dir {}",
            directory.path().display()
        );
        let mut command = std::process::Command::new("redis-server");
        command.args(text.split(' ')).args(["--save", ""]);
        let server = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        Self { server, port, _directory: directory }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_is_refused() {
    let cluster = Cluster::start();
    let client = redis::Client::open(cluster.url()).unwrap();
    until("it answers", || async { client.get_multiplexed_async_connection().await.is_ok() }).await;
    let url = Postgres::shared().database();
    let clock = Clock::manual(UnixMillis::new(START));
    let mut world = World::begin(url, &[cluster.url()], None, clock).await;
    let refused = tokio::time::timeout(Duration::from_secs(10), world.stop().stopped()).await;
    let text = refused.unwrap().unwrap_err().to_string();
    assert!(text.contains("Cluster") && text.contains("several"), "{text}");
}
