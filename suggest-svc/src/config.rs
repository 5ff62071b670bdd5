//! What this service is told, beside what every process of Assent is told.

use identifiers::{MatchKeySecret, SecretTooShort};
use serde::{Deserialize, Serialize};
use service_kit::{
    client::ClientConfig,
    config::{Secret, Span},
    store::StoreConfig,
};

use crate::domain::{quota::Bucket, ranking::Tuning};

/// The service's own keys, at the top level of the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SuggestConfig {
    /// Where everything is kept.
    pub store: StoreConfig,
    /// Where consent-svc is. Without it nothing is stored and nobody suggested.
    pub consent: ClientConfig,
    /// The keys under which identifiers are kept.
    pub match_keys: MatchKeyConfig,
    /// The purposes that people consent to.
    pub purposes: PurposeConfig,
    /// Address books.
    pub contacts: ContactConfig,
    /// Whom people block.
    pub blocks: BlockConfig,
    /// Who is suggested and in which order.
    pub ranking: RankingConfig,
    /// How replicas follow each other, and how long answers are remembered.
    pub changes: ChangeConfig,
}

/// The table `match_keys`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchKeyConfig {
    /// At least 32 random bytes, this service's own: identifiers are stored only as keyed with it,
    /// and page tokens are sealed with it. All replicas have the same. With another one nobody is
    /// found until identifiers and address books are sent again. No default: the service does not
    /// start without.
    pub secret: Secret,
}

/// The table `purposes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct PurposeConfig {
    /// Without it nothing about a person is stored. Default `messenger.share_phone`.
    pub transfer: String,
    /// Without it a person is suggested nobody, to nobody, and is nobody's mutual connection.
    /// Default `social.friend_suggestions`.
    pub friend_suggestions: String,
}

impl Default for PurposeConfig {
    fn default() -> Self {
        Self {
            transfer: "messenger.share_phone".to_owned(),
            friend_suggestions: "social.friend_suggestions".to_owned(),
        }
    }
}

/// The table `contacts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ContactConfig {
    /// The most contacts of one sync, and entries of one address book: 16 bytes each in the store,
    /// some 300 in memory during the sync. More are refused. Default 20,000.
    pub max_per_sync: usize,
    /// The most contacts that one account may bring at once that it has not brought before, hit or
    /// miss: a sync with more is refused whole. What it has brought takes 5 bytes in the store for
    /// each form of each (of a phone number, two). Default 5,000.
    pub burst: u64,
    /// How long it takes until a whole burst may be brought again. Default 30 days.
    pub refill: Span,
    /// The most contacts that all accounts together may newly find at once in one range of 10,000
    /// phone numbers (the country code and all digits but the last four). Beyond it whoever brings a
    /// number of that range is answered as if nobody were found by it. docs/privacy.md has the
    /// arithmetic. Default 150,000.
    pub range_burst: u64,
    /// How long it takes until as many may be found again. Default 30 days.
    pub range_refill: Span,
}

impl Default for ContactConfig {
    fn default() -> Self {
        Self {
            max_per_sync: 20_000,
            burst: 5_000,
            refill: Span::from_secs(30 * 86_400),
            range_burst: 150_000,
            range_refill: Span::from_secs(30 * 86_400),
        }
    }
}

/// The table `blocks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockConfig {
    /// The most people that one person blocks; one more is refused. Each is a row in the store and
    /// some 100 bytes in memory, whether or not there is such a person. Default 10,000.
    pub max_per_person: u64,
}

impl Default for BlockConfig {
    fn default() -> Self {
        Self { max_per_person: 10_000 }
    }
}

/// The table `ranking`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct RankingConfig {
    /// How much less a mutual connection counts who knows many people: each counts
    /// `degree^-beta`. Default 0.75.
    pub beta: f64,
    /// The same for who is suggested. Default 0.1.
    pub gamma: f64,
    /// The most connections looked at for one list, those of people who know few first. More finds
    /// more around hubs and takes longer (some 20 ns each). Default 50,000.
    pub work_budget: usize,
    /// The fewest mutual connections, all of whom agreed, for which somebody is suggested. Below 2
    /// a person with one friend can read that friend's list. Default 2.
    pub min_mutual_connections: usize,
    /// How often more candidates are looked at, each time with one more check of consent, when too
    /// few of those before have agreed. Default 3.
    pub max_rounds: usize,
}

