//! Everything that runs: a database, Redis servers, replicas of consent-svc, and the network
//! between them.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use service_kit::test_util::Postgres;
use tempfile::TempDir;
use tokio::{
    sync::RwLock,
    task::{block_in_place, spawn_blocking},
};
use tonic::transport::Channel;

use super::{
    primary::Pair,
    replica::{Replica, Terms},
};
use crate::{
    Result,
    svc::{Keys, Program, Stopped},
};

/// The running system.
pub(super) struct World {
    pub(super) keys: Keys,
    pub(super) replicas: Vec<Arc<Replica>>,
    pub(super) primaries: Vec<Pair>,
    pub(super) terms: Terms,
    /// Held by everyone who calls; whoever locks it has silence.
    pub(super) gate: RwLock<()>,
    postgres: Postgres,
    logs: PathBuf,
    _directory: Option<TempDir>,
}

impl World {
    /// Starts everything. Logs are kept in a directory, if one is given.
    pub(super) async fn start(
        program: &Program,
        replicas: usize,
        primaries: usize,
        terms: Terms,
        logs: Option<PathBuf>,
    ) -> Result<Self> {
        let directory = if logs.is_none() { Some(tempfile::tempdir()?) } else { None };
        let place = directory.as_ref().map(|directory| directory.path().to_owned());
        let logs = logs.or(place).unwrap_or_default();
        std::fs::create_dir_all(&logs)?;
        let keys = Keys::new()?;
        let (postgres, url) = spawn_blocking(|| {
            let postgres = Postgres::start();
            let url = postgres.database();
            (postgres, url)
        })
        .await?;
        let mut pairs = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..primaries {
            let pair = Pair::start().await?;
            addresses.push(pair.address()?);
            pairs.push(pair);
        }
        let database = database_address(&url)?;
        let mut started = Vec::new();
        for number in 0..replicas {
            let place = (logs.as_path(), &keys, &terms);
            let replica =
                Replica::new(number, program, place, (&url, database), &addresses).await?;
            if number == 0 {
                block_in_place(|| replica.migrate())?;
            }
            block_in_place(|| replica.start())?;
            started.push(Arc::new(replica));
        }
        Ok(Self {
            keys,
            replicas: started,
            primaries: pairs,
            terms,
            gate: RwLock::default(),
            postgres,
            logs,
            _directory: directory,
        })
    }

    /// Where the logs are.
    pub(super) fn logs(&self) -> &std::path::Path {
        &self.logs
    }

    /// A connection to a replica.
    pub(super) fn channel(&self, replica: usize) -> Channel {
        self.replicas[replica].channel()
    }

    /// W: how long a writer waits until nobody can rely on an older lease.
    pub(super) fn wait(&self) -> Duration {
        self.terms.lease.mul_f64(1.1 / 0.9)
    }

    /// `SIGSTOP` of the whole database, until what is returned is dropped.
    pub(super) fn stop_database(&self) -> Result<[Stopped; 2]> {
        Stopped::family(self.postgres.pid())
    }

    /// A crash of the database, and its recovery after a while.
    pub(super) async fn restart_database(&self, after: Duration) {
        block_in_place(|| self.postgres.kill());
        tokio::time::sleep(after).await;
        block_in_place(|| self.postgres.restart());
    }
}

/// Host and port in the URL of a database.
fn database_address(url: &str) -> Result<SocketAddr> {
    let host = url.split('@').nth(1).and_then(|rest| rest.split('/').next());
    Ok(host.ok_or("a database URL without a host")?.parse()?)
}
