//! What this service is told.

use serde::{Deserialize, Serialize};
use service_kit::{
    config::{Secret, Span},
    store::StoreConfig,
};

pub use crate::store::WriterConfig;

/// The service's own configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsentConfig {
    /// Where subjects, events and policies are kept. `store.url` must be set.
    pub store: StoreConfig,
    /// How writes are gathered into commits.
    pub writer: WriterConfig,
    /// Seals page tokens. Replicas must share it, or a list begun at one cannot go on at another.
    /// Empty: made anew at every start.
    pub page_token_secret: Secret,
    /// How long it is remembered which writes were done: a write sent again later than that is done
    /// again. Default 7 days.
    pub request_retention: Span,
}

impl Default for ConsentConfig {
    fn default() -> Self {
        Self {
            store: StoreConfig::default(),
            writer: WriterConfig::default(),
            page_token_secret: Secret::default(),
            request_retention: Span::from_secs(7 * 86_400),
        }
    }
}
