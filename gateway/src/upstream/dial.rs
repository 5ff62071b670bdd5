//! Connecting to an endpoint: TCP, TLS where configured, HTTP/2.

use std::{fmt, sync::Arc, time::Duration};

use http::{
    Uri,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Http2};
use crate::error::ConnectError;

/// Where an endpoint is and how it is spoken to.
pub(super) struct Target {
    authority: Authority,
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
        if authority.port().is_none() {
            return Err("no port, as in http://consent-svc:50051");
        }
        if path_and_query.is_some_and(|path| path != "/") {
            return Err("has a path");
        }
        let tls = match scheme {
            Some(scheme) if scheme == Scheme::HTTP => None,
            Some(scheme) if scheme == Scheme::HTTPS => {
                let host = authority.host().trim_start_matches('[').trim_end_matches(']');
                let name = ServerName::try_from(server_name.unwrap_or(host).to_owned());
                Some((tls.clone().into(), name.map_err(|_| "not a server name")?))
            }
            _ => return Err("neither http nor https"),
        };
        Ok(Self { authority, tls, connect_timeout, http2 })
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

    /// Opens a connection; `closed` runs when it is over.
    pub(super) async fn connect(
        &self,
        closed: impl FnOnce() + Send + 'static,
    ) -> Result<Connection, ConnectError> {
        let opened = timeout(self.connect_timeout, self.open(closed)).await;
        opened.unwrap_or(Err(ConnectError::TimedOut(self.connect_timeout)))
    }

    async fn open(
        &self,
        closed: impl FnOnce() + Send + 'static,
    ) -> Result<Connection, ConnectError> {
        let tcp = TcpStream::connect(self.authority.as_str()).await?;
        // Small frames go out at once: calls wait for them.
        tcp.set_nodelay(true)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Connection::open(TokioIo::new(tcp), self.http2, closed).await?);
        };
        let tls = connector.connect(name.clone(), tcp).await?;
        Ok(Connection::open(TokioIo::new(tls), self.http2, closed).await?)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}
