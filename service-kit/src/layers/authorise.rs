//! Whether the caller's role may call the method.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use http::{Request, Response};
use proto::{errors::v1::Reason, status};
use tower::Service;

use super::{answer::Answer, call::Call};
use crate::auth::Caller;

/// Answers PERMISSION_DENIED to roles that the contract does not name for the method. Whether the
/// caller may touch this subject or that audience is the service's to decide.
#[derive(Clone)]
pub(super) struct Authorise<S> {
    pub(super) inner: S,
}

impl<S, B, R> Service<Request<B>> for Authorise<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Answer<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (call, caller) = (Call::of(request.extensions()), request.extensions().get::<Caller>());
        let allowed = call.is_some_and(|call| match (call.method(), caller) {
            (Some(method), Some(caller)) => method.roles.contains(caller.role),
            _ => call.entry().open,
        });
        if allowed {
            return Answer::Below { future: self.inner.call(request) };
        }
        let message = "the caller's role may not call this method";
        Answer::error(status::status(Reason::RoleNotAllowed, message))
    }
}
