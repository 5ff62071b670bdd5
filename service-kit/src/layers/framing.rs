//! A request that is not framed as gRPC says is its sender's fault, and is told as that.
//!
//! tonic says INTERNAL to most of these, and whoever forwards a body without decoding it would not
//! notice at all. Only the five bytes in front of each message are looked at.

use std::{
    convert::Infallible,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use proto::{errors::v1::Reason, status};
use tonic::{Status, metadata::MetadataValue};
use tower::Service;

use super::{answer::Answer, call::Call, cut};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_STATUS: &str = "grpc-status";

/// The largest message of methods that anybody may call, health and reflection, in bytes: what
/// strangers can make us hold.
const OPEN_LIMIT: usize = 16 << 10;

/// A flag, and the message's length in four bytes.
const PREFIX: usize = 5;

/// What is wrong with how a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The method takes one message, and none came.
    Missing,
    /// The method takes one message, and more came.
    TooMany,
    /// A message's flag is neither 0 nor 1.
    Flag,
    /// A message says that it is compressed, and the headers do not say how.
    Compressed,
    /// A message says that it is larger than is accepted, in bytes.
    TooLarge { limit: usize },
    /// The stream ended within a message: its length is a lie.
    Short,
    /// gRPC-Web's text form that is not base64.
    Text,
}

impl Fault {
    pub(super) fn status(self) -> Status {
        let message = match self {
            Self::Missing => "the request has no message",
            Self::TooMany => "the method takes one message",
            Self::Flag => "a message's flag is neither 0 nor 1",
            Self::Compressed => {
                "a message is flagged as compressed, and grpc-encoding names nothing"
            }
            Self::TooLarge { limit } => {
                let message = format!("a message may have {limit} bytes at most");
                return status::status(Reason::MessageTooLarge, message);
            }
            Self::Short => "the request ended within a message",
            Self::Text => "the request is not base64",
        };
        status::status(Reason::MessageMalformed, message)
    }
}

/// Where in which message a body is.
#[derive(Debug)]
pub(super) struct Frames {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that are here.
    known: usize,
    /// Bytes of the message that are missing.
    left: usize,
    /// Whether a message has begun.
    any: bool,
    /// Whether the caller may send any number of messages, rather than one.
    streams: bool,
    limit: usize,
}

impl Frames {
    pub(super) fn new(streams: bool, limit: usize) -> Self {
        Self { prefix: [0; PREFIX], known: 0, left: 0, any: false, streams, limit }
    }

    /// Moves on by what has come. With a fault: how many bytes in front of it are good.
    pub(super) fn take(&mut self, data: &[u8]) -> Result<(), (Fault, usize)> {
        let mut at = 0;
        loop {
            let inside = self.left.min(data.len() - at);
            self.left -= inside;
            at += inside;
            if at == data.len() {
                return Ok(());
            }
            let start = at;
            let more = (PREFIX - self.known).min(data.len() - at);
            self.prefix[self.known..self.known + more].copy_from_slice(&data[at..at + more]);
            self.known += more;
            at += more;
            self.left = self.begin().map_err(|fault| (fault, start))?;
            if self.known < PREFIX {
                return Ok(());
            }
            (self.known, self.any) = (0, true);
        }
    }

    /// The length of the message that begins with the prefix, as far as that is here.
    fn begin(&self) -> Result<usize, Fault> {
        if self.any && !self.streams {
            return Err(Fault::TooMany);
        }
        let [flag, length @ ..] = self.prefix;
        match flag {
            0 if self.known < PREFIX => Ok(0),
            0 => match u32::from_be_bytes(length) as usize {
                length if length > self.limit => Err(Fault::TooLarge { limit: self.limit }),
                length => Ok(length),
            },
            1 => Err(Fault::Compressed),
            _ => Err(Fault::Flag),
        }
    }

    /// Whether the body may end here.
    pub(super) fn is_whole(&self) -> bool {
        self.left == 0 && self.known == 0 && (self.any || self.streams)
    }

    /// What is wrong with a body that ends here.
    pub(super) fn fault_at_end(&self) -> Option<Fault> {
        match self {
            frames if frames.is_whole() => None,
            Self { left: 0, known: 0, .. } => Some(Fault::Missing),
            _ => Some(Fault::Short),
        }
    }
}

/// Answers requests that are not gRPC, or compressed; watches the frames of the others, and answers
/// with what is wrong with them where the service below could not go on for that.
pub(super) struct Framing<S, B> {
    inner: S,
    limit: usize,
    body: PhantomData<fn(B)>,
}

impl<S, B> Framing<S, B> {
    /// `limit`: the largest message, in bytes.
    pub(super) fn new(inner: S, limit: usize) -> Self {
        Self { inner, limit, body: PhantomData }
    }
}

impl<S: Clone, B> Clone for Framing<S, B> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limit)
    }
}

impl<S, B, R> Service<Request<B>> for Framing<S, B>
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Default,
{
    type Response = Response<FramedAnswer<R>>;
    type Error = Infallible;
    type Future = FramedFuture<Answer<S::Future, R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let call = Call::of(request.extensions()).cloned();
        let future = match acceptable(&request) {
            Ok(()) => {
                let entry = call.as_ref().map(Call::entry);
                let streams = entry.is_none_or(|entry| entry.streams_in);
                let open = entry.is_some_and(|entry| entry.open);
                let limit = if open { self.limit.min(OPEN_LIMIT) } else { self.limit };
                let frames = Frames::new(streams, limit);
                let request = cut::mark(request, frames, call.clone());
                Answer::Below { future: self.inner.call(request) }
            }
            Err(status) => Answer::error(*status),
        };
        FramedFuture { future, call }
    }
}

