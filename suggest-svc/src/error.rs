//! What can go wrong, and what callers are told of it.

use std::time::Duration;

use proto::{errors::v1::Reason, status};
use service_kit::store::{InTransaction, StoreError};
use tonic::Status;
use tonic_types::ErrorDetails;

use crate::domain::quota::Exceeded;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request id was used before, with other content.
    #[error("the request_id was used before, with other content")]
    RequestIdReused,
    /// The caller has no consent to the transfer in force.
    #[error("the subject has no consent to the transfer in force")]
    ConsentNotGranted,
    /// The sync token is not that of the last sync, or too much has come since the last full one.
    #[error("the sync token is not the latest one; send a full sync")]
    SyncTokenUnknown,
    /// The sync brings more new contacts than the caller may bring now.
    #[error(
        "{} of these contacts are new, and {} new ones fit now ({} at most, at any time); nothing \
         was stored",
        .0.asked, .0.fit, .0.burst
    )]
    ContactQuota(Exceeded),
    /// The caller blocks as many people as anybody may.
    #[error("nobody blocks more than {0} people; end another block first")]
    TooManyBlocks(u64),
    /// The caller was erased: nothing is stored of them again.
    #[error("the subject was erased")]
    SubjectErased,
    /// consent-svc did not answer in the time that others can wait.
    #[error("consent-svc did not answer in time")]
    ConsentTimeout,
    /// The stream of consent-svc's changes has ended, or nothing came for too long.
    #[error("the stream of changes has ended")]
    FeedEnded,
    /// Nobody was given this suggestion id, or it is too long ago, or no longer to be told.
    #[error("no such suggestion, or not any more; ask for suggestions again")]
    SuggestionUnknown,
    /// Somebody else was given this suggestion id.
    #[error("the suggestion was made to another subject")]
    SuggestionOfAnother,
    /// The caller has dismissed as many people as anybody may at a time.
    #[error("nobody dismisses more than {at_most} people at a time")]
    TooManyDismissals { at_most: u64, retry_after: Duration },
    /// The caller has reported as many accounts as anybody may at a time.
    #[error("nobody reports more than {at_most} accounts at a time")]
    TooManyReports { at_most: u64, retry_after: Duration },
    /// consent-svc did not answer; the status says so already.
    #[error("consent-svc did not answer")]
    Consent(Box<Status>),
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
        match error {
            Error::RequestIdReused => status::status(Reason::RequestIdReused, text),
            Error::ConsentNotGranted => status::status(Reason::ConsentNotGranted, text),
            Error::SyncTokenUnknown => status::status(Reason::SyncTokenUnknown, text),
            Error::ContactQuota(exceeded) => {
                let mut details = ErrorDetails::new();
                if exceeded.wait.is_some() {
                    details.set_retry_info(exceeded.wait);
                }
                details.add_quota_failure_violation("contacts.burst", text.clone());
                status::with_details(Reason::QuotaExceeded, text, details)
            }
            Error::TooManyBlocks(_) => {
                let mut details = ErrorDetails::new();
                details.add_bad_request_violation("blocked_subject_id", text.clone());
                status::with_details(Reason::FieldsInvalid, text, details)
            }
            Error::SuggestionUnknown => status::status(Reason::SuggestionUnknown, text),
            Error::SuggestionOfAnother => status::status(Reason::NotOwnData, text),
            Error::TooManyDismissals { retry_after, .. } => {
                over("feedback.max_dismissed_per_person", text, retry_after)
            }
            Error::TooManyReports { retry_after, .. } => {
                over("spam.max_reports_per_person", text, retry_after)
            }
            Error::SubjectErased => status::status(Reason::SubjectErased, text),
            Error::ConsentTimeout | Error::FeedEnded => {
                let text = "consent-svc did not answer; try again";
                status::retryable(Reason::DependencyUnavailable, text, Duration::from_secs(1))
            }
            Error::Consent(status) => *status,
            Error::Store(error) => error.into(),
        }
    }
}

/// As many as there may be at a time; one ends after that.
fn over(what: &str, text: String, retry_after: Duration) -> Status {
    let mut details = ErrorDetails::new();
    details.add_quota_failure_violation(what, text.clone());
    details.set_retry_info(Some(retry_after));
    status::with_details(Reason::QuotaExceeded, text, details)
}
