//! What this service is told, beside what every process of Assent is told.

use std::{fs, io, path::PathBuf};

use identifiers::{MatchKeySecret, SecretTooShort};
use serde::{Deserialize, Serialize};
use service_kit::{
    client::ClientConfig,
    config::{Secret, Span},
    store::StoreConfig,
};

use crate::domain::{
    quota::Bucket,
    ranking::{Tuning, Weights, WeightsInvalid},
};

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
    /// What people say about suggestions.
    pub feedback: FeedbackConfig,
    /// Reports and risky accounts.
    pub spam: SpamConfig,
    /// The graph in memory.
    pub graph: GraphConfig,
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
    /// Without it nothing that a person does or says counts for or against an account's risk, and
    /// their own account has none. Default `social.fight_spam`.
    pub spam: String,
    /// With it a person may be named to somebody as a mutual connection. Default empty: nobody is
    /// named.
    pub name_connections: String,
}

impl Default for PurposeConfig {
    fn default() -> Self {
        Self {
            transfer: "messenger.share_phone".to_owned(),
            friend_suggestions: "social.friend_suggestions".to_owned(),
            spam: "social.fight_spam".to_owned(),
            name_connections: String::new(),
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
    /// The file with the model's weights, as `bench suggest quality --fit` writes it. It is read at
    /// the start. Default: none, the weights that are shipped.
    pub weights: Option<String>,
    /// How often it is found out anew who is popular among whom, for people of whom little is known:
    /// some seconds of one core for a million people. Default 10 min.
    pub communities_interval: Span,
    /// How many times as many candidates as at first are looked at when too few of those have agreed,
    /// each time with one more check of consent, and one more to begin with. Default 3.
    pub max_rounds: usize,
    /// How often a person is shown within a day at one replica before others are preferred to
    /// them. Does not count for people who are in the viewer's contacts. At most 65,535; more is
    /// never reached. Default 500.
    pub max_shown_per_day: u32,
}

impl Default for RankingConfig {
    fn default() -> Self {
        Self {
            beta: 0.75,
            gamma: 0.1,
            work_budget: 50_000,
            min_mutual_connections: 2,
            weights: None,
            communities_interval: Span::from_secs(600),
            max_rounds: 3,
            max_shown_per_day: 500,
        }
    }
}

/// The table `feedback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedbackConfig {
    /// How long somebody is not suggested to a person who is not interested. Longer holds for
    /// dismissals from then on only. Default 180 days.
    pub dismissed_for: Span,
    /// The most people whom one person keeps away so at a time; one more is refused until one of
    /// them is over. Each is a row in the store and some 100 bytes in memory. Default 10,000.
    pub max_dismissed_per_person: u64,
}

impl Default for FeedbackConfig {
    fn default() -> Self {
        Self { dismissed_for: Span::from_secs(180 * 86_400), max_dismissed_per_person: 10_000 }
    }
}

/// The table `spam`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct SpamConfig {
    /// Accounts with a score above this are not suggested. The score for that leaves out whom the
    /// account uploaded, so it may be lower than the one that `GetSpamRisk` tells. Between 0 and
    /// 1; 1 suggests everybody. Default 0.8.
    pub max_risk: f64,
    /// How long a report is kept and counts. Default 90 days.
    pub reports_for: Span,
    /// The most accounts that one person reports within that time; one more is refused until one
    /// of them is over. Each is a row in the store. Default 1,000.
    pub max_reports_per_person: u64,
    /// The most people of each kind who are looked at for one score (those who block or reported
    /// the account, its contacts, …): the newest, where that is known. Each is asked about in
    /// the check of consent, which takes 10,000 in one call. Default 1,500.
    pub max_people: usize,
    /// How often it is looked whether the risk of accounts is to be computed anew because of what
    /// other replicas were told; what this one was told is not waited for. Default 10 s.
    pub review_interval: Span,
}

impl Default for SpamConfig {
    fn default() -> Self {
        Self {
            max_risk: 0.8,
            reports_for: Span::from_secs(90 * 86_400),
            max_reports_per_person: 1_000,
            max_people: 1_500,
            review_interval: Span::from_secs(10),
        }
    }
}

