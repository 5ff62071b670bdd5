//! Building the errors of the contract: a canonical code, one `google.rpc.ErrorInfo` whose reason
//! is in `assent.errors.v1`, and the details that fit.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::errors::v1::Reason;

/// The domain of every `ErrorInfo` of ours.
pub const DOMAIN: &str = "assent";

/// The canonical code of a reason, as its comment in `errors.proto` says.
pub fn code(reason: Reason) -> Code {
    match reason {
        Reason::FieldsInvalid
        | Reason::MessageMalformed
        | Reason::PageTokenInvalid
        | Reason::StreamIncomplete
        | Reason::PolicyContradictory
        | Reason::PurposeNotInPolicy
        | Reason::PurposeChoiceMissing
        | Reason::NoticeUnknown
        | Reason::DecisionInFuture
        | Reason::CursorInvalid
        | Reason::ExpressionInvalid => Code::InvalidArgument,
        Reason::TokenMissing | Reason::TokenInvalid | Reason::TokenExpired => Code::Unauthenticated,
        Reason::RoleNotAllowed | Reason::NotOwnData => Code::PermissionDenied,
        Reason::MethodUnknown | Reason::CompressionUnsupported => Code::Unimplemented,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::Cancelled => Code::Cancelled,
        Reason::MessageTooLarge
        | Reason::Overloaded
        | Reason::QuotaExceeded
        | Reason::ReleaseBudgetSpent => Code::ResourceExhausted,
        Reason::NotServing | Reason::DependencyUnavailable => Code::Unavailable,
        Reason::Unspecified | Reason::Internal => Code::Internal,
        Reason::RequestIdReused | Reason::BatchConflict => Code::AlreadyExists,
        Reason::PolicyUnknown
        | Reason::SubjectUnknown
        | Reason::RecordUnknown
        | Reason::BusinessUnknown
        | Reason::AudienceUnknown
        | Reason::UploadUnknown
        | Reason::SuggestionUnknown => Code::NotFound,
        Reason::PolicyState
        | Reason::PolicyNotApplicable
        | Reason::PolicyRetired
        | Reason::PolicyNotEffective
        | Reason::DecisionClosed
        | Reason::SubjectErased
        | Reason::RelationInvalid
        | Reason::UploadState
        | Reason::BatchMissing
        | Reason::ConsentNotGranted
        | Reason::MatchKeyVersionConfigured
        | Reason::SyncTokenUnknown => Code::FailedPrecondition,
        Reason::CursorTooOld => Code::OutOfRange,
        Reason::ReaderTooSlow => Code::Aborted,
    }
}

/// A status with this reason and nothing more. `message` is for people and must carry neither
/// contact identifiers nor the text of another system's error.
pub fn status(reason: Reason, message: impl Into<String>) -> Status {
    with_details(reason, message, ErrorDetails::new())
}

/// As [`status`], for what may succeed later: `RetryInfo` says after how long.
pub fn retryable(reason: Reason, message: impl Into<String>, after: Duration) -> Status {
    let mut details = ErrorDetails::new();
    details.set_retry_info(Some(after));
    with_details(reason, message, details)
}

/// As [`status`], beside other details (`BadRequest`, `QuotaFailure`, …).
pub fn with_details(
    reason: Reason,
    message: impl Into<String>,
    mut details: ErrorDetails,
) -> Status {
    details.set_error_info(reason.as_str_name(), DOMAIN, HashMap::new());
    Status::with_error_details(code(reason), message, details)
}

/// The reason that a status carries, if it is one of ours.
pub fn reason(status: &Status) -> Option<Reason> {
    let info = status.get_details_error_info()?;
    (info.domain == DOMAIN).then(|| Reason::from_str_name(&info.reason)).flatten()
}
