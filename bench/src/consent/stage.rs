//! A consent-svc under measurement, with what it needs, and its subjects.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use proto::consent::v1::{
    BatchCheckRequest, BatchCheckResponse, Outcome, consent_service_client::ConsentServiceClient,
};
use service_kit::test_util::{Postgres, Redis};
use tempfile::TempDir;
use tokio::task::block_in_place;
use tonic::{Code, transport::Channel};

use super::memory::ask;
use crate::{
    Result,
    client::{Connections, Unary, frame},
    svc::{Announced, Keys, Program, SHARE, Service, announce_examples},
};

/// The most subjects in a `BatchCheck`.
pub(super) const BATCH: usize = 10_000;
/// How long a call of the preparation may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many calls of the preparation are made at once.
const AT_ONCE: usize = 256;
/// How long the service may take until it answers.
const START: Duration = Duration::from_secs(30);

/// How often a call is made before it is given up.
const ATTEMPTS: u32 = 10;

/// How often it is tried to have all answers kept.
const FILLS: u32 = 30;

/// Where answers are kept.
#[derive(Debug)]
enum Kept {
    /// In the process, on SQLite.
    InProcess,
    /// In Redis, on PostgreSQL, which waits for the disk.
    Redis(Box<Engines>),
}

/// The servers that a service needs to keep answers in Redis.
#[derive(Debug)]
pub(crate) struct Engines {
    pub(crate) postgres: Postgres,
    pub(crate) redis: Redis,
    /// The database.
    pub(crate) url: String,
}

/// The service, and everything that it needs.
pub(crate) struct Stage {
    pub(super) name: &'static str,
    pub(crate) keys: Keys,
    pub(super) channel: Channel,
    pub(super) connections: Connections,
    pub(crate) service: Service,
    kept: Kept,
    pub(super) policy: Announced,
    /// How many subjects there are.
    pub(super) subjects: usize,
    _directory: TempDir,
}

/// A subject's id: 16 bytes.
pub(crate) fn id(subject: usize) -> String {
    format!("subject-{subject:08}")
}

