//! Registering identifiers: only of people who agreed to the transfer, only as match keys.

use std::sync::Arc;

use identifiers::{MatchKey, MatchKeySecret, Region};
use serde::{Deserialize, Serialize};
use service_kit::compute::compute;

use crate::{
    consent::Grant,
    domain::{Refusal, Row},
    error::Error,
    service::Service,
    store::{RequestKey, Tx, directory},
};

/// One person's identifiers, keyed.
#[derive(Debug)]
pub(crate) struct Keyed {
    subject_id: String,
    keys: Vec<MatchKey>,
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
        secret: &MatchKeySecret,
    ) -> Self {
        let mut keyed = Self { subject_id, keys: Vec::new(), rejections: Vec::new() };
        for (index, row) in (0_u32..).zip(rows) {
            match row.registered(region) {
                Ok((kind, digests)) => {
                    let keys = digests.iter().map(|digest| secret.match_key(kind, digest));
                    keyed.keys.extend(keys);
                }
                Err(refusal) => keyed.rejections.push((index, refusal)),
            }
        }
        keyed.keys.sort_unstable();
        keyed.keys.dedup();
        keyed
    }
}

impl Service {
    /// Applies registrations together. Whoever has not agreed to the transfer is not stored, and
    /// what was stored of them is removed.
    pub(crate) async fn put_identifiers(
        &self,
        request: &RequestKey,
        registrations: Vec<Keyed>,
    ) -> Result<Vec<Outcome>, Error> {
        let subjects = registrations.iter().map(|one| one.subject_id.clone()).collect();
        let grants = self.consent.transfers(subjects).await?;
        let now = self.now();
        let held = |grant: &Option<Grant>| {
            grant.filter(|grant| grant.valid_until.is_none_or(|until| now < until))
        };
        let grants: Vec<Option<Grant>> = grants.iter().map(held).collect();

        let entries: Vec<directory::Entry> = registrations
            .iter()
            .zip(&grants)
            .map(|(one, grant)| directory::Entry {
                subject_id: one.subject_id.clone(),
                keys: grant.map(|_| one.keys.clone()).unwrap_or_default(),
                valid_until: grant.and_then(|grant| grant.valid_until),
                revision: grant.map_or(0, |grant| grant.revision),
            })
            .collect();
        let outcome = |(one, grant): (Keyed, Option<Grant>)| Outcome {
            stored: grant.is_some(),
            rejections: one.rejections,
        };
        let nobody_agreed = grants.iter().all(Option::is_none);
        let outcomes: Vec<Outcome> = registrations.into_iter().zip(grants).map(outcome).collect();
        let subject_ids: Vec<&str> =
            entries.iter().map(|entry| entry.subject_id.as_str()).collect();
        if nobody_agreed && !directory::has_any(self.store.reads(), &subject_ids).await? {
            // There is nothing to keep of these people, not even that somebody asked.
            return Ok(outcomes);
        }

        let version = self.secret.version();
        let (entries, outcomes) = (&entries, &outcomes);
        let put = |tx: Tx| async move {
            directory::put(&tx, entries, version, now).await?;
            Ok(outcomes.clone())
        };
        let answer = self.store.once_locking(request, now, put).await?;
        if let Err(error) = self.directory.catch_up().await {
            // It is stored; the index will follow.
            tracing::warn!(%error, "the directory's changes cannot be read");
        }
        Ok(answer)
    }

    /// Runs work that only computes, beside the calls that wait for others.
    pub(crate) async fn compute<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        compute(work).await.map_err(|_| Error::Internal("a computation panicked"))
    }

    /// The secret, for work beside the calls.
    pub(crate) fn key_secret(&self) -> Arc<MatchKeySecret> {
        self.secret.clone()
    }
}
