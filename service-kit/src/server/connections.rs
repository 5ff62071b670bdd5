//! Accepting connections, serving calls on them, and ending them when draining.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::BoxError;
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{
    Tls,
    guard::{Guard, Limits},
    patience::{Patient, Streams},
    usage::{Counted, Known, Usage},
};
use crate::{auth::Peer, config::ServerConfig, gather::Gathered};

/// How much of one call's body a client may send before a handler takes it: what a client that
/// sends faster than it is read can make us hold.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same of all calls on one connection. A gateway has the calls of many callers on one: as
/// many of them as fit in here may be slow before the others wait for them.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// The largest frame accepted, in bytes: the least that HTTP/2 lets a server ask for.
const MAX_FRAME: u32 = 16 << 10;

/// How long to pause when the system has no more sockets to give, and until another connection is
/// asked to make room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a connection that must go may take to say so.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/2, as gRPC needs.
    Http2,
    /// HTTP/1.1 too, which browsers may use for gRPC-Web.
    Http1And2,
}

impl Protocols {
    /// The names of the protocols in ALPN.
    pub(crate) fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http2 => &[b"h2"],
            Self::Http1And2 => &[b"h2", b"http/1.1"],
        }
    }
}

/// The connections of a server.
#[derive(Clone)]
pub(crate) struct Connections {
    builder: auto::Builder<Streams>,
    tls: Option<Tls>,
    limits: Limits,
    idle_timeout: Duration,
    places: Arc<Semaphore>,
    /// Cancelled to end connections once their calls are answered.
    closing: CancellationToken,
}

impl Connections {
    pub(crate) fn new(
        config: &ServerConfig,
        protocols: Protocols,
        tls: Option<Tls>,
        closing: CancellationToken,
    ) -> Self {
        let limits = Limits {
            opening: config.handshake_timeout.get(),
            stall: config.stall_timeout.get(),
            control_frames: config.max_control_frames,
        };
        let mut builder = auto::Builder::new(Streams { patience: limits.stall });
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_concurrent_streams(config.max_concurrent_streams)
            .max_pending_accept_reset_streams(config.max_pending_resets)
            .max_local_error_reset_streams(config.max_stream_errors)
            .max_header_list_size(config.max_header_bytes)
            .keep_alive_interval(config.keepalive_interval.get())
            .keep_alive_timeout(config.keepalive_timeout.get())
            .auto_date_header(false);
        if protocols == Protocols::Http2 {
            builder = builder.http2_only();
        } else {
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(config.handshake_timeout.get())
                // hyper needs at least 8 KiB to read a request's head.
                .max_buf_size((config.max_header_bytes as usize).max(8 << 10));
        }
        Self {
            builder,
            tls,
            limits,
            idle_timeout: config.idle_timeout.get(),
            places: Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS))),
            closing,
        }
    }

    /// Serves connections until `closing`, and then until the last call is answered. Dropping the
    /// future cuts what is left.
    pub(crate) async fn serve<S, R>(self, listener: TcpListener, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let this = Arc::new(self);
        let (mut open, mut known) = (JoinSet::new(), Known::default());
        // Accepted, and waiting for a place.
        let mut waiting = None;
        loop {
            tokio::select! {
                () = this.closing.cancelled() => break,
                accepted = accept(&listener), if waiting.is_none() => match accepted {
                    Ok(stream) => {
                        waiting = Some(stream);
                        if this.places.available_permits() == 0 {
                            known.make_room();
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        known.make_room();
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                // The semaphore is never closed.
                place = this.places.clone().acquire_owned(), if waiting.is_some() => {
                    let (this, service, usage) = (this.clone(), service.clone(), known.add());
                    if let Some(stream) = waiting.take() {
                        open.spawn(async move {
                            this.connection(stream, service, usage).await;
                            drop(place);
                        });
                    }
                }
                () = sleep(ACCEPT_PAUSE), if waiting.is_some() => known.make_room(),
                // Ended connections are taken out of the set.
                Some(_) = open.join_next(), if !open.is_empty() => {}
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    async fn connection<S, R>(&self, stream: TcpStream, service: S, usage: Arc<Usage>)
    where
        S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Some(tls) = &self.tls else {
            return self.calls(stream, None, service, usage).await;
        };
        let handshake = tokio::select! {
            handshake = timeout(self.limits.opening, tls.acceptor().accept(stream)) => handshake,
            () = usage.must_leave() => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let peer = chain.and_then(Peer::from_certificates).map(Arc::new);
                Box::pin(self.calls(stream, peer, service, usage)).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn calls<S, R, I>(
        &self,
        stream: I,
        peer: Option<Arc<Peer>>,
        service: S,
        usage: Arc<Usage>,
    ) where
        S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let calls = usage.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            let call = calls.begin();
            // A service under our layers is always ready.
            let answer = service.clone().call(request);
            async move {
                let Ok(answer) = answer.await;
                Ok::<_, Infallible>(answer.map(|body| Counted { body, call }))
            }
        });
        let stream = TokioIo::new(Gathered::new(Guard::new(stream, self.limits)));
        // On the heap: inside this future it would have its room several times over, and idle
        // connections are what there is most of.
        let mut connection = Box::pin(self.builder.serve_connection(stream, service));
        let stall = self.limits.stall;
        // Asked when it has something to say, and not whenever the connection is.
        let mut told: FuturesUnordered<_> = [self.told_to_end(&usage)].into_iter().collect();
        // Over HTTP/1.1 the connection itself asks for answers, and goes with one that is not taken.
        let ended = tokio::select! {
            biased;
            ended = Patient::new(connection.as_mut(), stall) => ended,
            why = told.select_next_some() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    biased;
                    ended = Patient::new(connection.as_mut(), stall) => ended,
                    () = left(&usage), if why == End::Useless => None,
                }
            }
        };
        if let Some(Err(error)) = ended {
            // A client that goes away is no fault of ours.
            tracing::debug!(error, "connection ended");
        }
    }

    /// Returns when a connection must end.
    async fn told_to_end(&self, usage: &Usage) -> End {
        tokio::select! {
            () = self.closing.cancelled() => End::Draining,
            () = self.useless(usage) => End::Useless,
        }
    }

    /// Returns when a connection must make room for another, or has been without calls for too
    /// long.
    async fn useless(&self, usage: &Usage) {
        let mut begun = None;
        loop {
            tokio::select! {
                () = usage.must_leave() => return,
                () = sleep(self.idle_timeout) => {}
            }
            let before = begun.replace(usage.begun());
            if usage.is_idle() && begun == before.or(Some(0)) {
                return;
            }
        }
    }
}

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server does, once the calls are answered.
    Draining,
    Useless,
}

async fn accept(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Returns when a connection that was told that it ends has had time to hear it, and has no calls.
async fn left(usage: &Usage) {
    // One that never had a call has nobody to tell.
    if usage.begun() > 0 {
        sleep(LEAVE_TIMEOUT).await;
        while !usage.is_idle() {
            sleep(LEAVE_TIMEOUT).await;
        }
    }
}
