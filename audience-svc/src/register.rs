//! Registering identifiers: only of people who agreed to the transfer, only as match keys.

use std::{sync::Arc, time::Duration};

use identifiers::{MatchKey, Region};
use serde::{Deserialize, Serialize};
use service_kit::compute::compute;
use tokio::time::timeout;

use crate::{
    domain::{Agreed, Refusal, Row, Secrets},
    error::Error,
    service::Service,
    store::{RequestKey, Tx, directory, requests},
};

/// How long consent-svc may take while everybody who changes the directory waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// One person's identifiers, keyed.
#[derive(Debug)]
pub(crate) struct Keyed {
    subject_id: String,
    /// By which version of the secret each was made.
    keys: Vec<(u16, MatchKey)>,
    rejections: Vec<(u32, Refusal)>,
}

/// What became of one registration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Whether it was stored; else it awaits consent.
    pub(crate) stored: bool,
    /// The identifiers refused, by position, and why.
    pub(crate) rejections: Vec<(u32, Refusal)>,
}

impl Keyed {
    /// Makes the keys under which a person's identifiers must be found: one for each distinct form
    /// that the profiles give them.
    pub(crate) fn new<'a>(
        subject_id: String,
        rows: impl Iterator<Item = Row<'a>>,
        region: Option<Region>,
        secrets: &Secrets,
    ) -> Self {
        let mut keyed = Self { subject_id, keys: Vec::new(), rejections: Vec::new() };
        for (index, row) in (0_u32..).zip(rows) {
            match row.registered(region) {
                Ok((kind, digests)) => {
                    for digest in &digests {
                        keyed.keys.extend(secrets.keys(kind, digest));
                    }
                }
                Err(refusal) => keyed.rejections.push((index, refusal)),
            }
        }
        keyed.keys.sort_unstable();
        keyed.keys.dedup();
        keyed
    }

    /// What becomes of the person, keyed under `version`. When all that was sent was refused, the
    /// person is found by the keys of before: a wrong region must not take somebody out of every
    /// list.
    fn entry(&self, agreed: Agreed, version: u16) -> directory::Entry {
        let refused = self.keys.is_empty() && !self.rejections.is_empty();
        let (here, other): (Vec<_>, Vec<_>) = self.keys.iter().partition(|(by, _)| *by == version);
        let keys = |these: Vec<(u16, MatchKey)>| these.into_iter().map(|(_, key)| key).collect();
        directory::Entry {
            subject_id: self.subject_id.clone(),
            agreed,
            keys: (!refused).then(|| keys(here)),
            other_keys: keys(other),
        }
    }
}

impl Service {
    /// Applies registrations together. Whoever has not agreed to the transfer is not stored, and
    /// what was stored of them is removed.
    ///
    /// consent-svc is asked while nobody else can change the directory: whoever withdraws after its
    /// answer is removed by the follower of its feed, who waits until these are stored.
    pub(crate) async fn put_identifiers(
        &self,
        request: &RequestKey,
        registrations: Vec<Keyed>,
    ) -> Result<Vec<Outcome>, Error> {
        let registrations = &registrations;
        // They take turns in the database anyway: so that one connection waits there, not all.
        let _turn = self.registering.lock().await;
        let put = |tx: Tx| async move {
            let writer = directory::begin(&tx).await?;
            if let Some(outcomes) = requests::replay(&*tx, request).await? {
                return Ok(outcomes);
            }
            self.directory.catch_up_in(&*tx).await?;
            self.settle(&tx, writer, request, registrations).await
        };
        let outcomes = self.store.locking("put_identifiers", put).await?;
        if let Err(error) = self.directory.catch_up().await {
            // It is stored; the memory will follow.
            tracing::warn!(%error, "the directory's changes cannot be read");
        }
        Ok(outcomes)
    }

    async fn settle(
        &self,
        tx: &Tx,
        writer: directory::Writer,
        request: &RequestKey,
        registrations: &[Keyed],
    ) -> Result<Vec<Outcome>, Error> {
        let subjects = registrations.iter().map(|one| one.subject_id.clone()).collect();
        let agreed = timeout(PATIENCE, self.consent.agreed(subjects)).await;
        let agreed = agreed.map_err(|_| Error::ConsentTimeout)??;
        let now = self.now();
        let outcome = |(one, agreed): (&Keyed, &Agreed)| Outcome {
            stored: agreed.may_stay(now),
            rejections: one.rejections.clone(),
        };
        let outcomes: Vec<Outcome> = registrations.iter().zip(&agreed).map(outcome).collect();
        let ids = registrations.iter().map(|one| one.subject_id.as_str());
        let known = writer.known(tx, ids).await?;
        if known.is_empty() && outcomes.iter().all(|outcome| !outcome.stored) {
            // There is nothing to keep of these people, not even that somebody asked.
            return Ok(outcomes);
        }
        let version = self.storing_version(tx).await?;
        let entry = |(one, agreed): (&Keyed, Agreed)| one.entry(agreed, version);
        let entries: Vec<_> = registrations.iter().zip(agreed).map(entry).collect();
        let index = self.directory.index();
        let holders = |keys: &[MatchKey]| {
            let mut holders = Vec::with_capacity(keys.len());
            index.probe_many(keys, &mut holders);
            holders
        };
        writer.settle(tx, &entries, &known, holders, version, now).await?;
        requests::record(tx, request, &outcomes, now).await?;
        Ok(outcomes)
    }

    /// Runs work that only computes, beside the calls that wait for others.
    pub(crate) async fn compute<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        compute(work).await.map_err(|_| Error::Internal("a computation panicked"))
    }

    /// The secrets, for work beside the calls.
    pub(crate) fn key_secrets(&self) -> Arc<Secrets> {
        self.secrets.clone()
    }
}
