//! Every error that leaves the server is one of the contract's.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use prost::Message as _;
use proto::{errors::v1::Reason, status};
use tonic::{Code, Status};
use tonic_types::pb;
use tower::Service;

const GRPC_STATUS: &str = "grpc-status";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Gives an error that has not exactly one `ErrorInfo` of ours the one that fits, and takes the
/// text out of internal errors. In headers, where an answer is an error alone, and in trailers.
#[derive(Clone)]
pub(super) struct ErrorDetails<S> {
    pub(super) inner: S,
    pub(super) max_message_bytes: usize,
}

impl<S, B, R> Service<Request<B>> for ErrorDetails<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<DetailedBody<R>>;
    type Error = Infallible;
    type Future = DetailedFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        DetailedFuture { future: self.inner.call(request), limit: self.max_message_bytes }
    }
}

pin_project! {
    /// The future of [`ErrorDetails`].
    pub(super) struct DetailedFuture<F> {
        #[pin]
        future: F,
        limit: usize,
    }
}

impl<F, R> Future for DetailedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Default,
{
    type Output = Result<Response<DetailedBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.future.poll(cx));
        if response.status() != StatusCode::OK && !response.headers().contains_key(GRPC_STATUS) {
            // Something below speaks HTTP only: gRPC clients would have to guess.
            tracing::error!(status = response.status().as_u16(), "an answer that is not gRPC");
            response = status::status(Reason::Internal, "").into_http();
        }
        correct(response.headers_mut(), *this.limit);
        let limit = *this.limit;
        Poll::Ready(Ok(response.map(|body| DetailedBody { body, limit, over: false })))
    }
}

/// The body of [`ErrorDetails`].
#[derive(Default)]
pub(super) struct DetailedBody<R> {
    body: R,
    limit: usize,
    over: bool,
}

impl<R> Body for DetailedBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) if frame.is_trailers() => match frame.into_trailers() {
                Ok(mut trailers) => {
                    correct(&mut trailers, self.limit);
                    Frame::trailers(trailers)
                }
                Err(frame) => frame,
            },
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tracing::error!(%error, "an answer broke off");
                self.over = true;
                let mut trailers = HeaderMap::new();
                write(&status::status(Reason::Internal, INTERNAL), &mut trailers);
                Frame::trailers(trailers)
            }
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// All that a client learns of an internal error; the log has the rest, by the request id.
const INTERNAL: &str = "internal error";

/// Makes the status in `headers`, if it is an error, one of the contract's. Other metadata stays.
fn correct(headers: &mut HeaderMap, limit: usize) {
    let Some(code) = headers.get(GRPC_STATUS) else { return };
    if code.as_bytes() == b"0" {
        return;
    }
    let Some(given) = Status::from_header_map(headers) else { return };
    let hidden = is_internal(given.code()) && !is_undecodable(given.message());
    if !hidden && has_our_info(given.details()) {
        return;
    }
    let right = if hidden {
        if given.message() != INTERNAL {
            let (code, error) = (given.code(), given.message());
            tracing::error!(?code, error, "internal error");
        }
        status::status(Reason::Internal, INTERNAL)
    } else {
        replacement(&given, limit)
    };
    write(&right, headers);
}

/// Whether this is what prost says of bytes that are no message. Our codec says it otherwise: this is
/// of health and reflection, which strangers call, and no fault of ours to be logged.
fn is_undecodable(message: &str) -> bool {
    message.starts_with("failed to decode Protobuf message")
}

fn is_internal(code: Code) -> bool {
    matches!(code, Code::Internal | Code::Unknown | Code::DataLoss | Code::Ok)
}

/// The contract's error for one that the libraries below made.
fn replacement(given: &Status, limit: usize) -> Status {
    let (reason, message) = match given.code() {
        // The services' own errors all have an ErrorInfo, so this is tonic's size limit.
        Code::OutOfRange => {
            (Reason::MessageTooLarge, format!("a message may have {limit} bytes at most"))
        }
        Code::Unimplemented => (Reason::MethodUnknown, "no such method here".to_owned()),
        Code::Cancelled => (Reason::Cancelled, "the call was cancelled".to_owned()),
        Code::DeadlineExceeded => (Reason::DeadlineExceeded, "the deadline passed".to_owned()),
        Code::ResourceExhausted => (Reason::Overloaded, "the server is overloaded".to_owned()),
        Code::Unavailable => (Reason::NotServing, "the server is starting or stopping".to_owned()),
        Code::Unauthenticated => (Reason::TokenInvalid, "the token is not valid".to_owned()),
        Code::PermissionDenied => (Reason::RoleNotAllowed, "not for this caller".to_owned()),
        Code::InvalidArgument | Code::Internal => {
            (Reason::MessageMalformed, "the message is malformed".to_owned())
        }
        Code::NotFound => (Reason::RecordUnknown, "not found".to_owned()),
        code => {
            let error = given.message();
            tracing::error!(?code, error, "an error without a reason of the contract");
            (Reason::Internal, INTERNAL.to_owned())
        }
    };
    if reason == Reason::Overloaded {
        return status::retryable(reason, message, super::shed::RETRY_AFTER);
    }
    status::status(reason, message)
}

/// Whether the details hold exactly one `ErrorInfo`, and it is the contract's.
fn has_our_info(details: &[u8]) -> bool {
    let Ok(status) = pb::Status::decode(details) else { return false };
    let mut infos = status.details.iter().filter(|detail| detail.type_url == ERROR_INFO);
    let (Some(info), None) = (infos.next(), infos.next()) else { return false };
    pb::ErrorInfo::decode(&*info.value).is_ok_and(|info| {
        info.domain == status::DOMAIN && Reason::from_str_name(&info.reason).is_some()
    })
}

/// Puts a status where one was, or where none was.
fn write(status: &Status, headers: &mut HeaderMap) {
    for name in [GRPC_STATUS, "grpc-message", "grpc-status-details-bin"] {
        headers.remove(name);
    }
    // Our statuses have plain messages and no metadata, which is all that could fail.
    let _ = status.add_header(headers);
    let _: &HeaderValue =
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/grpc"));
}
