//! One HTTP/2 connection to an upstream.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response, Uri, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http2::{Builder, SendRequest},
    },
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{dial::Target, ejection::Standing, replay::Outgoing};

/// What may lie in memory for one stream that its reader does not take: the window that the
/// upstream may fill, and as much again for what waits to be sent to it. In a data centre (1 ms
/// there and back) a stream still carries 128 MB/s.
const STREAM_WINDOW: u32 = 128 << 10;

/// As large as HTTP/2 allows: the streams' own windows bound memory, and a window shared by all
/// callers would let a few slow readers stop everybody else's calls.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// How HTTP/2 is spoken to an upstream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Http2 {
    /// How long a connection may be silent before it is pinged.
    pub(super) keepalive_interval: Duration,
    /// How long the answer to a ping may take before the connection is given up.
    pub(super) keepalive_timeout: Duration,
    /// The largest header list accepted from an upstream, in bytes.
    pub(super) max_header_bytes: u32,
}

/// Whose connection it is.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) target: Arc<Target>,
    pub(super) standing: Arc<Standing>,
}

/// An open connection and the calls in progress on it.
pub(super) struct Connection {
    peer: Peer,
    sender: SendRequest<Outgoing>,
    in_flight: AtomicUsize,
    /// Whether calls were lost with it.
    lost: AtomicBool,
}

impl Connection {
    /// Speaks HTTP/2 on `io`. `closed` runs when the connection is over, whoever ended it.
    pub(super) async fn open<T>(
        io: T,
        peer: Peer,
        http2: Http2,
        closed: impl FnOnce() + Send + 'static,
    ) -> hyper::Result<Self>
    where
        T: Read + Write + Send + Unpin + 'static,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(STREAM_WINDOW as usize)
            .max_header_list_size(http2.max_header_bytes)
            // Also while idle: a peer that vanished is noticed before a call is sent to it.
            .keep_alive_interval(http2.keepalive_interval)
            .keep_alive_timeout(http2.keepalive_timeout)
            .keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(io).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
            closed();
        });
        let (in_flight, lost) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Self { peer, sender, in_flight, lost })
    }

    /// Whether calls can still be sent on it.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Calls in progress.
    pub(super) fn load(&self) -> usize {
        self.in_flight.load(Relaxed)
    }
}

/// Whose fault it is that a call was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The caller's: its request broke off.
    Caller,
    /// The upstream's, or the network's on the way there.
    Upstream,
}

/// A call in progress: counted from the moment a connection is chosen until its response's body
/// is dropped.
pub(crate) struct Lease(Arc<Connection>);

impl Lease {
    pub(super) fn of(connection: Arc<Connection>) -> Self {
        connection.in_flight.fetch_add(1, Relaxed);
        Self(connection)
    }

    /// The address of a path at the other end.
    pub(super) fn uri(&self, path: PathAndQuery) -> Uri {
        self.0.peer.target.uri(path)
    }

    /// How calls on the endpoint at the other end have gone.
    pub(super) fn standing(&self) -> &Arc<Standing> {
        &self.0.peer.standing
    }

    /// Sends the request. Dropping the future or the answer's body cancels it at the upstream.
    ///
    /// An error that still holds the request means that none of it was sent.
    pub(super) async fn send(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Outgoing>>> {
        self.0.sender.clone().try_send_request(request).await
    }

    /// Notes that the call was lost, and tells by whose fault. A connection that is lost is one
    /// failure of its endpoint, however many calls were on it.
    pub(super) fn lost(&self, error: &hyper::Error) -> Fault {
        let failed = match Loss::of(error) {
            Loss::OwnReset => return Fault::Caller,
            Loss::Reset => true,
            Loss::Refused => false,
            Loss::Connection => !self.0.lost.swap(true, Relaxed),
        };
        if failed {
            self.standing().failed();
        }
        Fault::Upstream
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// How a call was lost.
enum Loss {
    /// Its stream was reset on this side, which hyper does when the request's body is an error.
    OwnReset,
    /// Its stream was reset by the upstream, which may have begun with it.
    Reset,
    /// The upstream did not begin with it, or its answer cannot be taken: nothing that speaks
    /// against the endpoint.
    Refused,
    /// The connection ended.
    Connection,
}

impl Loss {
    fn of(error: &hyper::Error) -> Self {
        match error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
            Some(error) if !error.is_reset() => Self::Connection,
            Some(error) if error.is_library() => Self::Refused,
            Some(error) if !error.is_remote() => Self::OwnReset,
            Some(error) if error.reason() == Some(h2::Reason::REFUSED_STREAM) => Self::Refused,
            Some(_) => Self::Reset,
            None => Self::Connection,
        }
    }
}
