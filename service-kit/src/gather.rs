//! Sending together what is written one by one.
//!
//! Many calls share a connection, and each of them wakes the task that writes for all. Written at
//! once, every answer would be a system call, a packet and a wake-up at the other end: more than
//! all else that a small call costs. So a small write waits until the tasks that are ready now have
//! run, which is no longer than the worker would have needed for them anyway; on an idle worker it
//! waits for nothing.

use std::{
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
};

use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::yield_now,
};

/// What is as large as this is worth a system call of its own, in bytes.
const ENOUGH: usize = 8 << 10;

/// A connection of which small writes are gathered.
#[derive(Debug)]
pub struct Gathered<I> {
    stream: I,
    state: State,
    turn: Arc<Turn>,
    waker: Waker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing waits to be written.
    Flushed,
    /// For the turn.
    Waiting,
    /// What there is goes out.
    Writing,
}

/// Comes when the tasks that were ready have run.
#[derive(Debug, Default)]
struct Turn {
    come: AtomicBool,
    writer: AtomicWaker,
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.come.store(true, Ordering::Release);
        self.writer.wake();
    }
}

impl<I> Gathered<I> {
    /// Gathers what is written to a stream.
    pub fn new(stream: I) -> Self {
        let turn = Arc::<Turn>::default();
        let waker = turn.clone().into();
        Self { stream, state: State::Flushed, turn, waker }
    }

    /// Ready when so many bytes may be written.
    fn poll_turn(&mut self, cx: &Context<'_>, bytes: usize) -> Poll<()> {
        if self.state == State::Writing || bytes >= ENOUGH {
            self.state = State::Writing;
            return Poll::Ready(());
        }
        self.turn.writer.register(cx.waker());
        if self.state == State::Flushed {
            self.state = State::Waiting;
            self.turn.come.store(false, Ordering::Relaxed);
            // The runtime keeps the waker until nothing else is ready.
            let _ = pin!(yield_now()).poll(&mut Context::from_waker(&self.waker));
        }
        if !self.turn.come.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        self.state = State::Writing;
        Poll::Ready(())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Gathered<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Gathered<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx, bytes.len()));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(cx, slices.iter().map(|slice| slice.len()).sum()));
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.state == State::Writing {
            self.state = State::Flushed;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{future::poll_fn, sync::Mutex};

    use bytes::{Buf as _, BytesMut};
    use tokio::{
        io::AsyncWriteExt as _,
        runtime::{Builder, Runtime},
        sync::mpsc,
    };

    use super::*;

    /// Takes all that is written and remembers each write.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<Vec<u8>>>>);

    impl AsyncWrite for Log {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// As services run, which have tasks that wake each other run next.
    fn runtime() -> Runtime {
        Builder::new_multi_thread().worker_threads(1).build().unwrap()
    }

    /// Writes what comes, as HTTP/2 does: all that is there, whenever it is woken.
    async fn write<I: AsyncWrite + Unpin>(mut stream: I, mut parts: mpsc::Receiver<Vec<u8>>) {
        let mut bytes = BytesMut::new();
        poll_fn(|cx| {
            let over = loop {
                match parts.poll_recv(cx) {
                    Poll::Ready(Some(part)) => bytes.extend_from_slice(&part),
                    Poll::Ready(None) => break true,
                    Poll::Pending => break false,
                }
            };
            while !bytes.is_empty() {
                let written = ready!(Pin::new(&mut stream).poll_write(cx, &bytes)).unwrap();
                bytes.advance(written);
            }
            ready!(Pin::new(&mut stream).poll_flush(cx)).unwrap();
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// The writes to which a hundred tasks come that have one byte each.
    fn writes<I>(stream: impl FnOnce(Log) -> I) -> Vec<Vec<u8>>
    where
        I: AsyncWrite + Unpin + Send + 'static,
    {
        let log = Log::default();
        let stream = stream(log.clone());
        runtime().block_on(async {
            let all = tokio::spawn(async {
                let (parts, receiver) = mpsc::channel(100);
                let writer = tokio::spawn(write(stream, receiver));
                yield_now().await;
                for part in 0..100 {
                    let parts = parts.clone();
                    tokio::spawn(async move { parts.send(vec![part]).await.unwrap() });
                }
                drop(parts);
                writer.await.unwrap();
            });
            all.await.unwrap();
        });
        let writes = log.0.lock().unwrap();
        writes.clone()
    }

    #[test]
    fn what_tasks_that_are_ready_write_goes_out_together() {
        let (one_by_one, gathered) = (writes(|log| log), writes(Gathered::new));
        assert!(one_by_one.len() >= 30, "{} writes", one_by_one.len());
        assert!(gathered.len() <= 5, "{} writes", gathered.len());
        let mut all = gathered.concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_large_waits_for_nobody_and_what_is_small_not_for_long() {
        runtime().block_on(async {
            let log = Log::default();
            let mut stream = Gathered::new(log.clone());
            let large = vec![1; ENOUGH];
            let written = futures::poll!(std::pin::pin!(stream.write(&large)));
            assert!(matches!(written, Poll::Ready(Ok(ENOUGH))));
            // It goes on until all that there is has been written.
            assert!(futures::poll!(std::pin::pin!(stream.write(b"rest"))).is_ready());
            stream.flush().await.unwrap();
            for _ in 0..100 {
                stream.write_all(b"small").await.unwrap();
                stream.flush().await.unwrap();
            }
            assert_eq!(log.0.lock().unwrap().len(), 102);
        });
    }
}
