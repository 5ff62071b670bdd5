//! Request id, trace, metrics and log line of a call.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proto::{errors::v1::Reason, status};
use tokio::time::Instant;
use tonic::Code;
use tower::Service;

use super::{
    answer::Answer,
    call::{Call, REQUEST_ID, Trust},
    deadline,
    methods::Methods,
};
use crate::telemetry::code_name;

/// Begins a [`Call`] for each request and accounts for its end.
#[derive(Clone)]
pub(super) struct Observe<S> {
    pub(super) inner: S,
    pub(super) methods: Arc<Methods>,
    pub(super) trust: Trust,
    pub(super) max_deadline: std::time::Duration,
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<Observed<R>>;
    type Error = Infallible;
    type Future = ObservedFuture<Answer<S::Future, R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let entry = self.methods.at(request.uri().path());
        let started = Instant::now();
        let given = deadline::given(request.headers()).unwrap_or(entry.default_deadline);
        let deadline = started + given.min(entry.max_deadline).min(self.max_deadline);
        let call = Call::begin(request.headers(), entry.clone(), deadline, started, self.trust);
        entry.metrics.begin();
        let ending = Ending { call, code: None };
        let future = if entry.is_known() {
            request.extensions_mut().insert(ending.call.clone());
            Answer::Below { future: ending.call.scope(|| self.inner.call(request)) }
        } else {
            Answer::error(status::status(Reason::MethodUnknown, "no such method here"))
        };
        ObservedFuture { future, ending: Some(ending) }
    }
}

pin_project! {
    /// The future of [`Observe`].
    pub(super) struct ObservedFuture<F> {
        #[pin]
        future: F,
        ending: Option<Ending>,
    }
}

impl<F, R> Future for ObservedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = Result<Response<Observed<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // Unwrap safety: a future is not polled again after it was ready.
        #[allow(clippy::unwrap_used)]
        let ending = this.ending.as_ref().unwrap();
        let Ok(mut response) = ready!(ending.call.scope(|| this.future.poll(cx)));
        response.headers_mut().insert(REQUEST_ID, ending.call.request_id().clone());
        let mut ending = this.ending.take();
        if let Some(ending) = &mut ending {
            ending.read(response.headers());
        }
        Poll::Ready(Ok(response.map(|body| Observed { body, ending })))
    }
}

/// The body of an answer, watched for the code that it ends with.
#[derive(Default)]
pub(super) struct Observed<R> {
    body: R,
    ending: Option<Ending>,
}

impl<R: Body<Data = Bytes> + Unpin> Body for Observed<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = &mut *self;
        let Some(ending) = &mut this.ending else { return Pin::new(&mut this.body).poll_frame(cx) };
        let body = &mut this.body;
        let frame = ready!(ending.call.scope(|| Pin::new(body).poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    ending.read(trailers);
                    this.ending = None;
                }
            }
            Some(Err(_)) | None => this.ending = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Accounts for the end of a call when it is dropped: with the code that was sent, or CANCELLED
/// when the caller went away before.
struct Ending {
    call: Call,
    code: Option<Code>,
}

impl Ending {
    fn read(&mut self, headers: &HeaderMap) {
        let code = headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
        self.code = code.or(self.code);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let took = self.call.started().elapsed();
        let entry = self.call.entry();
        entry.metrics.end(code, took);
        let span = self.call.span();
        if !span.is_disabled() {
            span.record("rpc.grpc.status_code", code as i32);
            span.record("otel.status_code", if is_fault(code) { "ERROR" } else { "OK" });
        }
        let (method, name) = (entry.name(), code_name(code));
        self.call.scope(|| {
            if code == Code::Ok {
                tracing::debug!(target: "assent::calls", method, code = name, ?took, "call");
            } else {
                tracing::info!(target: "assent::calls", method, code = name, ?took, "call");
            }
        });
    }
}

/// Whether a code means that the server failed, rather than that it refused.
fn is_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, DataLoss | DeadlineExceeded | Internal | Unavailable | Unimplemented | Unknown)
}