impl Stage {
    /// With answers kept in the process.
    pub(crate) async fn in_process(connections: usize) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = format!("url = \"sqlite:{}/consent.db\"", directory.path().display());
        Self::start("in process", &store, "", directory, Kept::InProcess, connections).await
    }

    /// With answers kept in Redis.
    pub(crate) async fn redis(connections: usize) -> Result<Self> {
        let (postgres, redis) = block_in_place(|| (Postgres::durable(), Redis::start()));
        let url = block_in_place(|| postgres.database());
        let store = format!("url = \"{url}\"");
        let cache = format!("redis = [\"{}\"]", redis.url());
        let kept = Kept::Redis(Box::new(Engines { postgres, redis, url }));
        Self::start("Redis", &store, &cache, tempfile::tempdir()?, kept, connections).await
    }

    async fn start(
        name: &'static str,
        store: &str,
        cache: &str,
        directory: TempDir,
        kept: Kept,
        connections: usize,
    ) -> Result<Self> {
        let keys = Keys::new()?;
        let config = directory.path().join("consent.toml");
        fs::write(&config, text(&keys.jwks_file(), store, cache))?;
        let program = Program::this("serve-consent")?;
        let service = block_in_place(|| {
            program.migrate(&config)?;
            Service::start(&program, &config, None)
        })?;
        let channel = Channel::from_shared(format!("http://{}", service.address))?.connect_lazy();
        let policy = announced(&channel, &keys).await?;
        let connections = Connections::open(service.address, connections).await?;
        Ok(Self {
            name,
            keys,
            channel,
            connections,
            service,
            kept,
            policy,
            subjects: 0,
            _directory: directory,
        })
    }

    /// Makes more subjects known, until there are so many. Each has agreed to everything.
    pub(crate) async fn seed(&mut self, until: usize) -> Result<()> {
        let calls = (self.subjects..until).map(|subject| {
            let mut client = ConsentServiceClient::new(self.channel.clone());
            let (policy, keys, id) = (&self.policy, &self.keys, id(subject));
            async move {
                client.put_subject(keys.app(policy.subject(&id), PATIENCE)).await?;
                client.record_decision(keys.app(policy.grant(&id), PATIENCE)).await
            }
        });
        let calls = stream::iter(calls).buffer_unordered(AT_ONCE);
        calls.try_for_each(|_| std::future::ready(Ok(()))).await?;
        self.subjects = self.subjects.max(until);
        Ok(())
    }

    /// Asks about all subjects, so that every answer is kept; says how many agree.
    pub(super) async fn fill(&self) -> Result<usize> {
        let batches = (0..self.subjects).step_by(BATCH).map(|first| {
            let last = (first + BATCH).min(self.subjects);
            let subjects = (first..last).map(id).collect();
            let mut client = ConsentServiceClient::new(self.channel.clone());
            let message = batch(subjects);
            async move {
                for _ in 0..ATTEMPTS {
                    // Of many subjects, few pages are in the database's memory at first.
                    match client.batch_check(self.keys.app(message.clone(), PATIENCE)).await {
                        Err(status) if status.code() == Code::Unavailable => {}
                        answer => return answer,
                    }
                }
                client.batch_check(self.keys.app(message, PATIENCE)).await
            }
        });
        let answers = stream::iter(batches).buffer_unordered(2);
        let yes = |answer: tonic::Response<BatchCheckResponse>| {
            let outcomes = answer.into_inner().outcomes.into_iter();
            outcomes.filter(|outcome| *outcome == Outcome::Granted as i32).count()
        };
        Ok(answers.try_fold(0, |sum, answer| async move { Ok(sum + yes(answer)) }).await?)
    }

    /// Asks about all subjects until every answer is kept: fills may be left out under load.
    pub(crate) async fn fill_all(&self) -> Result<()> {
        for _ in 0..FILLS {
            let granted = self.fill().await?;
            if granted != self.subjects {
                return Err(format!("{granted} of {} subjects agree", self.subjects).into());
            }
            // Announcements of fills that came to nothing are gone after a second.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            if self.cached()? >= self.subjects {
                return Ok(());
            }
        }
        Err(format!("only {} of {} answers are kept", self.cached()?, self.subjects).into())
    }

    /// The servers that it needs, if it keeps answers in Redis.
    pub(crate) fn engines(&self) -> Result<&Engines> {
        match &self.kept {
            Kept::InProcess => Err("there are no other servers".into()),
            Kept::Redis(engines) => Ok(engines),
        }
    }

    /// How many answers Redis keeps; of a process, that is not known.
    pub(super) fn cached(&self) -> Result<usize> {
        match &self.kept {
            Kept::InProcess => Ok(self.subjects),
            Kept::Redis(engines) => ask(&engines.redis, &redis::cmd("DBSIZE")),
        }
    }

    /// A call of a method of the service without a message.
    pub(crate) fn method(&self, name: &str) -> Result<Unary> {
        Unary::new(&format!("/assent.consent.v1.ConsentService/{name}"), &(), Some(&self.keys.app))
    }
}

/// What is asked about many.
pub(super) fn batch(subject_ids: Vec<String>) -> BatchCheckRequest {
    BatchCheckRequest { purpose_id: SHARE.to_owned(), subject_ids, with_details: false }
}

/// The messages of checks of one subject each, by its number.
pub(crate) fn checks(subjects: usize) -> Result<Vec<Bytes>> {
    let message = |subject| proto::consent::v1::CheckRequest {
        subject_id: id(subject),
        purpose_id: SHARE.to_owned(),
    };
    (0..subjects).map(|subject| frame(&message(subject))).collect()
}

async fn announced(channel: &Channel, keys: &Keys) -> Result<Announced> {
    let until = tokio::time::Instant::now() + START;
    loop {
        match announce_examples(channel, keys).await {
            Ok([first, _]) => return Ok(first),
            Err(error) if tokio::time::Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The configuration: as shipped, but for what has no default.
fn text(keys: &Path, store: &str, cache: &str) -> String {
    format!(
        "[server]\naddress = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n\
         [auth]\njwks_file = \"{}\"\n[telemetry]\nlog_format = \"json\"\n\
         [store]\n{store}\n[cache]\n{cache}\n",
        keys.display()
    )
}
