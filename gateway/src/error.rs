//! Why the gateway could not get an answer from an upstream, and what the caller hears of it.

use std::{io, sync::Arc, time::Duration};

use http::StatusCode;
use proto::{errors::v1::Reason, status};
use tonic::{Code, Status};

use crate::upstream::Fault;

/// When a caller may try again after an upstream could not be reached. Long enough for a restart
/// to be under way, short enough for an outage to end soon after it does.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call got no answer of an upstream. What an upstream did answer is not one of these: it
/// passes through.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// No endpoint of the upstream can be connected to; the call was not sent.
    #[error("no endpoint of {upstream} can be connected to")]
    Unreachable {
        /// Which upstream.
        upstream: &'static str,
    },
    /// The call was lost with the connection, and may or may not have had its effect.
    #[error("the call to {upstream} was cut: {source}")]
    Cut {
        /// Which upstream.
        upstream: &'static str,
        /// What HTTP/2 said.
        source: Arc<hyper::Error>,
    },
    /// The caller's request broke off, and the call to the upstream with it.
    #[error("the request to {upstream} broke off")]
    Broken {
        /// Which upstream.
        upstream: &'static str,
    },
    /// What answered does not speak gRPC: a proxy in between, or a wrong address.
    #[error("{upstream} answered {status} without gRPC")]
    NotGrpc {
        /// Which upstream.
        upstream: &'static str,
        /// The status it answered.
        status: StatusCode,
    },
    /// The upstream ended a stream before it had answered everything.
    #[error("{upstream} ended its answer too soon")]
    Incomplete {
        /// Which upstream.
        upstream: &'static str,
    },
    /// The upstream answered with an error that is about the gateway or itself, not the caller: a
    /// fault of its own, or that it does not accept the gateway's token or certificate.
    #[error("{upstream} failed: {code}: {said}")]
    Failed {
        /// Which upstream.
        upstream: &'static str,
        /// The code that it answered with.
        code: Code,
        /// What it said, for the log.
        said: String,
    },
}

impl Error {
    /// Of a call that was lost with `source`.
    pub(crate) fn lost(upstream: &'static str, fault: Fault, source: hyper::Error) -> Self {
        match fault {
            Fault::Caller => Self::Broken { upstream },
            Fault::Upstream => Self::Cut { upstream, source: Arc::new(source) },
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match &error {
            // Told once, when the endpoint goes down, not for every call that waits for it.
            Error::Unreachable { .. } | Error::Broken { .. } => tracing::debug!(%error),
            Error::Cut { .. } | Error::NotGrpc { .. } | Error::Incomplete { .. } => {
                tracing::warn!(%error);
            }
            Error::Failed { .. } => tracing::error!(%error),
        }
        match error {
            Error::Broken { .. } => {
                let text = "the request was cut before its end";
                status::status(Reason::StreamIncomplete, text)
            }
            Error::Unreachable { upstream }
            | Error::Cut { upstream, .. }
            | Error::NotGrpc { upstream, .. }
            | Error::Incomplete { upstream }
            | Error::Failed { upstream, .. } => status::retryable(
                Reason::DependencyUnavailable,
                format!("{upstream} is not available"),
                RETRY_AFTER,
            ),
        }
    }
}

/// A service's error as the gateway's own, where the gateway called it for a method of its own:
/// without the headers that it came with, and with the service's name in its text. Of a fault of the
/// service's own, only that it is not available: the call is to be sent again.
pub(crate) fn named(service: &'static str, status: &Status) -> Status {
    if status::reason(status).is_none_or(|reason| reason == Reason::Internal) {
        return failed(service, status);
    }
    let text = status.message();
    let message =
        if text.contains(service) { text.to_owned() } else { format!("{service}: {text}") };
    Status::with_details(status.code(), message, status.details().to_vec().into())
}

/// The same of an error that is the gateway's or the service's fault, whatever it says.
pub(crate) fn failed(service: &'static str, status: &Status) -> Status {
    let said = status.message().to_owned();
    Error::Failed { upstream: service, code: status.code(), said }.into()
}

/// Why one endpoint could not be connected to. For the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The address does not resolve, or nothing listens there, or TLS failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// HTTP/2 could not be started.
    #[error(transparent)]
    Http2(#[from] hyper::Error),
    /// It took too long.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
}
