//! The versions of the secret: which replica has which, how many people are keyed under each, and
//! the end of one that is given up.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use service_kit::clock::Clock;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{Running, VersionStanding},
    error::Error,
    service::{Service, new_id},
    store::{
        Database, RequestKey, Store, Tx,
        directory::{self, Entry},
        replicas,
    },
};

/// How often a replica says that it runs.
const BEAT: Duration = Duration::from_secs(10);

/// How long after it last said so it counts as running: several beats, and how far the clocks of
/// two replicas may be apart.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// How many people one call removes, while nobody else can change the directory.
const SOME: u64 = 1_000;

/// This replica, as the others know it.
#[derive(Debug)]
pub(crate) struct Presence {
    store: Store,
    clock: Clock,
    replica_id: String,
    /// The versions of the secret that it is configured with.
    versions: BTreeSet<u16>,
}

/// What became of a version that is given up.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Retired {
    /// How many people were removed.
    pub(crate) removed: u64,
    /// How many are keyed under it still.
    pub(crate) left: u64,
}

impl Presence {
    /// Says that this replica runs. To be called before the directory is loaded: whoever is keyed
    /// under a version that this replica does not have was so before.
    pub(crate) async fn begin(
        store: Store,
        clock: Clock,
        versions: BTreeSet<u16>,
    ) -> Result<Self, Error> {
        let presence = Self { store, clock, replica_id: new_id("replica"), versions };
        presence.announce().await?;
        Ok(presence)
    }

    async fn announce(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let (db, gone) = (self.store.reads(), now.minus(GONE_AFTER));
        replicas::announce(db, &self.replica_id, &self.versions, now, gone).await
    }

    async fn running(&self, db: &impl Database) -> Result<Running, Error> {
        let gone = self.clock.now().minus(GONE_AFTER);
        let others = replicas::others(db, &self.replica_id, gone).await?;
        Ok(Running::new(others.into_iter().chain([self.versions.clone()])))
    }

    /// Goes on saying that this replica runs, until its last call is answered.
    pub(crate) async fn keep(&self, drained: CancellationToken) {
        loop {
            tokio::select! {
                () = self.clock.sleep(BEAT) => {}
                () = drained.cancelled() => break,
            }
            if let Err(error) = self.announce().await {
                tracing::warn!(%error, "the other replicas cannot be told that this one runs");
            }
        }
        if let Err(error) = replicas::leave(self.store.reads(), &self.replica_id).await {
            tracing::warn!(%error, "the other replicas cannot be told that this one ends");
        }
    }
}

impl Service {
    /// Says that this replica runs, until `drained`.
    pub(crate) async fn keep_present(self: Arc<Self>, drained: CancellationToken) {
        self.presence.keep(drained).await;
    }

    /// Every version, from new to old, and how many replicas run.
    pub(crate) async fn match_key_versions(&self) -> Result<(Vec<VersionStanding>, usize), Error> {
        let db = self.store.reads();
        let running = self.presence.running(db).await?;
        let people = directory::people_by_version(db).await?;
        Ok((running.standings(&people), running.replicas()))
    }

    /// Under which version people are keyed who are registered now: the newest that every replica
    /// has. Under a newer one, lists that come to a replica without it would not find them.
    pub(crate) async fn storing_version(&self, tx: &Tx) -> Result<u16, Error> {
        let common = self.presence.running(&**tx).await?.common();
        // Replicas that have none in common do not find each other's people in any case.
        Ok(common.unwrap_or_else(|| self.secrets.newest()))
    }

    /// Removes some of those who are keyed under a version that no replica has.
    ///
    /// # Errors
    /// There are some, and a replica has it.
    pub(crate) async fn retire_version(
        &self,
        request: &RequestKey,
        version: u16,
    ) -> Result<Retired, Error> {
        let now = self.now();
        let retire = |tx: Tx| async move {
            let writer = directory::begin(&tx).await?;
            let some = directory::keyed_under(&*tx, version, SOME).await?;
            let running = self.presence.running(&*tx).await?;
            if !some.is_empty() && running.having(version) > 0 {
                return Err(Error::VersionConfigured { version, running });
            }
            let gone = some.iter().map(|one| Entry::gone(one.subject_id.clone(), one.found.agreed));
            let entries: Vec<Entry> = gone.collect();
            let removed = entries.len() as u64;
            let known = some.into_iter().map(|one| (one.subject_id.clone(), one)).collect();
            writer.settle(&tx, &entries, &known, |_| Vec::new(), 0, now).await?;
            let people = directory::people_by_version(&*tx).await?;
            Ok(Retired { removed, left: people.get(&version).copied().unwrap_or(0) })
        };
        let retired = self.store.once_locking(request, now, retire).await?;
        self.directory.catch_up().await?;
        Ok(retired)
    }
}
