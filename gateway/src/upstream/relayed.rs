//! The body of an upstream's answer on its way to the caller.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use proto::{errors::v1::Reason, status};
use tonic::{Code, Status};

use super::connection::Lease;
use crate::error::Error;

/// An upstream's answer, frame by frame as it comes: a frame is taken from the connection only
/// when the caller has room for it. An answer that is cut ends with UNAVAILABLE in trailers, so
/// that the caller gets an error of the contract and not a bare stream reset; one that is cut because
/// the caller's request broke off, with the caller's own error.
pub(crate) struct Relayed {
    incoming: Incoming,
    upstream: &'static str,
    cut: bool,
    /// The call counts as in progress until its answer is dropped.
    lease: Lease,
}

impl Relayed {
    pub(super) fn new(incoming: Incoming, lease: Lease, upstream: &'static str) -> Self {
        Self { incoming, upstream, cut: false, lease }
    }

    fn cut(&mut self, source: hyper::Error) -> Frame<Bytes> {
        self.cut = true;
        let fault = self.lease.lost(&source);
        let error = Error::lost(self.upstream, fault, source);
        let mut trailers = HeaderMap::new();
        // A plain message and no metadata: nothing that could fail.
        let _ = Status::from(error).add_header(&mut trailers);
        Frame::trailers(trailers)
    }
}

impl Body for Relayed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.cut {
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(frame.map(|frame| Ok(frame.unwrap_or_else(|error| self.cut(error)))))
    }

    fn is_end_stream(&self) -> bool {
        self.cut || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Whether an answer is gRPC, and not a proxy's error page or another protocol's.
pub(super) fn is_grpc<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::OK
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| is_grpc_type(kind.as_bytes()))
}

/// Whether an answer is the error of a replica that is starting or stopping. Such a one is all in
/// the headers. Looked at closely only when its code is UNAVAILABLE (14).
pub(super) fn is_not_serving<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    headers.get(Status::GRPC_STATUS).is_some_and(|code| code.as_bytes() == b"14")
        && Status::from_header_map(headers).is_some_and(|error| {
            error.code() == Code::Unavailable && status::reason(&error) == Some(Reason::NotServing)
        })
}

/// `application/grpc`, with or without a codec or parameters; not `application/grpc-web`.
fn is_grpc_type(content_type: &[u8]) -> bool {
    content_type
        .strip_prefix(b"application/grpc")
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}
