//! Proto to domain and back, nothing else.

mod consent;
mod event;
mod feed;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod policy;
mod read;
mod receipt;
mod rights;
mod spec;
mod subject;
mod write;

use prost_types::Timestamp;
use proto::{FieldErrors, errors::v1::Reason, status};
use service_kit::{
    auth::Caller,
    clock::UnixMillis,
    grpc::{PageTokens, request_digest},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    check::Checker,
    config::FeedConfig,
    domain::Moment,
    get_receipt::Registrar,
    store::{RequestId, Store},
    writer::Writer,
};

/// The handlers of both services.
#[derive(Clone)]
pub(crate) struct Handlers {
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) checker: Checker,
    pub(crate) registrar: Registrar,
    pub(crate) pages: PageTokens,
    pub(crate) feed: FeedConfig,
    /// Cancelled when endless streams are to end.
    pub(crate) shutdown: CancellationToken,
    pub(crate) max_message_bytes: usize,
}

/// What was parsed, if nothing was found wrong. Parsers return nothing only after adding to `bad`.
#[allow(clippy::result_large_err)] // tonic's own error type
fn parsed<T>(bad: FieldErrors, value: Option<T>) -> Result<T, Status> {
    bad.finish()?;
    value.ok_or_else(|| status::status(Reason::Internal, "internal error"))
}

fn request_id<M: prost::Message + prost::Name>(
    caller: &Caller,
    id: &str,
    message: &M,
) -> RequestId {
    RequestId::new(caller, id, request_digest(message))
}

/// A time that must be there.
fn moment(bad: &mut FieldErrors, field: &str, at: Option<&Timestamp>) -> Option<Moment> {
    // The contract's check has named it already when it is missing.
    let at = bad.keep(field, UnixMillis::try_from(at?))?;
    Some(Moment::from_millis(at.get()))
}

/// A time that may be left out: the outer `Option` says whether it is in order.
#[allow(clippy::option_option)]
fn optional_moment(
    bad: &mut FieldErrors,
    field: &str,
    at: Option<&Timestamp>,
) -> Option<Option<Moment>> {
    match at {
        Some(_) => moment(bad, field, at).map(Some),
        None => Some(None),
    }
}

fn timestamp(at: Moment) -> Timestamp {
    UnixMillis::new(at.millis()).into()
}

/// A deadline; one beyond the last instant of a Timestamp (the end of the year 9999) is never.
fn deadline(at: Option<Moment>) -> Option<Timestamp> {
    const LAST: i64 = 253_402_300_799_999;
    at.filter(|at| at.millis() <= LAST).map(timestamp)
}

/// The length of a page: 50 unless told, 200 at most.
fn page_size(asked: u32) -> u32 {
    if asked == 0 { 50 } else { asked.min(200) }
}
