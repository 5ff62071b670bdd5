//! What can go wrong, and what callers are told of it.

use std::time::Duration;

use proto::{errors::v1::Reason, status};
use service_kit::{
    clock::UnixMillis,
    store::{InTransaction, StoreError},
};
use thiserror::Error;
use tonic::Status;
use tonic_types::ErrorDetails;

use crate::domain::{CorruptRecord, Exhausted, ExpressionInvalid, Running, UploadState};

/// Why a call failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The caller's business was never made known, or no such business.
    #[error("no such business")]
    BusinessUnknown,
    /// The caller's token names an owner that is not the business's.
    #[error("the token's owner is not the owner of the business")]
    OwnerMismatch,
    /// No such audience of this business.
    #[error("no such audience")]
    AudienceUnknown,
    /// No such upload of this business.
    #[error("no such upload")]
    UploadUnknown,
    /// The business has as many open uploads as it may have; the first of them ends in `wait`,
    /// if it is not committed or aborted before.
    #[error("the business has {most} open uploads: commit or abort one")]
    UploadsOpen {
        /// How many it may have.
        most: u64,
        /// How long until the first of them ends by itself.
        wait: Duration,
    },
    /// The upload takes no more batches.
    #[error("the upload is {}", .0.name())]
    UploadState(UploadState),
    /// The upload was committed with another number of batches.
    #[error("the upload was committed with {0} batches")]
    CommittedOtherwise(u32),
    /// Batches that the commit counts on have not been acknowledged: the first of them.
    #[error("batches are missing")]
    BatchMissing(Vec<u32>),
    /// The upload has batches beyond the number that the commit gives.
    #[error("the upload has a batch {0}, beyond the number given")]
    BatchBeyond(u32),
    /// This batch number was sent before, with other content.
    #[error("batch {0} was sent before, with other content")]
    BatchConflict(u32),
    /// The owner has no fresh release left.
    #[error("{exhausted}: what was released before is still told")]
    Budget {
        /// Why, and until when.
        exhausted: Exhausted,
        /// When it was asked for.
        now: UnixMillis,
    },
    /// The subject was erased: nothing is stored of it again.
    #[error("the subject was erased")]
    SubjectErased,
    /// The expression means nothing.
    #[error(transparent)]
    Expression(#[from] ExpressionInvalid),
    /// People would be removed whom a replica still finds.
    #[error(
        "version {version} is still configured on {} of {} replicas, which find people under it: \
         take it out of match_keys of all of them, and retire it then (a replica that was killed \
         counts for up to a minute)", .running.having(*.version), .running.replicas()
    )]
    VersionConfigured {
        /// The version that was to be retired.
        version: u16,
        /// Which replica has which versions.
        running: Running,
    },
    /// The request id was used before, with other content.
    #[error("the request_id was used before, with other content")]
    RequestIdReused,
    /// The day takes no more activity.
    #[error("the day is closed")]
    DayClosed,
    /// consent-svc did not answer; the status says so already.
    #[error("consent-svc did not answer")]
    Consent(Box<Status>),
    /// consent-svc did not answer in the time that others can wait.
    #[error("consent-svc did not answer in time")]
    ConsentTimeout,
    /// The stream of consent-svc's changes has ended, or nothing came for too long.
    #[error("the stream of changes has ended")]
    FeedEnded,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something that cannot be, was.
    #[error("internal: {0}")]
    Internal(&'static str),
}

impl InTransaction for Error {
    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<CorruptRecord> for Error {
    fn from(_: CorruptRecord) -> Self {
        Self::Internal("a stored record of members cannot be read")
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::BusinessUnknown => status::status(Reason::BusinessUnknown, text),
            Error::OwnerMismatch => status::status(Reason::NotOwnData, text),
            Error::AudienceUnknown => status::status(Reason::AudienceUnknown, text),
            Error::UploadUnknown => status::status(Reason::UploadUnknown, text),
            Error::UploadsOpen { wait, .. } => {
                let mut details = ErrorDetails::with_retry_info(Some(wait));
                details.add_quota_failure_violation("uploads.max_open", text.clone());
                status::with_details(Reason::QuotaExceeded, text, details)
            }
            Error::Budget { exhausted, now } => {
                let mut details = match exhausted {
                    Exhausted::Until(renewal) => {
                        ErrorDetails::with_retry_info(Some(renewal.since(now)))
                    }
                    Exhausted::ForGood => ErrorDetails::new(),
                };
                details.add_quota_failure_violation("releases", text.clone());
                status::with_details(Reason::QuotaExceeded, text, details)
            }
            Error::UploadState(_) | Error::CommittedOtherwise(_) => {
                status::status(Reason::UploadState, text)
            }
            Error::BatchMissing(numbers) => missing(&numbers, text),
            Error::BatchBeyond(_) => {
                let mut details = ErrorDetails::new();
                details.add_bad_request_violation("batch_count", text.clone());
                status::with_details(Reason::FieldsInvalid, text, details)
            }
            Error::DayClosed => {
                let mut details = ErrorDetails::new();
                details.add_bad_request_violation("day", text.clone());
                status::with_details(Reason::FieldsInvalid, text, details)
            }
            Error::BatchConflict(_) => status::status(Reason::BatchConflict, text),
            Error::Expression(_) => {
                let mut details = ErrorDetails::new();
                details.add_bad_request_violation("expression", text.clone());
                status::with_details(Reason::ExpressionInvalid, text, details)
            }
            Error::SubjectErased => status::status(Reason::SubjectErased, text),
            Error::VersionConfigured { .. } => {
                status::status(Reason::MatchKeyVersionConfigured, text)
            }
            Error::RequestIdReused => status::status(Reason::RequestIdReused, text),
            Error::Consent(status) => *status,
            Error::ConsentTimeout | Error::FeedEnded => {
                let text = "consent-svc did not answer; try again";
                status::retryable(Reason::DependencyUnavailable, text, Duration::from_secs(1))
            }
            Error::Store(error) => error.into(),
            Error::Internal(_) => {
                tracing::error!(error = text, "a defect");
                status::status(Reason::Internal, "internal error")
            }
        }
    }
}

/// Names the first missing batches as `batches[3]`.
fn missing(numbers: &[u32], text: String) -> Status {
    let mut details = ErrorDetails::new();
    for number in numbers {
        details.add_bad_request_violation(format!("batches[{number}]"), "not acknowledged");
    }
    status::with_details(Reason::BatchMissing, text, details)
}
