//! Quotas as a layer.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use proto::options::v1::QuotaClass;
use service_kit::{auth::Caller, layers::Call};
use tower::Service;

use super::{Admission, Quotas, table::Place};
use crate::{Body, edge::outside_the_layers};

/// Lets a call pass to the service below if its caller's quota allows.
///
/// Innermost of the layers, just before the call is forwarded: the kit's have found that the method
/// exists, that there is a place for the call, who calls, and that its role may. So no error of
/// those costs anybody quota, nobody can use up somebody else's, and what is refused here has cost
/// nothing behind the gateway. Health and reflection do not come here.
#[derive(Clone)]
pub(crate) struct Metered<S> {
    pub(crate) inner: S,
    pub(crate) quotas: Arc<Quotas>,
}

impl<S> Service<Request<Body>> for Metered<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = MeteredFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let extensions = request.extensions();
        let (Some(call), Some(caller)) = (Call::of(extensions), extensions.get::<Caller>()) else {
            return MeteredFuture::Refused(Some(outside_the_layers().into_http()));
        };
        let class = call.method().map_or(QuotaClass::Unspecified, |method| method.quota_class);
        match self.quotas.admit(caller, class, call.deadline()) {
            Ok(Admission::Here(place)) => {
                MeteredFuture::Below { future: self.inner.call(request), place: Some(place) }
            }
            Ok(Admission::InRedis(question)) => {
                let (quotas, mut inner) = (self.quotas.clone(), self.inner.clone());
                MeteredFuture::Asking(Box::pin(async move {
                    match question.ask(&quotas).await {
                        Ok(place) => Ok(held(inner.call(request).await?, place)),
                        Err(status) => Ok(status.into_http()),
                    }
                }))
            }
            Err(status) => MeteredFuture::Refused(Some(status.into_http())),
        }
    }
}

/// The future of [`Metered`]. Without Redis, no allocation of its own.
pub(crate) enum MeteredFuture<F> {
    /// The service below answers.
    Below { future: F, place: Option<Place> },
    /// Redis is asked first.
    Asking(BoxFuture<'static, Result<Response<Body>, Infallible>>),
    /// The quota is used up.
    Refused(Option<Response<Body>>),
}

impl<F> Future for MeteredFuture<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Below { future, place } => {
                let Ok(response) = ready!(Pin::new(future).poll(cx));
                Poll::Ready(Ok(match place.take() {
                    Some(place) => held(response, place),
                    None => response,
                }))
            }
            Self::Asking(future) => future.as_mut().poll(cx),
            // Unwrap safety: a future is not polled again after it was ready.
            #[allow(clippy::unwrap_used)]
            Self::Refused(response) => Poll::Ready(Ok(response.take().unwrap())),
        }
    }
}

/// The answer, whose call is in progress until its body has been sent.
fn held(response: Response<Body>, place: Place) -> Response<Body> {
    response.map(|body| Body::new(Held { body, _place: place }))
}

struct Held {
    body: Body,
    _place: Place,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
