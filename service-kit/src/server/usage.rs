//! How much a connection is used, and whether it must go.

use std::{
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::Notify;

/// The calls of one connection.
#[derive(Debug)]
pub(super) struct Usage {
    /// In progress.
    calls: AtomicUsize,
    /// Begun, ever.
    begun: AtomicU64,
    /// The turn of [`Known`] in which it was last used.
    used: AtomicU64,
    /// The turn of [`Known`].
    turn: Arc<AtomicU64>,
    leave: Notify,
}

impl Usage {
    /// A call begins; it is in progress until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        self.calls.fetch_add(1, Relaxed);
        self.begun.fetch_add(1, Relaxed);
        self.touch();
        InProgress(self.clone())
    }

    /// How many calls have ever begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// Whether no call is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.calls.load(Relaxed) == 0
    }

    /// Returns when the connection must make room for another.
    pub(super) async fn must_leave(&self) {
        self.leave.notified().await;
    }

    fn touch(&self) {
        self.used.store(self.turn.load(Relaxed), Relaxed);
    }
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct InProgress(Arc<Usage>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.touch();
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

pin_project! {
    /// The body of an answer, with which its call ends.
    pub(super) struct Counted<R> {
        #[pin]
        pub(super) body: R,
        pub(super) call: InProgress,
    }
}

impl<R: Body> Body for Counted<R> {
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The connections of a server.
#[derive(Debug, Default)]
pub(super) struct Known {
    connections: Vec<Weak<Usage>>,
    /// Moves on with every connection, so that which one was used longest ago can be told without
    /// looking at the clock for every call.
    turn: Arc<AtomicU64>,
}

impl Known {
    /// One more.
    pub(super) fn add(&mut self) -> Arc<Usage> {
        // Those that have ended are taken out when the room for them is used up.
        if self.connections.len() == self.connections.capacity() {
            self.connections.retain(|usage| usage.strong_count() > 0);
        }
        let usage = Arc::new(Usage {
            calls: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            used: AtomicU64::new(self.turn.fetch_add(1, Relaxed)),
            turn: self.turn.clone(),
            leave: Notify::new(),
        });
        self.connections.push(Arc::downgrade(&usage));
        usage
    }

    /// Tells the connection that has been idle for longest to leave; none when none is.
    pub(super) fn make_room(&mut self) {
        let here = self.connections.iter().enumerate();
        let idle = here.filter_map(|(at, usage)| Some((at, usage.upgrade()?)));
        let idle = idle.filter(|(_, usage)| usage.is_idle());
        if let Some((at, usage)) = idle.min_by_key(|(_, usage)| usage.used.load(Relaxed)) {
            usage.leave.notify_one();
            self.connections.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn the_connection_that_was_used_longest_ago_goes_first() {
        let mut known = Known::default();
        let connections: Vec<_> = (0..5).map(|_| known.add()).collect();
        let _in_progress = connections[0].begin();
        drop(connections[1].begin());
        let gone = |known: &mut Known| {
            known.make_room();
            connections.iter().position(|usage| usage.must_leave().now_or_never().is_some())
        };
        let order = [2, 3, 4, 1].map(Some);
        assert_eq!(std::array::from_fn(|_| gone(&mut known)), order);
        assert_eq!(gone(&mut known), None, "it has a call");
    }

    #[test]
    fn connections_that_ended_are_forgotten() {
        let mut known = Known::default();
        let kept: Vec<_> = (0..10).map(|_| known.add()).collect();
        for _ in 0..1000 {
            known.add();
        }
        assert!(known.connections.len() <= 2 * kept.len());
    }
}
