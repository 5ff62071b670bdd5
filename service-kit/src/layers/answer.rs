//! The future of a layer that may answer by itself.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use http::Response;
use pin_project_lite::pin_project;
use tonic::Status;

pin_project! {
    /// The answer of the service below, or the layer's own.
    #[project = Projected]
    pub(super) enum Answer<F, B> {
        /// The service below answers.
        Below { #[pin] future: F },
        /// The layer has something to wait for first.
        Later { future: BoxFuture<'static, Result<Response<B>, Infallible>> },
        /// The layer has answered.
        Now { response: Option<Response<B>> },
    }
}

impl<F, B: Default> Answer<F, B> {
    /// The error `status`.
    pub(super) fn error(status: Status) -> Self {
        Self::Now { response: Some(status.into_http()) }
    }
}

impl<F, B> Future for Answer<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Below { future } => future.poll(cx),
            Projected::Later { future } => future.as_mut().poll(cx),
            // Unwrap safety: a future is not polled again after it was ready.
            #[allow(clippy::unwrap_used)]
            Projected::Now { response } => Poll::Ready(Ok(response.take().unwrap())),
        }
    }
}
