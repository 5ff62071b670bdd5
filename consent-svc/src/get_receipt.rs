//! Giving a receipt of an event.

use std::sync::Arc;

use service_kit::{clock::UnixMillis, store::StoreError};

use crate::{
    domain::{Event, EventContent, Moment, Policies, Subject},
    error::Error,
    receipt::{Issue, PublicKey, ReceiptConfig, SigningKey, record},
    store::{Proof, Store},
};

/// A record, and what vouches for it.
#[derive(Debug)]
pub(crate) struct Signed {
    /// The record as canonical JSON.
    pub(crate) record: Vec<u8>,
    /// The signature over it.
    pub(crate) signature: [u8; 64],
    /// Of the key that signed.
    pub(crate) key_id: String,
}

/// Writes and signs receipts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registrar {
    store: Store,
    config: Arc<ReceiptConfig>,
    /// All that ever signed; the first does now.
    keys: Arc<[PublicKey]>,
}

impl Registrar {
    /// Who signs with the configured key, or with one made now.
    pub(crate) fn new(store: &Store, mut config: ReceiptConfig, now: UnixMillis) -> Self {
        if config.signing_key.is_empty() {
            tracing::warn!(
                "receipts.signing_key is not set: receipts cannot be verified after a restart"
            );
            config.signing_key = SigningKey::generate();
            config.not_before.0 = Moment::from_millis(now.get());
        }
        if config.controller.name.is_empty() {
            tracing::warn!("receipts.controller.name is not set: receipts do not name who answers");
        }
        let signing = config.signing_key.public(config.not_before.0);
        let mut keys: Vec<PublicKey> = signing.into_iter().collect();
        for retired in config.retired_keys.iter().map(crate::receipt::RetiredKey::key) {
            if keys.iter().all(|known| known.id() != retired.id()) {
                keys.push(retired);
            }
        }
        Self { store: store.clone(), config: Arc::new(config), keys: keys.into() }
    }

    /// All that ever signed.
    pub(crate) fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// The receipt of an event. Of an erased subject there is only that of its erasure.
    pub(crate) async fn receipt(&self, subject_id: &str, event_id: &str) -> Result<Signed, Error> {
        let Found { policies, event, proof, subject } = self.find(subject_id, event_id).await?;
        let jurisdiction = subject.as_ref().map(|subject| subject.attributes.jurisdiction.code());
        let record = record(Issue {
            subject_id,
            event: &event,
            proof: &proof,
            policies: &policies,
            jurisdiction: jurisdiction.filter(|code| !code.is_empty()),
            controller: &self.config.controller,
            issued_at: self.store.now().latest,
        });
        let broken = |why: &str| Error::Store(StoreError::Other(why.to_owned()));
        let record =
            record.ok_or_else(|| broken("an event is about a policy that is not there"))?;
        let record = serde_json_canonicalizer::to_vec(&record)
            .map_err(|_| broken("a record cannot be written"))?;
        let signature = self.config.signing_key.sign(&record);
        let (Some(signature), Some(key)) = (signature, self.keys.first()) else {
            return Err(broken("there is no key to sign with"));
        };
        Ok(Signed { record, signature, key_id: key.id().to_owned() })
    }

    /// An event, once the whole history is known to lead to its subject's head: nothing is signed
    /// that is not vouched for.
    async fn find(&self, subject_id: &str, event_id: &str) -> Result<Found, Error> {
        let revision = event_id.split_once('-').and_then(|(revision, _)| revision.parse().ok());
        // For a subject that is not there, that is what is wrong, whatever the event.
        let mut history = self.store.history(subject_id).await?.ok_or(Error::SubjectUnknown)?;
        let (mut found, mut subject, mut erased) = (None, None, false);
        while let Some(page) = history.next().await? {
            for (event, proof) in page {
                erased |= event.content == EventContent::Erased;
                if found.is_some() {
                    continue;
                }
                subject = Subject::then(subject, &history.policies, &event);
                if Some(event.revision) == revision && event.id() == event_id {
                    found = Some((event, proof));
                }
            }
        }
        let (event, proof) = found.ok_or(Error::RecordUnknown)?;
        // Even if what it said was still there to be read.
        if erased && event.content != EventContent::Erased {
            return Err(Error::SubjectErased);
        }
        Ok(Found { policies: history.policies, event, proof, subject })
    }
}

/// An event of which a receipt can be given.
struct Found {
    policies: Arc<Policies>,
    event: Event,
    proof: Proof,
    /// The subject after it.
    subject: Option<Subject>,
}
