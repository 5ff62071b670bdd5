//! Who is calling.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::Service;

use super::{answer::Answer, call::Call};
use crate::auth::{Authenticator, Peer};

/// Puts the [`Caller`](crate::auth::Caller) in the request's extensions, or answers
/// UNAUTHENTICATED. Health and reflection need no caller.
#[derive(Clone)]
pub(super) struct Authenticate<S> {
    pub(super) inner: S,
    pub(super) authenticator: Arc<Authenticator>,
}

impl<S, B, R> Service<Request<B>> for Authenticate<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Default + 'static,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Answer<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if Call::of(request.extensions()).is_some_and(|call| call.entry().open) {
            return Answer::Below { future: self.inner.call(request) };
        }
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        match self.authenticator.cached(request.headers(), peer.as_deref()) {
            Some(Ok(caller)) => {
                request.extensions_mut().insert(caller);
                Answer::Below { future: self.inner.call(request) }
            }
            Some(Err(status)) => Answer::error(status),
            // The keys have to be fetched first, which is rare enough to box.
            None => {
                let authenticator = self.authenticator.clone();
                let mut inner = self.inner.clone();
                let future = Box::pin(async move {
                    let headers = request.headers().clone();
                    match authenticator.authenticate(&headers, peer.as_deref()).await {
                        Ok(caller) => {
                            request.extensions_mut().insert(caller);
                            inner.call(request).await
                        }
                        Err(status) => Ok(status.into_http()),
                    }
                });
                Answer::Later { future }
            }
        }
    }
}
