use service_kit::clock::UnixMillis;

/// Until when a consent holds by the clock alone; a person who did not consent has one that is
/// over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Until(i64);

impl Until {
    /// There is no consent.
    pub const OVER: Self = Self(0);

    /// The clock does not end it.
    pub const NEVER: Self = Self(i64::MAX);

    /// Ends at an instant; without one, never.
    pub fn new(end: Option<UnixMillis>) -> Self {
        end.map_or(Self::NEVER, |end| Self(end.get()))
    }

    /// Takes back what was stored.
    pub const fn stored(column: i64) -> Self {
        Self(column)
    }

    /// To be stored: Unix milliseconds.
    pub const fn column(self) -> i64 {
        self.0
    }

    /// Whether it holds at `now`.
    pub fn holds(self, now: UnixMillis) -> bool {
        now.get() < self.0
    }
}

/// What a person has agreed to, as consent-svc answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// That identifiers may be kept here.
    pub transfer: Until,
    /// That lists may be used to show the person ads.
    pub ads: Until,
    /// The subject's revision at the answer.
    pub revision: u64,
}

impl Agreed {
    /// Whether the person may be kept at all.
    pub fn may_stay(&self, now: UnixMillis) -> bool {
        self.transfer.holds(now)
    }

    /// Whether the person counts in lists.
    pub fn counts(&self, now: UnixMillis) -> bool {
        self.transfer.holds(now) && self.ads.holds(now)
    }
}

/// Whether a person has agreed to be counted, as consent-svc answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgreedToCount {
    /// Until when.
    pub until: Until,
    /// The subject's revision at the answer.
    pub revision: u64,
}
