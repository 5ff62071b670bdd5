//! One address of an upstream and the connections open to it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::time::{Instant, sleep};

use super::{
    connection::{Connection, Lease, Peer},
    dial::Target,
    ejection::Standing,
    roster::Roster,
};

/// How long after a failed attempt the next one begins. A call that needs the endpoint waits for
/// that attempt, so an outage costs a caller at most this and the connect timeout.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between attempts that no call waits for. A connection that lasted longer was
/// a good one.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the addresses of one configured endpoint have in common.
pub(super) struct Spec {
    pub(super) target: Arc<Target>,
    /// Connections at most.
    pub(super) max_connections: usize,
    /// Calls in progress on each connection before another one is opened.
    pub(super) calls_per_connection: usize,
    /// Failures in a row that eject an address.
    pub(super) eject_after: u32,
    /// How long after an ejection the address is first asked whether it serves.
    pub(super) probe_pause: Duration,
}

/// The outcome of connecting, to be waited for by every call that needs it. `false`: failed.
pub(super) type Attempt = Shared<BoxFuture<'static, bool>>;

/// One address of an upstream. The roster alone keeps it: when it is taken out there, it goes, and
/// each of its connections as soon as no call holds it any more.
pub(super) struct Endpoint {
    spec: Arc<Spec>,
    address: SocketAddr,
    roster: Weak<Roster>,
    standing: Arc<Standing>,
    connections: ArcSwap<Vec<Arc<Connection>>>,
    attempts: Mutex<Attempts>,
    /// Whether a task sees to it that a connection is opened again.
    reviving: AtomicBool,
}

#[derive(Default)]
struct Attempts {
    /// The one in progress.
    current: Option<Attempt>,
    /// When the next one may begin.
    not_before: Option<Instant>,
    /// How long to wait before one that no call asks for.
    pause: Duration,
    /// When the last connection was opened.
    opened: Option<Instant>,
    /// Whether it was told that the endpoint cannot be connected to.
    down: bool,
}

impl Endpoint {
    pub(super) fn new(spec: Arc<Spec>, address: SocketAddr, roster: Weak<Roster>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            standing: Standing::new(this.clone(), spec.eject_after, spec.probe_pause).into(),
            spec,
            address,
            roster,
            connections: ArcSwap::default(),
            attempts: Mutex::default(),
            reviving: AtomicBool::new(false),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Whether the calls of none of these went here.
    pub(super) fn is_none_of(&self, tried: &[Arc<Standing>]) -> bool {
        !tried.iter().any(|standing| Arc::ptr_eq(standing, &self.standing))
    }

    /// How long connecting may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.spec.target.connect_timeout()
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
        let Some(chosen) = open.min_by_key(|connection| connection.load()) else {
            // A connection that the other side is ending goes on while calls do, and takes none.
            if !connections.is_empty() {
                self.sweep();
            }
            return None;
        };
        let busy = chosen.load() >= self.spec.calls_per_connection;
        if busy && connections.len() < self.spec.max_connections {
            drop(self.attempt());
        }
        Some(Lease::of(chosen.clone()))
    }

    /// Opens a connection, or waits for the one being opened, which is then not `fresh`. `false`:
    /// it failed.
    ///
    /// The attempt does not belong to the call: it goes on when the call is cancelled.
    pub(super) fn attempt(self: &Arc<Self>) -> (Attempt, bool) {
        let mut attempts = self.attempts();
        // One that is over is still there if its task was ended from outside.
        if let Some(current) = attempts.current.as_ref().filter(|one| one.peek().is_none()) {
            return (current.clone(), false);
        }
        let task = tokio::spawn(self.clone().connect(attempts.not_before));
        let attempt = task.map(|connected| connected.unwrap_or(false)).boxed().shared();
        attempts.current = Some(attempt.clone());
        (attempt, true)
    }

    /// Opens a connection in the background, again and again until one is open.
    pub(super) fn revive(self: &Arc<Self>) {
        if !self.reviving.swap(true, SeqCst) {
            tokio::spawn(revive(Arc::downgrade(self)));
        }
    }

    /// What [`Standing`] does when calls have failed too often.
    pub(super) fn eject(self: &Arc<Self>) {
        if let Some(roster) = self.roster.upgrade() {
            roster.eject(self);
        }
    }

    /// What a probe does when the endpoint says that it serves.
    pub(super) fn readmit(&self) {
        if let Some(roster) = self.roster.upgrade() {
            roster.readmit(self);
        }
    }

    async fn connect(self: Arc<Self>, not_before: Option<Instant>) -> bool {
        if let Some(instant) = not_before {
            tokio::time::sleep_until(instant).await;
        }
        let peer = Peer { target: self.spec.target.clone(), standing: self.standing.clone() };
        let closed = Self::when_closed(Arc::downgrade(&self));
        let opened = self.spec.target.connect(self.address, peer, closed).await;
        let mut attempts = self.attempts();
        attempts.current = None;
        match opened {
            Ok(connection) => {
                attempts.not_before = None;
                attempts.opened = Some(Instant::now());
                self.add(connection);
                if std::mem::take(&mut attempts.down) {
                    tracing::info!(endpoint = %self, "endpoint is back");
                }
                true
            }
            Err(error) => {
                attempts.not_before = Some(Instant::now() + PAUSE);
                attempts.pause = longer(attempts.pause);
                // One more connection that cannot be opened says nothing against those that are.
                if !self.is_connected() && !std::mem::replace(&mut attempts.down, true) {
                    tracing::warn!(endpoint = %self, %error, "endpoint is down");
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
        self.tell();
    }

    /// What a connection does when it ends.
    fn when_closed(endpoint: Weak<Self>) -> impl FnOnce() + Send + 'static {
        move || {
            if let Some(endpoint) = endpoint.upgrade() {
                endpoint.sweep();
            }
        }
    }

    /// Forgets connections that take no more calls, and opens one when none is left.
    fn sweep(self: &Arc<Self>) {
        self.connections.rcu(|known| {
            let open = known.iter().filter(|connection| connection.is_open());
            open.cloned().collect::<Vec<_>>()
        });
        if self.is_connected() {
            return;
        }
        {
            let mut attempts = self.attempts();
            // Something that takes connections only to drop them is not asked without a pause.
            if let Some(opened) = attempts.opened.take() {
                let lasted = opened.elapsed() > LONGEST_PAUSE;
                attempts.pause = if lasted { Duration::ZERO } else { longer(attempts.pause) };
            }
        }
        self.tell();
        self.revive();
    }

    /// Tells the roster that a connection has come or gone.
    fn tell(&self) {
        if let Some(roster) = self.roster.upgrade() {
            roster.refresh();
        }
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.spec.target, self.address)
    }
}

fn longer(pause: Duration) -> Duration {
    (2 * pause).clamp(PAUSE, LONGEST_PAUSE)
}

/// Ends when a connection is open, or nobody has the endpoint any more.
async fn revive(endpoint: Weak<Endpoint>) {
    loop {
        let Some(this) = endpoint.upgrade() else { return };
        let pause = this.attempts().pause;
        drop(this);
        // Gateways that lost a replica at the same moment do not all come back at once.
        sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
        let Some(this) = endpoint.upgrade() else { return };
        if this.is_connected() || this.attempt().0.await {
            this.reviving.store(false, SeqCst);
            // Lost in between, when nobody was asked to revive it.
            if this.is_connected() || this.reviving.swap(true, SeqCst) {
                return;
            }
        }
    }
}
