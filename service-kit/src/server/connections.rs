//! Accepting connections, serving calls on them, and ending them when draining.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::BoxError;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::{Tls, preface::Preface};
use crate::{auth::Peer, config::ServerConfig};

/// How much of one call's body a client may send before a handler takes it: what a client that
/// sends faster than it is read can make us hold.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same of all calls on one connection. A gateway has the calls of many callers on one: as
/// many of them as fit in here may be slow before the others wait for them.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// How long to pause when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    builder: auto::Builder<TokioExecutor>,
    tls: Option<Tls>,
    handshake_timeout: Duration,
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
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http2()
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(config.max_concurrent_streams)
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
            handshake_timeout: config.handshake_timeout.get(),
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
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = self.closing.cancelled() => break,
                accepted = self.accept(&listener) => accepted,
                // Ended connections are taken out of the set.
                Some(_) = open.join_next(), if !open.is_empty() => continue,
            };
            match accepted {
                Ok((stream, place)) => {
                    let (this, service) = (self.clone(), service.clone());
                    open.spawn(async move {
                        this.connection(stream, service).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }

    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> std::io::Result<(TcpStream, Option<OwnedSemaphorePermit>)> {
        // The semaphore is never closed.
        let place = self.places.clone().acquire_owned().await.ok();
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, place))
    }

    async fn connection<S, R>(&self, stream: TcpStream, service: S)
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
            return self.calls(stream, None, service).await;
        };
        match timeout(self.handshake_timeout, tls.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let peer = chain.and_then(Peer::from_certificates).map(Arc::new);
                self.calls(stream, peer, service).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn calls<S, R, I>(&self, stream: I, peer: Option<Arc<Peer>>, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        R: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            if let Some(peer) = &peer {
                request.extensions_mut().insert(peer.clone());
            }
            // A service under our layers is always ready.
            service.clone().call(request)
        });
        let stream = TokioIo::new(Preface::within(self.handshake_timeout, stream));
        let connection = self.builder.serve_connection(stream, service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            // A client that goes away is no fault of ours.
            tracing::debug!(error, "connection ended");
        }
    }
}
