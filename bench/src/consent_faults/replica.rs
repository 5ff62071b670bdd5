//! A replica of consent-svc, and its links to what it needs.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
    time::Duration,
};

use service_kit::test_util::Proxy;
use tonic::transport::Channel;

use crate::{
    Result,
    svc::{Keys, Program, Service, Stopped},
};

/// What every replica is told.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) lease: Duration,
    pub(super) timeout: Duration,
    pub(super) reopen_after: Duration,
}

/// A replica.
#[derive(Debug)]
pub(super) struct Replica {
    program: Program,
    config: PathBuf,
    log: PathBuf,
    /// Its links to the Redis primaries.
    pub(super) redis: Vec<Proxy>,
    /// Its link to the database.
    pub(super) database: Proxy,
    running: Mutex<Option<Service>>,
    channel: RwLock<Channel>,
}

impl Replica {
    /// Writes its configuration. It does not run yet.
    pub(super) async fn new(
        number: usize,
        program: &Program,
        (directory, keys, terms): (&Path, &Keys, &Terms),
        (database_url, database): (&str, SocketAddr),
        primaries: &[SocketAddr],
    ) -> Result<Self> {
        let mut redis = Vec::new();
        for primary in primaries {
            redis.push(Proxy::start(*primary).await?);
        }
        let database = Proxy::start(database).await?;
        let name = database_url.rsplit('/').next().unwrap_or_default();
        let urls: Vec<String> =
            redis.iter().map(|proxy| format!("redis://{}", proxy.address)).collect();
        let text = format!(
            r#"
            [server]
            address = "127.0.0.1:0"
            admin_address = "127.0.0.1:0"
            [auth]
            jwks_file = "{}"
            [telemetry]
            log_format = "json"
            [store]
            url = "postgres://assent@{}/{name}"
            max_connections = 12
            acquire_timeout = "2s"
            [cache]
            redis = {urls:?}
            lease = "{}ms"
            timeout = "{}ms"
            reopen_after = "{}ms"
            "#,
            keys.jwks_file().display(),
            database.address,
            terms.lease.as_millis(),
            terms.timeout.as_millis(),
            terms.reopen_after.as_millis(),
        );
        let config = directory.join(format!("replica-{number}.toml"));
        fs::write(&config, text)?;
        let log = directory.join(format!("replica-{number}.log"));
        // Nobody is there; it is replaced when the replica starts.
        let channel = RwLock::new(Channel::from_static("http://127.0.0.1:1").connect_lazy());
        let program = program.clone();
        Ok(Self { program, config, log, redis, database, running: Mutex::default(), channel })
    }

    /// Brings the store's schema up to date.
    pub(super) fn migrate(&self) -> Result<()> {
        self.program.migrate(&self.config)
    }

    /// Starts it; one that runs is killed first. Blocks until it listens.
    pub(super) fn start(&self) -> Result<()> {
        self.kill();
        let service = Service::start(&self.program, &self.config, Some(&self.log))?;
        let channel = Channel::from_shared(format!("http://{}", service.address))?;
        let channel = channel.connect_timeout(Duration::from_secs(1)).connect_lazy();
        *self.channel.write().unwrap_or_else(PoisonError::into_inner) = channel;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(service);
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&self) {
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// `SIGSTOP`, until what is returned is dropped; nothing if it does not run.
    pub(super) fn stop(&self) -> Result<Option<Stopped>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|service| Stopped::new(&[service.id()])).transpose()
    }

    /// A connection to it as it is now.
    pub(super) fn channel(&self) -> Channel {
        self.channel.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where its metrics are, if it is to run.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|service| service.admin)
    }

    /// Whether it has ended although nobody killed it.
    pub(super) fn has_ended(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().is_some_and(Service::has_ended)
    }
}
