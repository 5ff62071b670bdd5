//! The body of a request on its way to an upstream, kept while the call may have to be sent again.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use proto::{contract::Method, options::v1::Idempotency};

use crate::Body;

/// How much of a body is kept, in bytes: most unary requests, and little enough for every call in
/// progress to have it.
const KEPT: usize = 64 << 10;

/// Whether a call that was lost may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// No: sent twice it may take effect twice.
    Never,
    /// Only once its caller has sent all of it: a caller in the middle of a stream goes on with the
    /// replica that it began with, or not at all.
    WhenWhole,
    /// Yes: the caller has one message to send, which changes nothing, or nothing more.
    Always,
}

impl Repeat {
    /// What the contract says of the method.
    pub(crate) fn of(method: &Method) -> Self {
        match method.idempotency {
            Idempotency::Unspecified => Self::Never,
            Idempotency::ReadOnly | Idempotency::RequestId if method.client_streaming => {
                Self::WhenWhole
            }
            Idempotency::ReadOnly | Idempotency::RequestId => Self::Always,
        }
    }
}

/// A request's body, of which the bytes that were sent are kept until the call is answered.
pub(super) struct Replay {
    kept: Arc<Mutex<Kept>>,
    repeat: Repeat,
}

impl Replay {
    pub(super) fn new(body: Body, repeat: Repeat) -> Self {
        let kept = Kept {
            body,
            bytes: Vec::new(),
            given: 0,
            keeping: true,
            ended: false,
            broken: false,
            attempt: 0,
        };
        Self { kept: Arc::new(Mutex::new(kept)), repeat }
    }

    /// The body from its beginning. What was given out before ends there with an error.
    pub(super) fn attempt(&self) -> Outgoing {
        let mut kept = lock(&self.kept);
        kept.attempt += 1;
        kept.given = 0;
        Outgoing::Again(self.kept.clone(), kept.attempt)
    }

    /// Whether the body can be sent from its beginning once more.
    pub(super) fn is_repeatable(&self) -> bool {
        let kept = lock(&self.kept);
        let whole = kept.ended || kept.body.is_end_stream();
        kept.keeping && !kept.broken && (whole || self.repeat == Repeat::Always)
    }
}

impl Drop for Replay {
    /// The call is answered, or given up: nothing needs to be kept.
    fn drop(&mut self) {
        let mut kept = lock(&self.kept);
        kept.keeping = false;
        kept.free();
    }
}

/// Bytes without their frames: those say nothing in HTTP/2, and a large buffer that is kept for a
/// small frame's sake would be a way to fill our memory.
pub(super) struct Kept {
    body: Body,
    bytes: Vec<u8>,
    /// How much of `bytes` the current attempt has got.
    given: usize,
    /// Whether what comes is kept.
    keeping: bool,
    /// Whether the body came to its end.
    ended: bool,
    /// Whether it broke off.
    broken: bool,
    /// The attempt that gets the body, counted from 1.
    attempt: u32,
}

