//! What this service is told.

use serde::{Deserialize, Serialize};
use service_kit::{
    config::{Secret, Span},
    store::StoreConfig,
};

pub use crate::{
    cache::CacheConfig,
    receipt::{ControllerConfig, ReceiptConfig},
    writer::WriterConfig,
};

/// The service's own configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsentConfig {
    /// Where subjects, events and policies are kept. `store.url` must be set.
    pub store: StoreConfig,
    /// How writes are gathered into commits.
    pub writer: WriterConfig,
    /// Where answers are kept.
    pub cache: CacheConfig,
    /// PostgreSQL: how many statements may be under way at once for checks that miss the cache, and
    /// how many more for batches of them.
    pub readers: usize,
    /// The feed of changes.
    pub feed: FeedConfig,
    /// The services that keep copies and must erase what is erased here, by the names that their
    /// tokens carry.
    pub followers: Vec<String>,
    /// Receipts: who signs them, and for whom.
    pub receipts: ReceiptConfig,
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
            cache: CacheConfig::default(),
            readers: 4,
            feed: FeedConfig::default(),
            followers: vec!["audience-svc".to_owned(), "suggest-svc".to_owned()],
            receipts: ReceiptConfig::default(),
            page_token_secret: Secret::default(),
            request_retention: Span::from_secs(7 * 86_400),
        }
    }
}

/// How changes are told to those who follow them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedConfig {
    /// How long entries are kept. Who was away for longer must start from a fresh copy. Default 7
    /// days.
    pub retention: Span,
    /// How often entries of other replicas are looked for; deadlines that have passed are looked for
    /// a fifth as often.
    pub poll: Span,
    /// How often a follower to whom there is nothing to tell is told so.
    pub checkpoint: Span,
    /// How long a follower may take to accept a step before its stream is ended.
    pub patience: Span,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            retention: Span::from_secs(7 * 86_400),
            poll: Span::from_millis(20),
            checkpoint: Span::from_secs(1),
            patience: Span::from_secs(30),
        }
    }
}
