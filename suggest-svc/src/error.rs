//! What can go wrong, and what callers are told of it.

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
            Error::Consent(status) => *status,
            Error::Store(error) => error.into(),
        }
    }
}
