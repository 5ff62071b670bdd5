//! No more calls at once than the server can do.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::metrics::Meter;
use pin_project_lite::pin_project;
use proto::{errors::v1::Reason, status};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use super::{answer::Answer, call::Call};

/// Room for calls, and how many found none.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    turned_away: Arc<AtomicU64>,
}

impl Places {
    /// Room for so many calls.
    pub(super) fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { free, turned_away: Arc::default() }
    }

    /// Makes `meter` tell how full it is.
    pub(super) fn report(&self, meter: &Meter) {
        let (free, most) = (self.free.clone(), self.free.available_permits() as u64);
        meter
            .u64_observable_gauge("assent_calls_max")
            .with_description("How many calls may be in progress (server.max_concurrent_requests)")
            .with_callback(move |gauge| gauge.observe(most, &[]))
            .build();
        meter
            .u64_observable_gauge("assent_calls")
            .with_description("Calls in progress that count against assent_calls_max")
            .with_callback(move |gauge| {
                gauge.observe(most.saturating_sub(free.available_permits() as u64), &[]);
            })
            .build();
        let turned_away = self.turned_away.clone();
        meter
            .u64_observable_counter("assent_calls_shed")
            .with_description("Calls that were turned away: the server had as many as it can do")
            .with_callback(move |count| count.observe(turned_away.load(Ordering::Relaxed), &[]))
            .build();
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        let place = self.free.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.turned_away.fetch_add(1, Ordering::Relaxed);
        }
        place
    }
}

/// When a caller that was turned away may try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Turns calls away when too many are in progress, rather than letting all of them wait: a queue
/// that grows answers nobody in time. A call counts until its answer has been sent.
#[derive(Clone)]
pub(super) struct Shed<S> {
    pub(super) inner: S,
    pub(super) places: Places,
    /// For what anybody may call: strangers who watch health take nobody's place.
    pub(super) open_places: Places,
}

impl<S, B, R> Service<Request<B>> for Shed<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<HeldBody<R>>;
    type Error = Infallible;
    type Future = HeldFuture<Answer<S::Future, R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // An overloaded replica is not a dead one: it still says that it lives.
        let is_open = Call::of(request.extensions()).is_some_and(|call| call.entry().open);
        let places = if is_open { &self.open_places } else { &self.places };
        let place = places.take();
        let future = if place.is_some() {
            Answer::Below { future: self.inner.call(request) }
        } else {
            let message = "the server has as many calls as it can do";
            Answer::error(status::retryable(Reason::Overloaded, message, RETRY_AFTER))
        };
        HeldFuture { future, place }
    }
}

pin_project! {
    /// The future of [`Shed`].
    pub(super) struct HeldFuture<F> {
        #[pin]
        future: F,
        place: Option<OwnedSemaphorePermit>,
    }
}

impl<F, R> Future for HeldFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = Result<Response<HeldBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.future.poll(cx));
        let place = this.place.take();
        Poll::Ready(Ok(response.map(|body| HeldBody { body, _place: place })))
    }
}

/// The body of [`Shed`].
#[derive(Default)]
pub(super) struct HeldBody<R> {
    body: R,
    _place: Option<OwnedSemaphorePermit>,
}

impl<R: Body<Data = Bytes> + Unpin> Body for HeldBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
