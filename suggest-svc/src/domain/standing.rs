//! How a person stands to what is done with their data.

/// Until when a person agrees to what, in Unix milliseconds, as far as is known here; `i64::MAX`: for
/// ever, `i64::MIN`: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// To the transfer: to be here.
    pub transfer: i64,
    /// To be suggested. To rank by; who is shown was asked about at that moment.
    pub suggest: i64,
    /// To count where spam is fought.
    pub spam: i64,
    /// As of which revision of their consents.
    pub revision: i64,
}

impl Standing {
    /// Of who is not here.
    pub const NONE: Self =
        Self { transfer: i64::MIN, suggest: i64::MIN, spam: i64::MIN, revision: 0 };
}