/// The table `graph`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct GraphConfig {
    /// The file in which a replica keeps who is connected to whom, mapped into memory, so that its
    /// next start reads from the store only what changed since; each replica has its own. It has no
    /// identifiers. None by default: connections are in memory only, and each start reads them all.
    pub snapshot: Option<PathBuf>,
    /// How often it is written: more often than `changes.keep`, after which a change is not known
    /// one by one, and nobody may be in it whose erasure was acknowledged. Default 5 min.
    pub snapshot_interval: Span,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self { snapshot: None, snapshot_interval: Span::from_secs(300) }
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
    /// again. An erasure is acknowledged when no change names the person any more and the address
    /// books of others were read through, as often as this: after once to twice as long. Default
    /// 1 h.
    pub keep: Span,
    /// How long the answers to writes are kept: a write sent again later is done again. For as long
    /// it is remembered, by a keyed digest, who was erased: longer than anybody's token is good.
    /// Default 7 days.
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
    /// The file of weights cannot be read.
    #[error("ranking.weights: {0}: {1}")]
    WeightsUnreadable(String, io::Error),
    /// The file of weights cannot be used.
    #[error("ranking.weights: {0}: {1}")]
    Weights(String, WeightsInvalid),
    /// A purpose is not named.
    #[error("purposes.transfer, .friend_suggestions and .spam must not be empty")]
    Purpose,
    /// A score that no account can be above, or all are.
    #[error("spam.max_risk must be between 0 and 1")]
    Risk,
    /// A snapshot that would be of no use.
    #[error("graph.snapshot_interval must be shorter than changes.keep")]
    SnapshotInterval,
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
    ///
    /// # Errors
    /// When the service would not start with it.
    pub fn tuning(&self) -> Result<Tuning, ConfigInvalid> {
        let RankingConfig { beta, gamma, work_budget, min_mutual_connections, max_rounds, .. } =
            self.ranking;
        if ![beta, gamma].iter().all(|exponent| (0.0..=4.0).contains(exponent)) {
            return Err(ConfigInvalid::Exponent);
        }
        let counts = [
            ("ranking.min_mutual_connections", min_mutual_connections),
            ("ranking.max_rounds", max_rounds),
            ("contacts.max_per_sync", self.contacts.max_per_sync),
            ("spam.max_people", self.spam.max_people),
        ];
        let bounds = [
            ("feedback.max_dismissed_per_person", self.feedback.max_dismissed_per_person),
            ("spam.max_reports_per_person", self.spam.max_reports_per_person),
            ("ranking.max_shown_per_day", self.ranking.max_shown_per_day.into()),
        ];
        if let Some((name, _)) = bounds.iter().find(|(_, bound)| *bound == 0) {
            return Err(ConfigInvalid::Zero(name));
        }
        if !(0.0..=1.0).contains(&self.spam.max_risk) {
            return Err(ConfigInvalid::Risk);
        }
        if self.blocks.max_per_person == 0 {
            return Err(ConfigInvalid::Zero("blocks.max_per_person"));
        }
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(ConfigInvalid::Zero(name));
        }
        if self.graph.snapshot.is_some()
            && self.graph.snapshot_interval.get() >= self.changes.keep.get()
        {
            return Err(ConfigInvalid::SnapshotInterval);
        }
        let PurposeConfig { transfer, friend_suggestions, spam, .. } = &self.purposes;
        if [transfer, friend_suggestions, spam].iter().any(|purpose| purpose.is_empty()) {
            return Err(ConfigInvalid::Purpose);
        }
        let weights = self.ranking.read_weights()?;
        Ok(Tuning { beta, gamma, work_budget, min_mutuals: min_mutual_connections, weights })
    }
}

impl RankingConfig {
    fn read_weights(&self) -> Result<Weights, ConfigInvalid> {
        let Some(path) = &self.weights else { return Ok(Weights::default()) };
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigInvalid::WeightsUnreadable(path.clone(), error))?;
        Weights::parse(&text).map_err(|invalid| ConfigInvalid::Weights(path.clone(), invalid))
    }
}