fn acceptable<B>(request: &Request<B>) -> Result<(), Box<Status>> {
    let headers = request.headers();
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if request.method() != Method::POST || !is_grpc(kind) {
        return Err(status::status(Reason::MessageMalformed, "the request is not gRPC").into());
    }
    match headers.get(GRPC_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding == "identity" => Ok(()),
        Some(_) => {
            let message = "compressed messages are not accepted";
            let mut status = status::status(Reason::CompressionUnsupported, message);
            let accepted = MetadataValue::from_static("identity");
            status.metadata_mut().insert("grpc-accept-encoding", accepted);
            Err(status.into())
        }
    }
}

/// `application/grpc`, with or without a codec or parameters; not `application/grpc-web`.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// What to tell instead of the error in these headers.
fn instead(call: Option<&Call>, headers: &HeaderMap) -> Option<Status> {
    let fault = call?.fault().get()?;
    let is_error = headers.get(GRPC_STATUS).is_some_and(|code| code != "0");
    is_error.then(|| fault.status())
}

pin_project! {
    /// The future of [`Framing`].
    pub(super) struct FramedFuture<F> {
        #[pin]
        future: F,
        call: Option<Call>,
    }
}

impl<F, R> Future for FramedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Default,
{
    type Output = Result<Response<FramedAnswer<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.future.poll(cx));
        let call = this.call.take();
        if let Some(status) = instead(call.as_ref(), response.headers()) {
            response = status.into_http();
        }
        Poll::Ready(Ok(response.map(|body| FramedAnswer { body, call })))
    }
}

/// The body of [`Framing`]'s answer.
#[derive(Default)]
pub(super) struct FramedAnswer<R> {
    body: R,
    call: Option<Call>,
}

impl<R: http_body::Body<Data = Bytes> + Unpin> http_body::Body for FramedAnswer<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
            && let Some(status) = instead(self.call.as_ref(), trailers)
        {
            let mut trailers = HeaderMap::new();
            // A plain message and no metadata: nothing that could fail.
            let _ = status.add_header(&mut trailers);
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100;

    fn message(length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, 0, 0, length];
        frame.extend(vec![0xFF; length.into()]);
        frame
    }

    /// What is found in a body, however it is cut into pieces.
    fn found(streams: bool, body: &[u8]) -> Option<Fault> {
        let found = |size: usize| {
            let mut frames = Frames::new(streams, LIMIT);
            let taken = body.chunks(size).try_for_each(|piece| frames.take(piece));
            taken.map_or_else(|(fault, _)| Some(fault), |()| frames.fault_at_end())
        };
        let whole = found(body.len().max(1));
        for size in 1..=8 {
            assert_eq!(found(size), whole, "pieces of {size}");
        }
        whole
    }

    #[test]
    fn messages_are_counted_and_measured() {
        for length in [0, 1, 100] {
            assert_eq!(found(false, &message(length)), None);
        }
        assert_eq!(found(true, &[message(0), message(3), message(100)].concat()), None);
        assert_eq!(found(true, &[]), None, "a stream of no messages");
        assert_eq!(found(false, &[]), Some(Fault::Missing));
        assert_eq!(found(false, &[message(1), message(1)].concat()), Some(Fault::TooMany));
    }

    #[test]
    fn what_is_no_frame_is_found_wherever_it_stands() {
        let first = message(9);
        for (bad, fault) in [
            (&[2, 0, 0, 0, 0][..], Fault::Flag),
            (&[0x80, 0, 0, 0, 0], Fault::Flag),
            (&[1, 0, 0, 0, 0], Fault::Compressed),
            (&[0, 0, 0, 0, 101], Fault::TooLarge { limit: LIMIT }),
            (&[0, 255, 255, 255, 255], Fault::TooLarge { limit: LIMIT }),
            (&[0], Fault::Short),
            (&[0, 0, 0, 0, 1], Fault::Short),
            (&[0, 0, 0, 0, 3, 1, 1], Fault::Short),
        ] {
            assert_eq!(found(false, bad), Some(fault), "{bad:?}");
            assert_eq!(found(true, &[&first, bad].concat()), Some(fault), "{bad:?}");
        }
    }

    #[test]
    fn what_is_good_in_front_of_a_fault_is_told() {
        let piece = [message(9), message(0), vec![2, 0, 0]].concat();
        assert_eq!(Frames::new(true, LIMIT).take(&piece), Err((Fault::Flag, 19)));
        assert_eq!(Frames::new(false, LIMIT).take(&piece), Err((Fault::TooMany, 14)));
    }

    #[test]
    fn only_grpc_is_grpc() {
        for good in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is_grpc(good.as_bytes()), "{good}");
        }
        for bad in ["", "application/json", "application/grpc-web+proto", "application/grpcx"] {
            assert!(!is_grpc(bad.as_bytes()), "{bad}");
        }
    }
}
