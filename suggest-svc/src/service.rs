//! What the use cases share.

use std::sync::Arc;

use identifiers::MatchKeySecret;
use service_kit::{clock::Clock, grpc::PageTokens};
use tokio::sync::Notify;

use crate::{
    config::{FeedbackConfig, PurposeConfig, SpamConfig, SuggestConfig},
    consents::Consents,
    domain::{quota::Bucket, ranking::Tuning},
    exposure::Exposure,
    following::Following,
    live::Live,
    ranges::Ranges,
    seal::{ContactSeal, Seal},
    spam::NewConnections,
    store::Store,
    suggestion_id::SuggestionIds,
};

/// The service's parts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Suggest(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) live: Live,
    pub(crate) consents: Consents,
    pub(crate) following: Following,
    pub(crate) secret: MatchKeySecret,
    pub(crate) seal: Seal,
    pub(crate) contact_seal: ContactSeal,
    pub(crate) page_tokens: PageTokens,
    pub(crate) suggestion_ids: SuggestionIds,
    pub(crate) purposes: PurposeConfig,
    pub(crate) tuning: Tuning,
    pub(crate) max_rounds: usize,
    pub(crate) max_contacts: usize,
    pub(crate) contact_bucket: Bucket,
    pub(crate) ranges: Ranges,
    pub(crate) max_blocks: u64,
    pub(crate) feedback: FeedbackConfig,
    pub(crate) spam: SpamConfig,
    pub(crate) exposure: Exposure,
    pub(crate) new_connections: NewConnections,
    /// Told when the risk of an account is to be computed.
    pub(crate) reviews: Notify,
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
        following: Following,
        config: &SuggestConfig,
    ) -> Result<Self, crate::config::ConfigInvalid> {
        let secret = config.match_keys.secret.expose().as_bytes();
        let ranges = Ranges::new(store.clone(), clock.clone(), config.range_bucket()?);
        Ok(Self(Arc::new(Parts {
            exposure: Exposure::new(clock.clone(), config.ranking.max_shown_per_day),
            clock,
            store,
            live,
            consents,
            following,
            secret: config.match_key_secret()?,
            seal: Seal::new(secret),
            contact_seal: ContactSeal::new(secret),
            page_tokens: PageTokens::new(secret),
            suggestion_ids: SuggestionIds::new(secret, &config.purposes),
            purposes: config.purposes.clone(),
            tuning: config.tuning()?,
            max_rounds: config.ranking.max_rounds,
            max_contacts: config.contacts.max_per_sync,
            contact_bucket: config.contact_bucket()?,
            ranges,
            max_blocks: config.blocks.max_per_person,
            feedback: config.feedback.clone(),
            spam: config.spam.clone(),
            new_connections: NewConnections::new(),
            reviews: Notify::new(),
        })))
    }
}
