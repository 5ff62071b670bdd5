//! What every handler does first and last: knowing its caller, checking its message, paging.

mod digest;
mod page;

use proto::{Checked, FieldErrors, errors::v1::Reason, options::v1::Role, status};
use tonic::{Request, Status};

pub use digest::request_digest;
pub use page::PageTokens;

use crate::auth::Caller;

/// The caller, the message, and what the contract's field rules find wrong with it. The handler
/// adds its own findings and then calls [`FieldErrors::finish`].
///
/// # Errors
/// PERMISSION_DENIED with `REASON_NOT_OWN_DATA` when an end user names another subject;
/// UNAUTHENTICATED when no authentication layer has let the request in.
#[allow(clippy::result_large_err)]
pub fn open<T: Checked>(request: Request<T>) -> Result<(Caller, T, FieldErrors), Status> {
    let (_, mut extensions, message) = request.into_parts();
    // The layer refuses such calls itself. If it is ever left out, nobody gets in.
    let caller: Caller = extensions
        .remove()
        .ok_or_else(|| status::status(Reason::TokenMissing, "the caller is not known"))?;
    let (message, bad) = open_message(&caller, message)?;
    Ok((caller, message, bad))
}

/// As [`open`], for a message of a stream whose caller is known.
///
/// # Errors
/// As [`open`].
#[allow(clippy::result_large_err)]
pub fn open_message<T: Checked>(caller: &Caller, message: T) -> Result<(T, FieldErrors), Status> {
    let other = |subject: &str| !subject.is_empty() && caller.subject.as_deref() != Some(subject);
    if caller.role == Role::User && message.own_subject().is_some_and(other) {
        let text = "the token stands for another subject";
        return Err(status::status(Reason::NotOwnData, text));
    }
    let bad = FieldErrors::of(&message);
    Ok((message, bad))
}
