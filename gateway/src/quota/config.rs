//! The `[quota]` table of the configuration.

use proto::options::v1::{QuotaClass, Role};
use serde::{Deserialize, Deserializer, Serialize};
use service_kit::config::{Secret, Span};

/// Nobody waits longer than this for the whole of a burst to be back.
const LONGEST_REFILL_SECONDS: f64 = 30.0 * 86_400.0;
/// Above it, calls are less than a microsecond apart.
const HIGHEST_RATE: f64 = 1e6;
/// More replicas than anybody has; keeps the arithmetic in range.
const MOST_REPLICAS: u32 = 10_000;
/// Fewer principals than this cannot be spread over the table's shards.
const FEWEST_PRINCIPALS: usize = 1_000;

/// How often callers may call, and how many calls they may have in progress. A caller is a
/// *principal*: the subject of a USER, the legal owner of a BUSINESS, the token's name in any other
/// role.
///
/// Each role has a table (`[quota.user]`), in which what is not given keeps its default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaConfig {
    /// Whether calls are counted at all. Default true.
    pub enabled: bool,
    /// The Redis primary (7 or later) by which replicas count together, as
    /// `redis://:PASSWORD@HOST/DATABASE` or `rediss://…`; usually `file:PATH`. Unset: each replica
    /// counts its own share alone.
    pub redis_url: Secret,
    /// How long Redis may take for one call before the replica's own share is asked instead: the
    /// most that a call waits for its quota. Default 50 ms.
    pub redis_timeout: Span,
    /// How many replicas the gateway has. Without Redis, and while it does not answer, each lets its
    /// share pass: `rate / replicas`, and `burst / replicas` (at least 1). Default 1.
    pub replicas: u32,
    /// How many principals are kept in memory, about 150 bytes each; those with nothing used and
    /// nothing in progress are not. At the bound, the half that has used least is forgotten and
    /// has its whole burst again. Default 500,000.
    pub max_principals: usize,
    /// For each data subject.
    #[serde(deserialize_with = "over::<_, { Role::User as i32 }>")]
    pub user: RoleQuota,
    /// For each legal owner of businesses, all its businesses together.
    #[serde(deserialize_with = "over::<_, { Role::Business as i32 }>")]
    pub business: RoleQuota,
    /// For each back end of the platform.
    #[serde(deserialize_with = "over::<_, { Role::App as i32 }>")]
    pub app: RoleQuota,
    /// For each ad server, by the name in its token: usually one for all its processes.
    #[serde(deserialize_with = "over::<_, { Role::AdServer as i32 }>")]
    pub ad_server: RoleQuota,
    /// For each operator.
    #[serde(deserialize_with = "over::<_, { Role::Admin as i32 }>")]
    pub admin: RoleQuota,
    /// For each process of Assent. They call each other directly, and rarely here.
    #[serde(deserialize_with = "over::<_, { Role::Service as i32 }>")]
    pub service: RoleQuota,
}

/// What each principal of one role may do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RoleQuota {
    /// Calls in progress at one replica, each from its start to the end of its answer.
    pub max_in_progress: u32,
    /// Serve-time look-ups.
    pub check: Rate,
    /// Reads.
    pub read: Rate,
    /// Single writes.
    pub write: Rate,
    /// Streams and batches, each counted once, when it starts.
    pub bulk: Rate,
}

/// So many calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// A second, on average; may be a fraction.
    pub rate: f64,
    /// At once, after a pause.
    pub burst: u32,
}

const fn per_second(rate: f64, burst: u32) -> Rate {
    Rate { rate, burst }
}

impl RoleQuota {
    /// The defaults of a role. People and those who act for one business are held to what a person
    /// at a screen, or a tool, needs. A back end or an ad server calls for millions of people: its
    /// quota is a fuse, so that a loop in one does not take the services from all the others.
    pub fn of(role: Role) -> Self {
        match role {
            Role::Unspecified | Role::User => Self {
                max_in_progress: 50,
                check: per_second(10.0, 100),
                read: per_second(10.0, 100),
                write: per_second(5.0, 50),
                bulk: per_second(0.2, 20),
            },
            Role::Business => Self {
                max_in_progress: 100,
                check: per_second(10.0, 100),
                read: per_second(20.0, 200),
                write: per_second(20.0, 200),
                bulk: per_second(2.0, 100),
            },
            Role::App => Self {
                max_in_progress: 2_000,
                check: per_second(100_000.0, 100_000),
                read: per_second(50_000.0, 50_000),
                write: per_second(50_000.0, 50_000),
                bulk: per_second(1_000.0, 2_000),
            },
            Role::AdServer => Self {
                max_in_progress: 2_000,
                check: per_second(100_000.0, 100_000),
                read: per_second(1_000.0, 1_000),
                write: per_second(100.0, 100),
                bulk: per_second(10.0, 100),
            },
            Role::Admin => Self {
                max_in_progress: 50,
                check: per_second(10.0, 100),
                read: per_second(100.0, 200),
                write: per_second(20.0, 100),
                bulk: per_second(2.0, 20),
            },
            Role::Service => Self {
                max_in_progress: 1_000,
                check: per_second(100_000.0, 100_000),
                read: per_second(1_000.0, 1_000),
                write: per_second(1_000.0, 1_000),
                bulk: per_second(100.0, 200),
            },
        }
    }

