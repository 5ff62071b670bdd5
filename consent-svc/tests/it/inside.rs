//! Looking inside: at what a service counts, at what Redis holds, and into its database.

use proto::consent::v1::{CheckRequest, Outcome, PolicyRef};
use redis::aio::MultiplexedConnection;
use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, QueryResult, Statement,
    TransactionTrait,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Status;

use crate::{calls::*, harness::*};

/// What a service counts.
impl World {
    /// All its metrics, as its admin port gives them.
    pub(crate) async fn metrics(&self) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.admin_address()).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        page
    }

    /// A metric: the sum of its series that have this among their labels (`found="hit"`); nothing
    /// while there is none.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> Option<f64> {
        sum(&self.metrics().await, name, label)
    }

    /// A counter, from 0 on.
    pub(crate) async fn count(&self, name: &str, label: &str) -> u64 {
        whole(self.metric(name, label).await)
    }

    /// Lookups so far: hits, misses, expired, unusable.
    pub(crate) async fn lookups(&self) -> [u64; 4] {
        let page = self.metrics().await;
        ["hit", "miss", "expired", "unusable"].map(|found| {
            let label = format!("found=\"{found}\"");
            whole(sum(&page, "consent_cache_lookups_total", &label))
        })
    }
}

/// The sum of a metric's series that have this among their labels.
fn sum(page: &str, name: &str, label: &str) -> Option<f64> {
    let series = page.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        labels.contains(label).then(|| value.parse::<f64>().unwrap())
    });
    series.reduce(|sum, value| sum + value)
}

fn whole(count: Option<f64>) -> u64 {
    count.unwrap_or(0.0).to_string().parse().unwrap()
}

/// Questions.
impl World {
    /// One check, of one subject for ads.
    pub(crate) async fn ask(&self, subject_id: &str) -> Result<bool, Status> {
        let subject_id = subject_id.to_owned();
        let message = CheckRequest { subject_id, purpose_id: ADS.to_owned() };
        let answer = self.consent().check(self.app(message)).await?.into_inner();
        Ok(answer.outcome() == Outcome::Granted)
    }

    /// One check, and what its lookup found: hit, miss, expired, unusable.
    pub(crate) async fn asked(&self, subject_id: &str) -> (bool, [u64; 4]) {
        let before = self.lookups().await;
        let granted = self.ask(subject_id).await.unwrap();
        let mut found = self.lookups().await;
        for (found, before) in found.iter_mut().zip(before) {
            *found -= before;
        }
        (granted, found)
    }

    /// Makes someone known who agrees to ads and what they require.
    pub(crate) async fn agreed(&self, subject_id: &str, policy: &PolicyRef) {
        self.put(subject_id, "US").await;
        let yes = self.decision(subject_id, policy, &opt_out(), &[SHARE, ADS]);
        self.decide(yes).await.unwrap();
    }

    /// Asks until the answer comes out of the cache.
    pub(crate) async fn kept(&self, subject_id: &str) {
        until("an answer is kept", || async { self.asked(subject_id).await.1 == HIT }).await;
    }
}

pub(crate) const HIT: [u64; 4] = [1, 0, 0, 0];
pub(crate) const MISS: [u64; 4] = [0, 1, 0, 0];
pub(crate) const EXPIRED: [u64; 4] = [0, 0, 1, 0];
pub(crate) const UNUSABLE: [u64; 4] = [0, 0, 0, 1];

/// What Redis holds.
pub(crate) struct Keys(MultiplexedConnection);

impl Keys {
    /// Of a server's database.
    pub(crate) async fn of(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        Self(client.get_multiplexed_async_connection().await.unwrap())
    }

    /// All keys, of whatever generation.
    pub(crate) async fn all(&self) -> Vec<Vec<u8>> {
        self.run(redis::cmd("KEYS").arg("a*")).await
    }

    /// The key and the value of a subject, in whatever generation.
    pub(crate) async fn entry(&self, subject_id: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let keys = self.all().await;
        // A letter, and eight bytes of a generation.
        let named = |key: &Vec<u8>| key.get(9..) == Some(subject_id.as_bytes());
        for key in keys.into_iter().filter(named) {
            let value: Option<Vec<u8>> = self.run(redis::cmd("GET").arg(&key)).await;
            if let Some(value) = value {
                return Some((key, value));
            }
        }
        None
    }

    /// Puts a value under a key.
    pub(crate) async fn put(&self, (key, value): &(Vec<u8>, Vec<u8>)) {
        self.run::<()>(redis::cmd("SET").arg(key).arg(value)).await;
    }

    /// Runs a command.
    pub(crate) async fn run<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> T {
        command.query_async(&mut self.0.clone()).await.unwrap()
    }
}

/// Into a service's database.
impl World {
    /// A connection of the test's own. SQLite: only while the service does not run.
    pub(crate) async fn database(&self) -> DatabaseConnection {
        Database::connect(self.config().store.url.expose()).await.unwrap()
    }

    /// The first Redis that it is told of.
    pub(crate) async fn redis_keys(&self) -> Keys {
        Keys::of(self.config().cache.redis[0].expose()).await
    }
}

/// Runs a statement; gives how many rows it changed.
pub(crate) async fn run(db: &impl ConnectionTrait, text: &str) -> u64 {
    let statement = Statement::from_string(db.get_database_backend(), text);
    db.execute_raw(statement).await.unwrap().rows_affected()
}

/// The rows that a query finds.
pub(crate) async fn rows(db: &impl ConnectionTrait, text: &str) -> Vec<QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), text)).await.unwrap()
}

/// Locks a table, so that every statement that is about it waits until this is rolled back.
pub(crate) async fn locked(db: &DatabaseConnection, table: &str) -> DatabaseTransaction {
    let tx = db.begin().await.unwrap();
    run(&tx, &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
    tx
}
