//! What the cache is told.

use serde::{Deserialize, Serialize};
use service_kit::config::{Secret, Span};

/// Where answers are kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheConfig {
    /// Redis primaries (7 or later) over which subjects are spread, each as
    /// `redis://:PASSWORD@HOST/DATABASE` or `rediss://…`. All replicas on a database must be told
    /// of the same ones, in the same order. Not a Redis Cluster: give several single primaries. Empty with
    /// PostgreSQL: nothing is kept. Empty with SQLite: answers are kept in the process, and the
    /// file is opened for it alone.
    pub redis: Vec<Secret>,
    /// How long a replica may rely on what it last read about the cache. When Redis fails, the first
    /// change after it waits a quarter longer than this. All replicas must have the same.
    pub lease: Span,
    /// How long Redis may take to answer before the database is asked instead.
    pub timeout: Span,
    /// How long an answer that nobody changes is kept in Redis.
    pub keep: Span,
    /// How long the cache stays closed after a failure, at least.
    pub reopen_after: Span,
    /// How many answers from Redis are compared with the database a second, at most. A stale yes
    /// counts in `consent_stale_yes`, which must stay 0.
    pub audits_per_second: u32,
    /// How many subjects are kept in the process, where they are kept there; some 200 bytes each.
    pub capacity: usize,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            redis: Vec::new(),
            lease: Span::from_secs(2),
            timeout: Span::from_millis(250),
            keep: Span::from_secs(86_400),
            reopen_after: Span::from_secs(5),
            audits_per_second: 20,
            capacity: 1_000_000,
        }
    }
}
