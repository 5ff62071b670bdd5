//! Registering identifiers: only of people who agreed to the transfer, only as match keys.

use std::{collections::HashSet, sync::Arc, time::Duration};

use identifiers::{MatchKey, Region};
use serde::{Deserialize, Serialize};
use service_kit::{clock::UnixMillis, compute::compute};
use tokio::{time::timeout, try_join};

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

    /// What the caller is told.
    fn outcome(&self, agreed: Agreed, now: UnixMillis) -> Outcome {
        Outcome { stored: agreed.may_stay(now), rejections: self.rejections.clone() }
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

/// A message of registrations.
#[derive(Debug)]
pub(crate) struct Registering {
    pub(crate) key: RequestKey,
    pub(crate) people: Vec<Keyed>,
}

impl Registering {
    /// Who is named in it.
    pub(crate) fn subjects(&self) -> HashSet<String> {
        self.people.iter().map(|one| one.subject_id.clone()).collect()
    }
}

impl Service {
    /// Applies messages of registrations together; nobody is named twice in them. Whoever has not
    /// agreed to the transfer is not stored, and what was stored of them is removed.
    ///
    /// consent-svc is asked while nobody else can change the directory: whoever withdraws after its
    /// answer is removed by the follower of its feed, who waits until these are stored.
    pub(crate) async fn put_identifiers(
        &self,
        messages: &[Registering],
    ) -> Result<Vec<Vec<Outcome>>, Error> {
        // They take turns in the database anyway: so that one connection waits there, not all.
        let _turn = self.registering.lock().await;
        let put = |tx: Tx| async move {
            let writer = directory::begin(&tx).await?;
            let keys: Vec<&RequestKey> = messages.iter().map(|one| &one.key).collect();
            let mut outcomes: Vec<Option<Vec<Outcome>>> = requests::replays(&*tx, &keys).await?;
            let new: Vec<&Registering> = messages
                .iter()
                .zip(&outcomes)
                .filter_map(|(one, known)| known.is_none().then_some(one))
                .collect();
            if !new.is_empty() {
                let mut settled = self.settle(&tx, writer, &new).await?.into_iter();
                let open = outcomes.iter_mut().filter(|known| known.is_none());
                open.for_each(|known| *known = settled.next());
            }
            Ok(outcomes.into_iter().flatten().collect::<Vec<_>>())
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
        messages: &[&Registering],
    ) -> Result<Vec<Vec<Outcome>>, Error> {
        let people = || messages.iter().flat_map(|one| &one.people);
        let subjects = people().map(|one| one.subject_id.clone()).collect();
        let asked = async {
            let agreed = timeout(PATIENCE, self.consent.agreed(subjects)).await;
            agreed.map_err(|_| Error::ConsentTimeout)?
        };
        // Meanwhile.
        let read = async {
            self.directory.catch_up_in(&**tx).await?;
            let known = writer.known(tx, people().map(|one| one.subject_id.as_str())).await?;
            Ok((known, self.storing_version(tx).await?))
        };
        let (agreed, (known, version)) = try_join!(asked, read)?;
        let now = self.now();
        let mut answers = agreed.iter();
        let outcomes: Vec<Vec<Outcome>> = messages
            .iter()
            .map(|message| {
                let people = message.people.iter().zip(answers.by_ref());
                people.map(|(one, agreed)| one.outcome(*agreed, now)).collect()
            })
            .collect();
        // Of a message of which nobody is here or may be, nothing is kept, not even that it came.
        let concerns = |one: &Registering, outcomes: &[Outcome]| {
            outcomes.iter().any(|outcome| outcome.stored)
                || one.people.iter().any(|one| known.contains_key(&one.subject_id))
        };
        let kept: Vec<_> = messages
            .iter()
            .zip(&outcomes)
            .filter(|(one, outcomes)| concerns(one, outcomes))
            .map(|(one, outcomes)| (&one.key, outcomes))
            .collect();
        if kept.is_empty() {
            return Ok(outcomes);
        }
        let entries: Vec<_> =
            people().zip(agreed).map(|(one, agreed)| one.entry(agreed, version)).collect();
        let index = self.directory.index();
        let holders = |keys: &[MatchKey]| {
            let mut holders = Vec::with_capacity(keys.len());
            index.probe_many(keys, &mut holders);
            holders
        };
        writer.settle(tx, &entries, &known, holders, version, now).await?;
        requests::record_all(tx, &kept, now).await?;
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
