use std::time::Duration;

use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;
use thiserror::Error;

use super::{MemberDay, Released, RowCounts, advice, day_of};

const DAY: Duration = Duration::from_hours(24);

/// Where a business has its customers' identifiers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CustomerSource {
    /// From the people themselves.
    UserProvided,
    /// From a partner of the business.
    PartnerProvided,
    /// From both.
    Both,
}

/// How long a person stays in an audience after the upload that added them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifetime(Duration);

impl Lifetime {
    /// Where nothing is said: 180 days.
    pub const DEFAULT: Self = Self(Duration::from_hours(180 * 24));

    /// A lifetime of 1 to 540 days.
    pub fn new(lifetime: Duration) -> Result<Self, LifetimeOutOfRange> {
        let allowed = DAY..=DAY * 540;
        allowed.contains(&lifetime).then_some(Self(lifetime)).ok_or(LifetimeOutOfRange)
    }

    /// Its length.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The day at whose beginning those who were added at `now` leave.
    pub fn ends(self, now: UnixMillis) -> MemberDay {
        day_of(now.plus(self.0))
    }
}

/// Less than a day, or more than 540 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not between 1 and 540 days")]
pub struct LifetimeOutOfRange;

/// An audience, as its business sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audience {
    /// Names it.
    pub audience_id: String,
    /// For the business.
    pub display_name: String,
    /// For the business.
    pub description: String,
    /// Where its identifiers come from.
    pub source: CustomerSource,
    /// How long a person stays.
    pub lifetime: Lifetime,
    /// How many uploads were applied to it: what its releases are keyed by.
    pub version: u64,
    /// The rows of the upload that was applied last.
    pub last_upload: RowCounts,
    /// The latest release of its size, which may be that of an earlier version.
    pub size: Option<Released>,
    /// The version that `size` was released for.
    pub sized_version: Option<u64>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was last changed.
    pub updated_at: UnixMillis,
}

impl Audience {
    /// Whether any list was applied.
    pub const fn has_list(&self) -> bool {
        self.version > 0
    }

    /// Whether its size was released since its list was last changed.
    pub fn size_is_current(&self) -> bool {
        self.sized_version == Some(self.version)
    }

    /// Whether it may be targeted: the release of the list that it has now decides, never the
    /// true count and never the release of a list that it had before.
    pub fn targetable(&self) -> bool {
        self.size_is_current() && self.size.is_some_and(Released::targetable)
    }

    /// What to do next, in a sentence.
    pub fn advice(&self) -> String {
        advice::of_audience(self)
    }
}
