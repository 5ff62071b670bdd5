//! One address of an upstream and the connections open to it.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use http::{Uri, uri::PathAndQuery};
use tokio::time::Instant;

use super::{
    connection::{Connection, Lease},
    dial::Target,
};

/// How long after a failed attempt the next one begins. A call that needs the endpoint waits for
/// that attempt, so an outage costs a caller at most this and the connect timeout.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections an endpoint may have, and when one more is opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    /// Connections at most.
    pub(super) max_connections: usize,
    /// Calls in progress on each connection before another one is opened.
    pub(super) calls_per_connection: usize,
}

/// The outcome of connecting, to be waited for by every call that needs it. `false`: failed.
type Attempt = Shared<BoxFuture<'static, bool>>;

/// One address of an upstream.
pub(super) struct Endpoint {
    target: Target,
    pool: Pool,
    connections: ArcSwap<Vec<Arc<Connection>>>,
    /// Whether the last attempt to connect failed.
    down: AtomicBool,
    attempts: Mutex<Attempts>,
}

#[derive(Default)]
struct Attempts {
    /// The one in progress.
    current: Option<Attempt>,
    /// When the next one may begin.
    not_before: Option<Instant>,
}

impl Endpoint {
    pub(super) fn new(target: Target, pool: Pool) -> Self {
        Self {
            target,
            pool,
            connections: ArcSwap::default(),
            down: AtomicBool::new(false),
            attempts: Mutex::default(),
        }
    }

    /// The address of a path here.
    pub(super) fn uri(&self, path: PathAndQuery) -> Uri {
        self.target.uri(path)
    }

    /// Whether it could not be connected to when last tried.
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Whether a connection is open.
    pub(super) fn is_connected(&self) -> bool {
        self.connections.load().iter().any(|connection| connection.is_open())
    }

    /// Calls in progress.
    pub(super) fn load(&self) -> usize {
        self.connections.load().iter().map(|connection| connection.load()).sum()
    }

    /// The least busy connection, if one is open. When all are busy another is opened in the
    /// background, for the calls that follow.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let connections = self.connections.load();
        let open = connections.iter().filter(|connection| connection.is_open());
        let chosen = open.min_by_key(|connection| connection.load())?;
        let busy = chosen.load() >= self.pool.calls_per_connection;
        if busy && connections.len() < self.pool.max_connections {
            drop(self.attempt());
        }
        Some(Lease::of(chosen.clone()))
    }

    /// Opens a connection, or waits for the one being opened. `false`: it failed.
    ///
    /// The attempt does not belong to the call: it goes on when the call is cancelled.
    pub(super) fn attempt(self: &Arc<Self>) -> Attempt {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &attempts.current {
            return current.clone();
        }
        let task = tokio::spawn(self.clone().connect(attempts.not_before));
        let attempt = task.map(|connected| connected.unwrap_or(false)).boxed().shared();
        attempts.current = Some(attempt.clone());
        attempt
    }

    async fn connect(self: Arc<Self>, not_before: Option<Instant>) -> bool {
        if let Some(instant) = not_before {
            tokio::time::sleep_until(instant).await;
        }
        let opened = self.target.connect(Self::forget_closed(Arc::downgrade(&self))).await;
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.current = None;
        // One more connection that cannot be opened says nothing against those that are.
        let is_down = opened.is_err() && !self.is_connected();
        let was_down = self.down.swap(is_down, Relaxed);
        match opened {
            Ok(connection) => {
                attempts.not_before = None;
                self.add(connection);
                if was_down {
                    tracing::info!(endpoint = %self.target, "endpoint is back");
                }
                true
            }
            Err(error) => {
                attempts.not_before = Some(Instant::now() + PAUSE);
                if is_down && !was_down {
                    tracing::warn!(endpoint = %self.target, %error, "endpoint is down");
                }
                false
            }
        }
    }

    fn add(&self, connection: Connection) {
        let connection = Arc::new(connection);
        self.connections.rcu(|known| {
            let open = known.iter().filter(|connection| connection.is_open());
            open.chain([&connection]).cloned().collect::<Vec<_>>()
        });
    }

    /// What a connection does when it ends: nobody looks at it any more.
    fn forget_closed(endpoint: Weak<Self>) -> impl FnOnce() + Send + 'static {
        move || {
            let Some(endpoint) = endpoint.upgrade() else { return };
            endpoint.connections.rcu(|known| {
                let open = known.iter().filter(|connection| connection.is_open());
                open.cloned().collect::<Vec<_>>()
            });
        }
    }
}
