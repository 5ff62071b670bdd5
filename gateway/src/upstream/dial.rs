//! Connecting to an endpoint: TCP, TLS where configured, HTTP/2.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{
    Uri,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use service_kit::gather::Gathered;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Http2, Peer};
use crate::error::ConnectError;

/// A configured endpoint: where it is and how it is spoken to. Its host may be a name that stands
/// for several addresses.
pub(super) struct Target {
    authority: Authority,
    port: u16,
    /// The server's name as its certificate must have it, and what is needed to check that.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connect_timeout: Duration,
    http2: Http2,
}

impl Target {
    /// The endpoint at `uri`: `http` in clear, `https` with TLS as `tls` has it. The error says
    /// what is wrong with the URI.
    pub(super) fn new(
        uri: &str,
        tls: &Arc<ClientConfig>,
        server_name: Option<&str>,
        connect_timeout: Duration,
        http2: Http2,
    ) -> Result<Self, &'static str> {
        let uri: Uri = uri.parse().map_err(|_| "not a URI")?;
        let Parts { scheme, authority, path_and_query, .. } = uri.into_parts();
        let authority = authority.ok_or("no host, as in http://consent-svc:50051")?;
        let port = authority.port_u16().ok_or("no port, as in http://consent-svc:50051")?;
        if path_and_query.is_some_and(|path| path != "/") {
            return Err("has a path");
        }
        let tls = match scheme {
            Some(scheme) if scheme == Scheme::HTTP => None,
            Some(scheme) if scheme == Scheme::HTTPS => {
                let name = server_name.unwrap_or_else(|| host(&authority));
                let name = ServerName::try_from(name.to_owned());
                Some((tls.clone().into(), name.map_err(|_| "not a server name")?))
            }
            _ => return Err("neither http nor https"),
        };
        Ok(Self { authority, port, tls, connect_timeout, http2 })
    }

    /// The address of a path there. Copies no text.
    pub(super) fn uri(&self, path: PathAndQuery) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        // Unwrap safety: a URI with a scheme, an authority and a path is whole.
        #[allow(clippy::unwrap_used)]
        Uri::from_parts(parts).unwrap()
    }

    /// Its host, to be looked up, and its port.
    pub(super) fn host_and_port(&self) -> (&str, u16) {
        (host(&self.authority), self.port)
    }

    /// Its one address, when it is configured by that and not by a name.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let ip: IpAddr = host(&self.authority).parse().ok()?;
        Some((ip, self.port).into())
    }

    /// How long connecting may take.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Opens a connection to one of its addresses; `closed` runs when it is over.
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
        peer: Peer,
        closed: impl FnOnce() + Send + 'static,
    ) -> Result<Connection, ConnectError> {
        let opened = timeout(self.connect_timeout, self.open(address, peer, closed)).await;
        opened.unwrap_or(Err(ConnectError::TimedOut(self.connect_timeout)))
    }

    async fn open(
        &self,
        address: SocketAddr,
        peer: Peer,
        closed: impl FnOnce() + Send + 'static,
    ) -> Result<Connection, ConnectError> {
        let tcp = TcpStream::connect(address).await?;
        // Small frames go out at once: calls wait for them.
        tcp.set_nodelay(true)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Connection::open(
                TokioIo::new(Gathered::new(tcp)),
                peer,
                self.http2,
                closed,
            )
            .await?);
        };
        let tls = connector.connect(name.clone(), tcp).await?;
        Ok(Connection::open(TokioIo::new(Gathered::new(tls)), peer, self.http2, closed).await?)
    }
}

/// The host as it is looked up, and as a certificate has it.
fn host(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}
