//! A connection whose client says nothing, nothing of use, or takes nothing, must not stay.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// What an HTTP/2 client says first (RFC 9113, section 3.4); no HTTP/1.1 request is shorter.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long clients may take, and what they may send for nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the first bytes: until they have come, hyper neither pings the client nor ends the
    /// connection when the server drains.
    pub(super) opening: Duration,
    /// For taking some of what is sent to them.
    pub(super) stall: Duration,
    /// Control frames that nothing explains.
    pub(super) control_frames: u32,
}

/// A connection's bytes, watched.
pub(super) struct Guard<I> {
    stream: I,
    limits: Limits,
    /// None once the first bytes are here.
    opening: Option<Opening>,
    /// Of HTTP/2; of HTTP/1.1 there are none.
    frames: Option<Frames>,
    /// Rings when the client has taken nothing for too long. None while it takes what there is.
    stalled: Option<Pin<Box<Sleep>>>,
}

struct Opening {
    known: usize,
    patience: Pin<Box<Sleep>>,
}

impl<I> Guard<I> {
    pub(super) fn new(stream: I, limits: Limits) -> Self {
        let opening = Opening { known: 0, patience: Box::pin(sleep(limits.opening)) };
        let frames = Some(Frames::new(limits.control_frames, Instant::now()));
        Self { stream, limits, opening: Some(opening), frames, stalled: None }
    }

    /// Looks at what has come.
    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(opening) = &mut self.opening {
            let (said, rest) = bytes.split_at(bytes.len().min(PREFACE.len() - opening.known));
            if *said != PREFACE[opening.known..opening.known + said.len()] {
                self.frames = None;
            }
            opening.known += said.len();
            if opening.known == PREFACE.len() {
                self.opening = None;
            }
            bytes = rest;
        }
        self.frames.as_mut().map_or(Ok(()), |frames| frames.take(bytes, Instant::now))
    }

    /// Takes note of whether the client took something.
    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stalled = None;
            return wrote;
        }
        let limit = self.limits.stall;
        ready!(self.stalled.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn wrote_bytes(
        &mut self,
        cx: &mut Context<'_>,
        wrote: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let (Poll::Ready(Ok(count)), Some(frames)) = (&wrote, &mut self.frames) {
            frames.earn(*count);
        }
        self.wrote(cx, wrote)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guard<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.look(&buffer.filled()[before..])?;
        match &mut self.opening {
            Some(opening) if read.is_pending() => {
                ready!(opening.patience.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            _ => read,
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guard<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote_bytes(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote_bytes(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(cx, shut)
    }
}

/// A frame's length in three bytes, its type, its flags, its stream.
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// Bytes that are sent to a client for each control frame that they explain: an answer is larger,
/// what confirms a ping or settings smaller.
const BYTES_PER_FRAME: usize = 64;

/// The frames that a client sends, counted where they carry nothing of a call: a flood of them costs
/// the client nothing, and no limit of HTTP/2 stops it. Those of calls have limits of their own.
struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that are here.
    known: usize,
    /// Bytes of the frame that are missing.
    left: usize,
    limit: u32,
    credit: u32,
    /// Until when time has been credited. Looked at when the credit is used up.
    credited: Instant,
}

impl Frames {
    fn new(limit: u32, now: Instant) -> Self {
        Self { header: [0; HEADER], known: 0, left: 0, limit, credit: limit, credited: now }
    }

    fn take(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> io::Result<()> {
        loop {
            let inside = self.left.min(bytes.len());
            self.left -= inside;
            bytes = &bytes[inside..];
            if bytes.is_empty() {
                return Ok(());
            }
            let more = (HEADER - self.known).min(bytes.len());
            self.header[self.known..self.known + more].copy_from_slice(&bytes[..more]);
            self.known += more;
            bytes = &bytes[more..];
            if self.known < HEADER {
                return Ok(());
            }
            let [high, middle, low, kind, ..] = self.header;
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.known = 0;
            if !matches!(kind, DATA | HEADERS | CONTINUATION) {
                self.spend(&now)?;
            }
        }
    }

    fn earn(&mut self, bytes: usize) {
        let earned = u32::try_from(bytes / BYTES_PER_FRAME).unwrap_or(u32::MAX);
        self.credit = self.credit.saturating_add(earned).min(self.limit);
    }

    fn spend(&mut self, now: impl Fn() -> Instant) -> io::Result<()> {
        if self.credit == 0 {
            let now = now();
            let earned = (now - self.credited).as_millis() * u128::from(self.limit) / 10_000;
            self.credit = u32::try_from(earned).unwrap_or(u32::MAX).min(self.limit);
            if self.credit == 0 {
                return Err(io::Error::other("more control frames than calls explain"));
            }
            self.credited = now;
        }
        self.credit -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, 0, 0, 0, 0, 0];
        frame.extend(vec![PING; length.into()]);
        frame
    }

    #[test]
    fn control_frames_are_found_between_the_others() {
        let now = Instant::now();
        let data = [frame(DATA, 200), frame(HEADERS, 3), frame(CONTINUATION, 0)].concat();
        let stream = [data.repeat(1000), frame(PING, 8), data, frame(PING, 8)].concat();
        for size in [1, 2, 7, 9, 10, 1000, stream.len()] {
            let mut pieces = stream.chunks(size);
            let mut frames = Frames::new(2, now);
            assert!(pieces.all(|piece| frames.take(piece, || now).is_ok()), "pieces of {size}");
            assert_eq!(frames.credit, 0);
            assert!(frames.take(&frame(PING, 8), || now).is_err());
        }
    }

    #[test]
    fn traffic_and_time_explain_control_frames() {
        let began = Instant::now();
        let after = |seconds| move || began + Duration::from_secs(seconds);
        let mut frames = Frames::new(100, began);
        let mut spend =
            |count, seconds| -> bool { (0..count).all(|_| frames.spend(after(seconds)).is_ok()) };
        assert!(spend(100, 0));
        assert!(!spend(1, 0));
        assert!(spend(20, 2));
        assert!(!spend(1, 2));
        assert!(spend(100, 3600), "no more than the limit, ever");
        assert!(!spend(1, 3600));
        frames.earn(50 * BYTES_PER_FRAME);
        assert_eq!(frames.credit, 50);
        frames.earn(usize::MAX);
        assert_eq!(frames.credit, 100);
    }
}
