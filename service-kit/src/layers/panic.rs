//! A handler that panics fails its own call and no other.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proto::{errors::v1::Reason, status};
use tonic::Status;
use tower::Service;

use super::answer::Answer;

/// Answers INTERNAL where the service below panics, before or during its answer. The panic hook
/// has logged the place.
#[derive(Clone)]
pub(super) struct CatchPanic<S> {
    pub(super) inner: S,
}

fn panicked() -> Status {
    status::status(Reason::Internal, "internal error")
}

impl<S, B, R> Service<Request<B>> for CatchPanic<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<CaughtBody<R>>;
    type Error = Infallible;
    type Future = CaughtFuture<Answer<S::Future, R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // Unwind safety: what panicked is not used again, here and below.
        let called = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
        let future =
            called.map_or_else(|_| Answer::error(panicked()), |future| Answer::Below { future });
        CaughtFuture { future }
    }
}

pin_project! {
    /// The future of [`CatchPanic`].
    pub(super) struct CaughtFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, R> Future for CaughtFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Default,
{
    type Output = Result<Response<CaughtBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        let response = match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => {
                let Ok(response) = ready!(polled);
                response
            }
            Err(_) => panicked().into_http(),
        };
        Poll::Ready(Ok(response.map(|body| CaughtBody { body, over: false })))
    }
}

/// The body of [`CatchPanic`].
#[derive(Default)]
pub(super) struct CaughtBody<R> {
    body: R,
    over: bool,
}

impl<R: Body<Data = Bytes> + Unpin> Body for CaughtBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let body = &mut self.body;
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(cx)));
        polled.unwrap_or_else(|_| {
            self.over = true;
            let mut trailers = HeaderMap::new();
            // A plain message and no metadata: nothing that could fail.
            let _ = panicked().add_header(&mut trailers);
            Poll::Ready(Some(Ok(Frame::trailers(trailers))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
