//! No call outlives its deadline: neither its handler nor its answer.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proto::{errors::v1::Reason, status};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tower::Service;

use super::call::Call;
use crate::server::patience;

/// Ends a call at its deadline with DEADLINE_EXCEEDED (tonic's own time limit says CANCELLED, and
/// does not know of answers that stream).
#[derive(Clone)]
pub(super) struct Deadline<S> {
    pub(super) inner: S,
}

/// The deadline that a caller gave, in `grpc-timeout`: up to eight digits and a unit. One that
/// cannot be read is as good as none.
pub(super) fn given(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(count),
        "M" => Duration::from_mins(count),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

fn exceeded() -> Status {
    status::status(Reason::DeadlineExceeded, "the deadline passed")
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<TimedBody<R>>;
    type Error = Infallible;
    type Future = TimedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let at = Call::of(request.extensions()).map(Call::deadline);
        TimedFuture { future: self.inner.call(request), alarm: Alarm { at, sleep: None } }
    }
}

/// Rings at an instant. The timer is made when there is something to wait for: most calls are
/// over before.
#[derive(Default)]
struct Alarm {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at))).as_mut().poll(cx)
    }
}

pin_project! {
    /// The future of [`Deadline`].
    pub(super) struct TimedFuture<F> {
        #[pin]
        future: F,
        alarm: Alarm,
    }
}

impl<F, R> Future for TimedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Default,
{
    type Output = Result<Response<TimedBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Poll::Ready(Ok(response)) = this.future.poll(cx) else {
            ready!(this.alarm.poll(cx));
            return Poll::Ready(Ok(exceeded().into_http()));
        };
        let alarm = std::mem::take(this.alarm);
        Poll::Ready(Ok(response.map(|body| TimedBody { body: Some(body), alarm, frames: 0 })))
    }
}

/// The body of [`Deadline`]; none is left once the deadline has passed.
#[derive(Default)]
pub(super) struct TimedBody<R> {
    body: Option<R>,
    alarm: Alarm,
    frames: u8,
}

impl<R: Body<Data = Bytes> + Unpin> Body for TimedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = &mut *self;
        // Until there is a part that the caller must take.
        patience::nothing_to_give();
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // An answer that always has more to say never waits for the alarm. Two frames, a message
        // and the trailers, are what most calls have: they need not look at the clock.
        if this.frames >= 2 && this.alarm.at.is_some_and(|at| at <= Instant::now()) {
            return Poll::Ready(Some(Ok(this.end())));
        }
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            this.frames = this.frames.saturating_add(1);
            if let (Some(Ok(frame)), Some(at)) = (&frame, this.alarm.at)
                && frame.is_data()
            {
                // While it is not taken, nobody asks here: the alarm is rung elsewhere.
                patience::given(at);
            }
            return Poll::Ready(frame);
        }
        ready!(this.alarm.poll(cx));
        Poll::Ready(Some(Ok(this.end())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<R> TimedBody<R> {
    fn end(&mut self) -> Frame<Bytes> {
        self.body = None;
        let mut trailers = HeaderMap::new();
        // A plain message and no metadata: nothing that could fail.
        let _ = exceeded().add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_read_as_the_protocol_says() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_static(text));
            given(&headers)
        };
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("100000000S"), None, "nine digits");
        assert_eq!(read("-1S"), None);
        assert_eq!(read("S"), None);
        assert_eq!(read("5"), None);
        assert_eq!(read(""), None);
    }
}
