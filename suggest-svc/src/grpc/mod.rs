//! The contract's messages to domain types and back. Nothing is decided here.

mod contact;
mod convert;
mod graph;
mod staged;
mod suggestion;

use futures::{StreamExt, stream};
use proto::{Checked, FieldErrors, errors::v1::Reason, status};
use service_kit::{auth::Caller, grpc::open_message};
use tonic::{Request, Status, Streaming, codegen::BoxStream};

pub(crate) use contact::ContactRpc;
pub(crate) use graph::GraphRpc;
pub(crate) use suggestion::SuggestionRpc;

use crate::{domain::Subject, service::Suggest, store::Once};

/// Handles a stream message by message: each is answered before the next one is read, so that the
/// caller's window is what bounds the work in progress. The first error ends the stream.
fn each<M, R, F>(
    request: Request<Streaming<M>>,
    handle: impl Fn(Caller, M, FieldErrors) -> F + Send + 'static,
) -> Result<BoxStream<R>, Status>
where
    M: Checked + Send + 'static,
    R: Send + 'static,
    F: Future<Output = Result<R, Status>> + Send,
{
    let (caller, messages) = caller(request)?;
    let answers = stream::try_unfold(
        (messages, caller, handle),
        |(mut messages, caller, handle): (Streaming<M>, Caller, _)| async move {
            let Some(message) = messages.message().await? else { return Ok(None) };
            let (message, bad) = open_message(&caller, message)?;
            let answer = handle(caller.clone(), message, bad).await?;
            Ok(Some((answer, (messages, caller, handle))))
        },
    );
    Ok(answers.boxed())
}

/// Who is calling, and the stream.
#[allow(clippy::result_large_err)]
fn caller<M>(request: Request<Streaming<M>>) -> Result<(Caller, Streaming<M>), Status> {
    let (_, mut extensions, messages) = request.into_parts();
    let caller = extensions.remove::<Caller>();
    let caller =
        caller.ok_or_else(|| status::status(Reason::TokenMissing, "the caller is not known"))?;
    Ok((caller, messages))
}

/// The subject that an end user's app stands for.
#[allow(clippy::result_large_err)]
fn own_subject(caller: &Caller) -> Result<Subject, Status> {
    let subject = caller.subject.clone();
    let none = || status::status(Reason::RoleNotAllowed, "the token stands for no subject");
    Ok(subject.ok_or_else(none)?.into())
}

/// Which write this is. What is kept of the digest is keyed: it is over raw identifiers.
fn once(suggest: &Suggest, caller: &Caller, request_id: &str, digest: [u8; 32]) -> Once {
    Once {
        caller: suggest.seal.caller(caller),
        request_id: request_id.to_owned(),
        digest: suggest.seal.keyed(digest),
        at: suggest.clock.now(),
    }
}
