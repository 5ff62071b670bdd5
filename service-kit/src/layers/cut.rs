//! A body that was cut has not ended.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{BoxError, body::Body};
use bytes::Bytes;
use http::{Request, Version};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use proto::{errors::v1::Reason, status};
use tonic::{Code, Status};

use super::{
    call::Call,
    framing::{Fault, Frames},
};

/// Makes a request's body that breaks off, or is not framed as it should be, an error for whoever
/// reads it; what is wrong with its frames is left with the call too, for the answer.
///
/// tonic ends the stream of a caller that cancels as if the caller had sent all of it, hyper that
/// of one whose stream is reset without an error (as some proxies do for callers that cancel), and
/// half an address book would pass for a whole one.
pub(super) fn mark<B>(request: Request<B>, frames: Frames, call: Option<Call>) -> Request<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let tells_its_end = request.version() == Version::HTTP_2;
    request.map(|body| {
        Body::new(Marked { body, tells_its_end, frames, call, fault: None, over: false })
    })
}

fn cut(cause: Option<BoxError>) -> Status {
    let mut status = status::status(Reason::StreamIncomplete, "the stream was cut before its end");
    if let Some(cause) = cause {
        // For whoever forwards the body: HTTP/2 has its own word for how it was cut.
        status.set_source(Arc::from(cause));
    }
    status
}

/// Whether this is what tonic-web says of a text that it cannot decode. It says the same of texts
/// that are cut, of which nobody is left to hear.
fn is_not_text(error: &BoxError) -> bool {
    error.downcast_ref::<Status>().is_some_and(|status| {
        status.code() == Code::Internal && status.message().starts_with("tonic-web: ")
    })
}

pin_project! {
    /// The body of [`mark`].
    struct Marked<B> {
        #[pin]
        body: B,
        // Whether the body knows that its sender said that it was the end: HTTP/2's does.
        tells_its_end: bool,
        frames: Frames,
        call: Option<Call>,
        // Found behind what was handed on last.
        fault: Option<Fault>,
        // Whether its end, or an error, has been told.
        over: bool,
    }
}

/// How a body ends.
enum End {
    Whole,
    Cut(Option<BoxError>),
    Faulty(Fault),
}

impl<B> Marked<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// The next frame, or the end.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, End>> {
        let mut this = self.project();
        if let Some(fault) = this.fault.take() {
            return Poll::Ready(Err(End::Faulty(fault)));
        }
        loop {
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let error = error.into();
                    let not_text = is_not_text(&error);
                    let end =
                        if not_text { End::Faulty(Fault::Text) } else { End::Cut(Some(error)) };
                    return Poll::Ready(Err(end));
                }
                None if *this.tells_its_end && !this.body.is_end_stream() => {
                    return Poll::Ready(Err(End::Cut(None)));
                }
                None => {
                    let end = this.frames.fault_at_end().map_or(End::Whole, End::Faulty);
                    return Poll::Ready(Err(end));
                }
            };
            let Some(data) = frame.data_ref() else { return Poll::Ready(Ok(frame)) };
            // HTTP/2 servers end connections with too many empty frames: those of one caller, passed
            // on, would end a connection that many share.
            if data.is_empty() {
                continue;
            }
            return Poll::Ready(match this.frames.take(data) {
                Ok(()) => Ok(frame),
                Err((fault, 0)) => Err(End::Faulty(fault)),
                Err((fault, good)) => {
                    *this.fault = Some(fault);
                    Ok(Frame::data(data.slice(..good)))
                }
            });
        }
    }
}

impl<B> http_body::Body for Marked<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let end = match ready!(self.as_mut().poll_next(cx)) {
            Ok(frame) => return Poll::Ready(Some(Ok(frame))),
            Err(end) => end,
        };
        let this = self.project();
        *this.over = true;
        Poll::Ready(match end {
            End::Whole => None,
            End::Cut(cause) => Some(Err(cut(cause))),
            End::Faulty(fault) => {
                if let Some(call) = this.call {
                    // There is one end, and so one fault.
                    let _ = call.fault().set(fault);
                }
                Some(Err(fault.status()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.body.is_end_stream() && self.frames.is_whole())
    }

    fn size_hint(&self) -> SizeHint {
        // What was announced is not what is handed on, of gRPC-Web's text form or with a fault: whoever
        // forwards the body must not announce it again.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::stream;
    use http_body_util::{Full, StreamBody};
    use prost::Message as _;
    use proto::{codec::ContractCodec, suggest::v1::SyncContactsRequest};
    use tonic::{Streaming, codec::Codec as _};

    use super::*;

    /// One whole message.
    fn message() -> Bytes {
        let message = SyncContactsRequest { request_id: "r".to_owned(), ..Default::default() };
        let message = message.encode_to_vec();
        let mut frame = vec![0];
        frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        frame.extend(message);
        Bytes::from(frame)
    }

    /// One whole message, and then the caller cancels.
    fn cancelled() -> impl http_body::Body<Data = Bytes, Error = h2::Error> + Send + 'static {
        let cancel = Err(h2::Error::from(h2::Reason::CANCEL));
        StreamBody::new(stream::iter([Ok(Frame::data(message())), cancel]))
    }

    fn http2<B>(body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.version_mut() = Version::HTTP_2;
        request
    }

    fn watched<B>(request: Request<B>) -> Body
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        mark(request, Frames::new(true, 1000), None).into_body()
    }

    fn messages<B>(body: B) -> Streaming<SyncContactsRequest>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let decoder =
            ContractCodec::<SyncContactsRequest, SyncContactsRequest>::default().decoder();
        Streaming::new_request(decoder, body, None, None)
    }

    #[tokio::test]
    async fn a_stream_that_its_caller_cancels_does_not_look_complete() {
        let mut unmarked = messages(cancelled());
        assert!(unmarked.message().await.unwrap().is_some());
        assert!(unmarked.message().await.unwrap().is_none(), "tonic tells no longer: drop this");

        let mut marked = messages(watched(Request::new(cancelled())));
        assert!(marked.message().await.unwrap().is_some());
        let cut = marked.message().await.unwrap_err();
        assert_eq!(status::reason(&cut), Some(Reason::StreamIncomplete));
    }

    #[tokio::test]
    async fn nor_does_one_that_is_reset_without_an_error() {
        // It has no more to say, and has not said that this was the end.
        let data: Result<_, std::convert::Infallible> = Ok(Frame::data(message()));
        let reset = StreamBody::new(stream::iter([data]));
        let mut marked = messages(watched(http2(reset)));
        assert!(marked.message().await.unwrap().is_some());
        let cut = marked.message().await.unwrap_err();
        assert_eq!(status::reason(&cut), Some(Reason::StreamIncomplete));

        let mut whole = messages(watched(http2(Full::new(message()))));
        assert!(whole.message().await.unwrap().is_some());
        assert!(whole.message().await.unwrap().is_none());
    }
}
