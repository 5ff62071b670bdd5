//! What is wrong with a request, found by the rules.

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of wrong.
    pub complaint: Complaint,
    /// The field, as a path into the request: `choices[2].purpose_id`.
    pub field: String,
    /// For people. Never repeats a value from the request other than a purpose id or a locale.
    pub description: String,
}

impl Finding {
    /// A finding.
    pub fn new(
        complaint: Complaint,
        field: impl Into<String>,
        description: impl Into<String>,
    ) -> Self {
        Self { complaint, field: field.into(), description: description.into() }
    }
}

/// The kinds of wrong. Where a request has several, all are listed and the first in this order
/// names the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Complaint {
    /// A field says something that it cannot.
    FieldInvalid,
    /// The policy has no such purpose.
    PurposeNotInPolicy,
    /// A purpose that can be chosen was not.
    ChoiceMissing,
    /// Whoever is said to have decided is not the subject's guardian.
    NotTheGuardian,
    /// No notice of the policy has that digest.
    NoticeUnknown,
    /// The decision is dated in the future.
    InFuture,
    /// The choice can no longer be changed. Last: it is the only one that is not the request's fault.
    Closed,
}
