//! Everything that can go wrong, and what a caller hears of it.

use std::time::Duration;

use proto::{FieldErrors, errors::v1::Reason, status};
use service_kit::store::{InTransaction, StoreError};
use tonic::Status;

use crate::domain::{Complaint, Finding};

/// When to try again what a queue had no room for.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The request is wrong in these ways, all of which are listed; never empty.
    #[error("the request is refused")]
    Refused(Vec<Finding>),
    /// The policy contradicts itself or an earlier version; never empty.
    #[error("the policy contradicts itself or an earlier version")]
    Contradictory(Vec<Finding>),
    /// No such policy, or no such version of it.
    #[error("no such policy version")]
    PolicyUnknown,
    /// The policy is not in the state that the call needs; says which it needs.
    #[error("the policy version is not {0}")]
    PolicyState(&'static str),
    /// The policy does not ask this subject; says why.
    #[error("the policy does not ask this subject: {0}")]
    PolicyNotApplicable(&'static str),
    /// The policy version was retired.
    #[error("the policy version was retired")]
    PolicyRetired,
    /// The policy version is announced, and not yet in effect.
    #[error("the policy version is not in effect yet")]
    PolicyNotEffective,
    /// No such subject.
    #[error("no such subject")]
    SubjectUnknown,
    /// The subject was erased; its id is never used again.
    #[error("the subject was erased")]
    SubjectErased,
    /// The subjects cannot be linked, or one be the other's guardian; says why.
    #[error("{0}")]
    Relation(&'static str),
    /// No such event, receipt or erasure.
    #[error("no such event or erasure")]
    RecordUnknown,
    /// The request id was used before, with other content.
    #[error("the request id was used before, with other content")]
    RequestIdReused,
    /// Writes outrun the disk.
    #[error("too many writes wait for the disk")]
    WriterBusy,
    /// More checks wait for the database than it can answer.
    #[error("too many checks wait for the database")]
    ReaderBusy,
    /// The events after a cursor are no longer kept.
    #[error("the events after this cursor are no longer kept: start from a fresh copy")]
    CursorTooOld,
    /// The feed gave no such cursor.
    #[error("not a cursor that this feed gave for these arguments")]
    CursorInvalid,
    /// A reader did not take what it was given.
    #[error("the reader is too slow: resume from the last cursor")]
    ReaderTooSlow,
    /// The service is stopping: the call was not carried out, or the stream goes on elsewhere.
    #[error("the service is stopping: go on elsewhere")]
    Stopping,
    /// A person's own token says that somebody else decided.
    #[error("a person decides for themselves: a guardian's decision is recorded by the app")]
    DecidesForOthers,
    /// Somebody acknowledged an erasure for somebody else, or is not to.
    #[error("a follower acknowledges for itself, if this service is told to wait for it")]
    NotTheFollower,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl InTransaction for Error {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let reason = match error {
            Error::Refused(findings) => return refused(findings),
            Error::Contradictory(findings) => {
                return listed(findings, Reason::PolicyContradictory);
            }
            Error::Store(error) => return error.into(),
            Error::PolicyUnknown => Reason::PolicyUnknown,
            Error::PolicyState(_) => Reason::PolicyState,
            Error::PolicyRetired => Reason::PolicyRetired,
            Error::PolicyNotEffective => Reason::PolicyNotEffective,
            Error::PolicyNotApplicable(_) => Reason::PolicyNotApplicable,
            Error::SubjectUnknown => Reason::SubjectUnknown,
            Error::RequestIdReused => Reason::RequestIdReused,
            Error::WriterBusy | Error::ReaderBusy => {
                return status::retryable(Reason::Overloaded, text, RETRY_AFTER);
            }
            Error::SubjectErased => Reason::SubjectErased,
            Error::Relation(_) => Reason::RelationInvalid,
            Error::RecordUnknown => Reason::RecordUnknown,
            Error::CursorTooOld => Reason::CursorTooOld,
            Error::CursorInvalid => Reason::CursorInvalid,
            Error::ReaderTooSlow => Reason::ReaderTooSlow,
            Error::Stopping => Reason::NotServing,
            Error::NotTheFollower | Error::DecidesForOthers => Reason::NotOwnData,
        };
        status::status(reason, text)
    }
}

/// Lists everything; the first kind of complaint, in their order, names the error. What the
/// request got wrong is told before what the policy does not allow, which may follow from it.
fn refused(mut findings: Vec<Finding>) -> Status {
    findings.sort_by_key(|finding| finding.complaint);
    let first = findings.first().map_or(Complaint::FieldInvalid, |finding| finding.complaint);
    let reason = match first {
        Complaint::FieldInvalid => Reason::FieldsInvalid,
        Complaint::PurposeNotInPolicy => Reason::PurposeNotInPolicy,
        Complaint::ChoiceMissing => Reason::PurposeChoiceMissing,
        Complaint::NotTheGuardian => Reason::RelationInvalid,
        Complaint::NoticeUnknown => Reason::NoticeUnknown,
        Complaint::InFuture => Reason::DecisionInFuture,
        Complaint::Closed => Reason::DecisionClosed,
    };
    listed(findings, reason)
}

fn listed(findings: Vec<Finding>, reason: Reason) -> Status {
    // What is wrong with one field stands in one place.
    let mut by_field: Vec<(String, String)> = Vec::new();
    for Finding { field, description, .. } in findings {
        match by_field.iter_mut().find(|(known, _)| *known == field) {
            Some((_, known)) => *known = format!("{known}; {description}"),
            None => by_field.push((field, description)),
        }
    }
    let mut fields = FieldErrors::default();
    for (field, description) in by_field {
        fields.add(field, description);
    }
    match fields.finish_as(reason) {
        Err(status) => status,
        // Never with an empty list, as the variants say; if ever, the reason still stands.
        Ok(()) => status::status(reason, "refused"),
    }
}