impl Kept {
    fn poll(
        &mut self,
        attempt: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if attempt != self.attempt {
            // Not the end: the upstream must not take what it has got for the whole.
            return Poll::Ready(Some(Err(axum::Error::new("the call was sent again"))));
        }
        if self.given < self.bytes.len() {
            let rest = Bytes::copy_from_slice(&self.bytes[self.given..]);
            self.given = self.bytes.len();
            self.free();
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        Poll::Ready(match ready!(data(&mut self.body, cx)) {
            Some(Ok(data)) => {
                self.keep(&data);
                Some(Ok(Frame::data(data)))
            }
            Some(Err(error)) => {
                self.broken = true;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                None
            }
        })
    }

    fn keep(&mut self, data: &[u8]) {
        if !self.keeping {
            return;
        }
        self.keeping = self.bytes.len() + data.len() <= KEPT;
        if self.keeping {
            self.bytes.extend_from_slice(data);
            self.given = self.bytes.len();
        } else {
            self.free();
        }
    }

    /// Lets go of what nobody will ask for.
    fn free(&mut self) {
        if !self.keeping && self.given == self.bytes.len() {
            (self.bytes, self.given) = (Vec::new(), 0);
        }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.bytes.len() - self.given).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request as an upstream gets it. Without trailers, which gRPC's requests have
/// not: nothing behind the gateway need wonder what they mean.
pub(super) enum Outgoing {
    /// Passed on as it comes, and gone.
    Once(Body),
    /// Kept as it passes, for this attempt.
    Again(Arc<Mutex<Kept>>, u32),
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            Self::Once(body) => data(body, cx).map(|data| data.map(|data| data.map(Frame::data))),
            Self::Again(kept, attempt) => lock(kept).poll(*attempt, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Once(body) => body.is_end_stream(),
            Self::Again(kept, attempt) => {
                let kept = lock(kept);
                kept.attempt == *attempt
                    && kept.given == kept.bytes.len()
                    && (kept.ended || kept.body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Once(body) => body.size_hint(),
            Self::Again(kept, _) => lock(kept).size_hint(),
        }
    }
}

/// The next bytes of a body. At its trailers it ends.
fn data(body: &mut Body, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
    let frame = ready!(Pin::new(body).poll_frame(cx));
    Poll::Ready(match frame {
        Some(Ok(frame)) => frame.into_data().ok().map(Ok),
        Some(Err(error)) => Some(Err(error)),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use proto::contract;

    use super::*;

    fn body(chunks: &[&[u8]]) -> Body {
        let chunks: Vec<Result<_, axum::Error>> =
            chunks.iter().map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk)))).collect();
        Body::new(StreamBody::new(stream::iter(chunks)))
    }

    async fn rest(outgoing: Outgoing) -> Bytes {
        outgoing.collect().await.unwrap().to_bytes()
    }

    async fn next(outgoing: &mut Outgoing) -> Bytes {
        outgoing.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    #[test]
    fn what_may_be_repeated_is_as_the_contract_says() {
        let check = contract::method("/assent.consent.v1.ConsentService/Check").unwrap();
        let stream = contract::method("/assent.audience.v1.AudienceService/AppendUpload").unwrap();
        assert_eq!([check, stream].map(Repeat::of), [Repeat::Always, Repeat::WhenWhole]);
        for method in [check, stream] {
            let unspecified = Method { idempotency: Idempotency::Unspecified, ..method.clone() };
            assert_eq!(Repeat::of(&unspecified), Repeat::Never);
        }
    }

    #[tokio::test]
    async fn an_attempt_gets_all_from_the_beginning_wherever_the_last_one_was() {
        let chunks: [&[u8]; 4] = [b"\x00\x01", b"", b"\xff", b"end"];
        for got in 0..=chunks.len() {
            let replay = Replay::new(body(&chunks), Repeat::Always);
            let mut first = replay.attempt();
            for _ in 0..got {
                next(&mut first).await;
            }
            assert!(replay.is_repeatable());
            let second = replay.attempt();
            assert!(first.frame().await.unwrap().is_err(), "the first one goes on");
            assert_eq!(rest(second).await, chunks.concat());
            // And once more.
            assert_eq!(rest(replay.attempt()).await, chunks.concat());
        }
    }

    #[tokio::test]
    async fn a_long_body_passes_whole_and_once() {
        let long = vec![7; 40_000];
        let replay = Replay::new(body(&[&long, &long]), Repeat::Always);
        let mut first = replay.attempt();
        assert_eq!(next(&mut first).await.len(), 40_000);
        assert!(replay.is_repeatable());
        assert_eq!(next(&mut first).await.len(), 40_000);
        assert!(!replay.is_repeatable());
        assert_eq!(lock(&replay.kept).bytes.capacity(), 0);
    }

    #[tokio::test]
    async fn nothing_is_kept_once_the_call_is_answered_even_in_the_midst_of_a_replay() {
        let replay = Replay::new(body(&[b"one", b"two"]), Repeat::Always);
        let mut first = replay.attempt();
        next(&mut first).await;
        let mut second = replay.attempt();
        let kept = replay.kept.clone();
        drop(replay);
        assert_eq!(next(&mut second).await, "one");
        assert_eq!(lock(&kept).bytes.capacity(), 0);
        assert_eq!(rest(second).await, "two");
        assert_eq!(lock(&kept).bytes.capacity(), 0);
    }

    #[tokio::test]
    async fn a_stream_is_repeatable_once_it_has_ended_and_a_broken_body_never() {
        let replay = Replay::new(body(&[b"one"]), Repeat::WhenWhole);
        let mut first = replay.attempt();
        next(&mut first).await;
        assert!(!replay.is_repeatable());
        assert!(first.frame().await.is_none());
        assert!(replay.is_repeatable());

        let broken = stream::iter([Err::<Frame<Bytes>, _>(axum::Error::new("cut"))]);
        let replay = Replay::new(Body::new(StreamBody::new(broken)), Repeat::Always);
        assert!(replay.is_repeatable());
        assert!(replay.attempt().frame().await.unwrap().is_err());
        assert!(!replay.is_repeatable());
    }
}
