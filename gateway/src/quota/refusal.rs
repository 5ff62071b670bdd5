//! What a caller hears whose quota is used up.

use std::time::Duration;

use proto::{
    errors::v1::Reason,
    options::v1::{QuotaClass, Role},
    status,
};
use tonic::Status;
use tonic_types::ErrorDetails;

use super::config::RoleQuota;

/// When to try again if calls in progress are too many: nobody knows when one of them ends.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The principal has as many calls in progress as it may.
    InProgress,
    /// It has called too often; this long until its next call would pass.
    Rate(Duration),
}

impl Refusal {
    /// RESOURCE_EXHAUSTED. Names the role and the class; who it is, the caller knows.
    pub(super) fn status(self, role: Role, class: QuotaClass, quota: &RoleQuota) -> Status {
        let role = role.as_str_name().trim_start_matches("ROLE_");
        let (what, after) = match self {
            Self::InProgress => {
                (format!("at most {} calls in progress", quota.max_in_progress), RETRY_AFTER)
            }
            Self::Rate(wait) => {
                let (class, given) = (class_name(class), quota.in_class(class));
                let (rate, burst) = (given.rate, given.burst);
                (format!("{class}: {rate} calls a second, {burst} at once"), wait)
            }
        };
        let mut details = ErrorDetails::new();
        details.add_quota_failure_violation(format!("role:{role}"), &what);
        details.set_retry_info(Some(after));
        let message = format!("the caller's quota is used up ({what})");
        status::with_details(Reason::QuotaExceeded, message, details)
    }
}

/// The class's name without the contract's prefix.
pub(super) fn class_name(class: QuotaClass) -> &'static str {
    class.as_str_name().trim_start_matches("QUOTA_CLASS_")
}
