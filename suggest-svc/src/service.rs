//! What the use cases share.

use std::sync::Arc;

use identifiers::MatchKeySecret;
use service_kit::{clock::Clock, grpc::PageTokens};

use crate::{
    config::{PurposeConfig, SuggestConfig},
    consents::Consents,
    domain::{quota::Bucket, ranking::Tuning},
    live::Live,
    ranges::Ranges,
    seal::{ContactSeal, Seal},
    store::Store,
};

/// The service's parts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Suggest(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) live: Live,
    pub(crate) consents: Consents,
    pub(crate) secret: MatchKeySecret,
    pub(crate) seal: Seal,
    pub(crate) contact_seal: ContactSeal,
    pub(crate) page_tokens: PageTokens,
    pub(crate) purposes: PurposeConfig,
    pub(crate) tuning: Tuning,
    pub(crate) max_rounds: usize,
    pub(crate) max_contacts: usize,
    pub(crate) contact_bucket: Bucket,
    pub(crate) ranges: Ranges,
    pub(crate) max_blocks: u64,
}

impl std::ops::Deref for Suggest {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Suggest {
    /// Puts the parts together.
    pub(crate) fn new(
        clock: Clock,
        store: Store,
        live: Live,
        consents: Consents,
        config: &SuggestConfig,
    ) -> Result<Self, crate::config::ConfigInvalid> {
        let ranges = Ranges::new(store.clone(), clock.clone(), config.range_bucket()?);
        Ok(Self(Arc::new(Parts {
            clock,
            store,
            live,
            consents,
            secret: config.match_key_secret()?,
            seal: Seal::new(config.match_keys.secret.expose().as_bytes()),
            contact_seal: ContactSeal::new(config.match_keys.secret.expose().as_bytes()),
            page_tokens: PageTokens::new(config.match_keys.secret.expose().as_bytes()),
            purposes: config.purposes.clone(),
            tuning: config.tuning()?,
            max_rounds: config.ranking.max_rounds,
            max_contacts: config.contacts.max_per_sync,
            contact_bucket: config.contact_bucket()?,
            ranges,
            max_blocks: config.blocks.max_per_person,
        })))
    }
}
