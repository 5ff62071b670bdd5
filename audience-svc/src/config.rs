//! What this service is told.

use std::{num::NonZeroU32, path::PathBuf};

use serde::{Deserialize, Serialize};
use service_kit::{
    client::ClientConfig,
    config::{Secret, Span},
    store::StoreConfig,
};

/// The configuration of audience-svc, beside what every process has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct AudienceConfig {
    /// Where the directory, lists and uploads are kept.
    pub store: StoreConfig,
    /// Where consent-svc is. Without an answer from it nothing is registered and nobody listed.
    pub consent: ClientConfig,
    /// Which purposes of the policies this service acts under.
    pub purposes: PurposeConfig,
    /// The secret under which identifiers are stored.
    pub match_keys: MatchKeyConfig,
    /// Limits of uploads.
    pub uploads: UploadConfig,
    /// How much is told about the sizes of lists.
    pub releases: ReleaseConfig,
    /// How indexes follow the directory.
    pub directory: DirectoryConfig,
    /// What is counted of how often people use the apps.
    pub usage: UsageConfig,
    /// How long it is remembered which requests were done: a request sent again later than that is
    /// done again. Uploads that have ended are forgotten after as long. Default 7 days.
    pub request_retention: Span,
    /// How often what has ended is cleared away. It counts for nothing from the moment it ends,
    /// whether or not it is cleared away. Default 1 min.
    pub housekeeping_interval: Span,
}

/// Purposes, as the policies name them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PurposeConfig {
    /// The TRANSFER purpose under which identifiers may be stored here. Default
    /// `messenger.share_phone`.
    pub transfer: String,
    /// The USE purpose under which people may be counted and targeted. Default `social.ads`.
    pub ads: String,
    /// The USE purpose under which people are counted in usage metrics. Default
    /// `social.usage_metrics`.
    pub usage: String,
}

/// The secret that makes match keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchKeyConfig {
    /// At least 32 bytes that no other service has; usually `file:PATH`. People are found only by
    /// keys made with it or with one of `older`. `docs/rotate-match-keys.md` says how to replace
    /// it. No default: without one the service does not start.
    pub secret: Secret,
    /// The number under which keys made with it are stored: a higher one for a newer secret. It is
    /// used once every replica that runs has it; until then people are keyed under the newest
    /// version that all of them have. Default 1.
    pub version: u16,
    /// Secrets of before, for as long as not everybody is registered anew under the newest: people
    /// are found under these as well. None by default.
    pub older: Vec<OlderSecret>,
}

/// A secret of before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OlderSecret {
    /// As it was.
    pub secret: Secret,
    /// Its number: 1 or more, and lower than that of the newest.
    pub version: u16,
}

/// Limits of uploads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct UploadConfig {
    /// How long after its last batch an open upload ends. Default 1 day.
    pub idle_timeout: Span,
    /// How long after it was opened an upload ends, whatever still comes. Default 7 days.
    pub max_age: Span,
    /// The most batches of one upload; a higher number is refused. Default 1,000,000.
    pub max_batches: u32,
    /// The most open uploads of one business; until one of them ends another is refused. With
    /// `max_batches` it bounds what a business can have stored here without committing it.
    /// Default 100.
    pub max_open: u32,
}

/// How much is told about the sizes of lists. `docs/privacy.md` has the arithmetic.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ReleaseConfig {
    /// How many fresh releases a legal owner gets in any 30 days. The noise of each grows with it:
    /// its standard deviation is 3.98 times the square root. Default 300: 69 people.
    pub per_window: NonZeroU32,
    /// How many it ever gets, if that is limited too. Default: it is not.
    pub ever: Option<u64>,
}

/// How indexes follow the directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectoryConfig {
    /// How often a replica looks for changes that others made, of the directory and of lists. Each
    /// upload stream looks once at its beginning too. Default 200 ms.
    pub poll_interval: Span,
    /// How long changes are kept for indexes to follow. A replica that falls behind further than
    /// that loads everything anew. An erasure is acknowledged after as long, when the keys are out of
    /// them too. Default 10 min.
    pub change_retention: Span,
    /// The file in which a replica keeps its index for its next start, which then reads from the
    /// database only what changed since; each replica has its own. What is in it leads to nobody
    /// without the database and the secret. None by default: each start reads everybody.
    pub snapshot: Option<PathBuf>,
    /// How often it is written, beside once at the end: more often than `change_retention`, so that
    /// nobody is in it any more whose erasure was acknowledged. Default 5 min.
    pub snapshot_interval: Span,
}

/// What is counted of how often people use the apps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageConfig {
    /// Every app whose activity is taken; that of others is refused. One person can be in the figures
    /// of all of them, so the noise of each figure grows with the root of their number plus one.
    /// Changed, it holds for days that are drawn later. Default `messenger` and `social`.
    pub apps: Vec<String>,
}

impl Default for AudienceConfig {
    fn default() -> Self {
        Self {
            store: StoreConfig::default(),
            consent: ClientConfig::default(),
            purposes: PurposeConfig::default(),
            match_keys: MatchKeyConfig::default(),
            uploads: UploadConfig::default(),
            releases: ReleaseConfig::default(),
            directory: DirectoryConfig::default(),
            usage: UsageConfig::default(),
            request_retention: Span::from_secs(7 * 86_400),
            housekeeping_interval: Span::from_secs(60),
        }
    }
}

impl Default for PurposeConfig {
    fn default() -> Self {
        Self {
            transfer: "messenger.share_phone".to_owned(),
            ads: "social.ads".to_owned(),
            usage: "social.usage_metrics".to_owned(),
        }
    }
}

impl Default for MatchKeyConfig {
    fn default() -> Self {
        Self { secret: Secret::default(), version: 1, older: Vec::new() }
    }
}

impl Default for UploadConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Span::from_secs(86_400),
            max_age: Span::from_secs(7 * 86_400),
            max_batches: 1_000_000,
            max_open: 100,
        }
    }
}

impl Default for UsageConfig {
    fn default() -> Self {
        Self { apps: ["messenger", "social"].map(str::to_owned).to_vec() }
    }
}

impl Default for ReleaseConfig {
    fn default() -> Self {
        const { Self { per_window: NonZeroU32::new(300).unwrap(), ever: None } }
    }
}

impl Default for DirectoryConfig {
    fn default() -> Self {
        Self {
            poll_interval: Span::from_millis(200),
            change_retention: Span::from_secs(600),
            snapshot: None,
            snapshot_interval: Span::from_secs(300),
        }
    }
}