impl Default for RankingConfig {
    fn default() -> Self {
        Self {
            beta: 0.75,
            gamma: 0.1,
            work_budget: 50_000,
            min_mutual_connections: 2,
            max_rounds: 3,
        }
    }
}

/// The table `changes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeConfig {
    /// How often a replica follows the others' writes when nobody asks it anything; whoever asks
    /// gets an answer that has them all. Default 1 s.
    pub follow_interval: Span,
    /// How long changes are kept one by one. A replica that was away for longer reads everything
    /// again. Default 1 h.
    pub keep: Span,
    /// How long the answers to writes are kept: a write sent again later is done again. Default
    /// 7 days.
    pub keep_requests: Span,
}

impl Default for ChangeConfig {
    fn default() -> Self {
        Self {
            follow_interval: Span::from_secs(1),
            keep: Span::from_secs(3_600),
            keep_requests: Span::from_secs(7 * 86_400),
        }
    }
}

/// A configuration with which the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum ConfigInvalid {
    /// The match key secret is missing or short.
    #[error("match_keys.secret: {0}")]
    Secret(#[from] SecretTooShort),
    /// An exponent that makes no sense.
    #[error("ranking.beta and ranking.gamma must be between 0 and 4")]
    Exponent,
    /// A purpose is not named.
    #[error("purposes.transfer and purposes.friend_suggestions must not be empty")]
    Purpose,
    /// A bucket that would never take anything, or never be full.
    #[error("contacts.{0} must be at least 1, and {1} a millisecond for each")]
    Bucket(&'static str, &'static str),
    /// A number that would turn the service off.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
}

impl SuggestConfig {
    /// The secret, ready to use.
    pub(crate) fn match_key_secret(&self) -> Result<MatchKeySecret, ConfigInvalid> {
        Ok(MatchKeySecret::new(1, self.match_keys.secret.expose().as_bytes())?)
    }

    /// How many contacts an account may bring, and how soon.
    pub(crate) fn contact_bucket(&self) -> Result<Bucket, ConfigInvalid> {
        let ContactConfig { burst, refill, .. } = self.contacts;
        Bucket::new(burst, refill.get()).ok_or(ConfigInvalid::Bucket("burst", "refill"))
    }

    /// How many contacts may be found in one range of numbers, and how soon.
    pub(crate) fn range_bucket(&self) -> Result<Bucket, ConfigInvalid> {
        let ContactConfig { range_burst, range_refill, .. } = self.contacts;
        let invalid = ConfigInvalid::Bucket("range_burst", "range_refill");
        Bucket::new(range_burst, range_refill.get()).ok_or(invalid)
    }

    /// The ranking's knobs.
    pub(crate) fn tuning(&self) -> Result<Tuning, ConfigInvalid> {
        let RankingConfig { beta, gamma, work_budget, min_mutual_connections, max_rounds } =
            self.ranking;
        if ![beta, gamma].iter().all(|exponent| (0.0..=4.0).contains(exponent)) {
            return Err(ConfigInvalid::Exponent);
        }
        let counts = [
            ("ranking.min_mutual_connections", min_mutual_connections),
            ("ranking.max_rounds", max_rounds),
            ("contacts.max_per_sync", self.contacts.max_per_sync),
        ];
        if self.blocks.max_per_person == 0 {
            return Err(ConfigInvalid::Zero("blocks.max_per_person"));
        }
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(ConfigInvalid::Zero(name));
        }
        if self.purposes.transfer.is_empty() || self.purposes.friend_suggestions.is_empty() {
            return Err(ConfigInvalid::Purpose);
        }
        Ok(Tuning { beta, gamma, work_budget, min_mutuals: min_mutual_connections })
    }
}