    /// What the role may do in one class.
    pub(super) fn in_class(&self, class: QuotaClass) -> Rate {
        match class {
            QuotaClass::Check => self.check,
            QuotaClass::Read => self.read,
            // The contract tests refuse a method without a class.
            QuotaClass::Write | QuotaClass::Unspecified => self.write,
            QuotaClass::Bulk => self.bulk,
        }
    }
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            redis_url: Secret::default(),
            redis_timeout: Span::from_millis(50),
            replicas: 1,
            max_principals: 500_000,
            user: RoleQuota::of(Role::User),
            business: RoleQuota::of(Role::Business),
            app: RoleQuota::of(Role::App),
            ad_server: RoleQuota::of(Role::AdServer),
            admin: RoleQuota::of(Role::Admin),
            service: RoleQuota::of(Role::Service),
        }
    }
}

impl QuotaConfig {
    /// What a role may do.
    pub(super) fn of(&self, role: Role) -> &RoleQuota {
        match role {
            // No caller has it.
            Role::Unspecified | Role::User => &self.user,
            Role::Business => &self.business,
            Role::App => &self.app,
            Role::AdServer => &self.ad_server,
            Role::Admin => &self.admin,
            Role::Service => &self.service,
        }
    }

    /// Everything that cannot be meant, each with the name of its key.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, key: &str, why: &str| {
            if wrong {
                problems.push(format!("quota.{key}: {why}"));
            }
        };
        let timeout = self.redis_timeout.get();
        refuse(timeout.is_zero(), "redis_timeout", "must be longer than nothing");
        let replicas = (1..=MOST_REPLICAS).contains(&self.replicas);
        refuse(!replicas, "replicas", "must be from 1 to 10000");
        let few = self.max_principals < FEWEST_PRINCIPALS;
        refuse(few, "max_principals", "must be at least 1000");
        for (name, quota) in [
            ("user", &self.user),
            ("business", &self.business),
            ("app", &self.app),
            ("ad_server", &self.ad_server),
            ("admin", &self.admin),
            ("service", &self.service),
        ] {
            let none = quota.max_in_progress == 0;
            refuse(none, &format!("{name}.max_in_progress"), "must be at least 1");
            for (class, Rate { rate, burst }) in [
                ("check", quota.check),
                ("read", quota.read),
                ("write", quota.write),
                ("bulk", quota.bulk),
            ] {
                let key = format!("{name}.{class}");
                // Written so that what is not a number is refused too.
                let in_range = rate > 0.0 && rate <= HIGHEST_RATE;
                refuse(!in_range, &format!("{key}.rate"), "must be above 0 and at most 1000000");
                refuse(burst == 0, &format!("{key}.burst"), "must be at least 1");
                let slow = in_range && f64::from(burst) / rate > LONGEST_REFILL_SECONDS;
                refuse(slow, &key, "a burst must be back within 30 days (burst / rate seconds)");
            }
        }
        problems
    }
}

/// A role's table: what is not given keeps the role's default.
fn over<'de, D: Deserializer<'de>, const ROLE: i32>(given: D) -> Result<RoleQuota, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Given {
        max_in_progress: Option<u32>,
        check: Option<Rate>,
        read: Option<Rate>,
        write: Option<Rate>,
        bulk: Option<Rate>,
    }
    let given = Given::deserialize(given)?;
    let default = RoleQuota::of(Role::try_from(ROLE).unwrap_or_default());
    Ok(RoleQuota {
        max_in_progress: given.max_in_progress.unwrap_or(default.max_in_progress),
        check: given.check.unwrap_or(default.check),
        read: given.read.unwrap_or(default.read),
        write: given.write.unwrap_or(default.write),
        bulk: given.bulk.unwrap_or(default.bulk),
    })
}
