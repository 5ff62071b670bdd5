//! Calls to other services: every timeout set, and what belongs to the call that is being handled
//! passed on (its deadline, its request id, its trace).

mod tls;
mod upstream;

use std::{path::PathBuf, time::Duration};

use http::Uri;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use proto::{errors::v1::Reason, status};
use serde::{Deserialize, Serialize};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tower::ServiceExt;

pub use tls::client_config;
pub(crate) use tls::trusting;
pub use upstream::{Upstream, connect};

use crate::config::Span;

/// Where another service is, and how it is reached. How long a call may take is said by the
/// contract and by the call that is being handled, not here.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// `http://HOST:PORT`, or `https://HOST:PORT` for TLS. Connected to when it is first called,
    /// and again whenever the connection is lost.
    pub endpoint: String,
    /// A PEM file with the authorities that the service's certificate is checked against. Unset:
    /// the public web's.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate chain that this process shows (mutual TLS), read at start.
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with the private key of that certificate.
    pub key_file: Option<PathBuf>,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Span,
    /// How often the other end of a connection is asked whether it is there.
    pub keep_alive_interval: Span,
    /// How long it may take to answer that before the connection is given up.
    pub keep_alive_timeout: Span,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            ca_file: None,
            certificate_file: None,
            key_file: None,
            connect_timeout: Span::from_secs(2),
            keep_alive_interval: Span::from_secs(15),
            keep_alive_timeout: Span::from_secs(5),
        }
    }
}

/// A configuration with which no call can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The endpoint is not an `http` or `https` URL with a host.
    #[error("{0:?} is not http://HOST:PORT or https://HOST:PORT")]
    Endpoint(String),
    /// A certificate or key that cannot be used.
    #[error("cannot use {place}: {why}")]
    Tls {
        /// The file or setting.
        place: String,
        /// What went wrong.
        why: String,
    },
}

/// A bare channel, connected when it is first used. Nothing is added to calls and no deadline set.
pub fn channel(config: &ClientConfig) -> Result<Channel, ClientError> {
    let invalid = || ClientError::Endpoint(config.endpoint.clone());
    let uri: Uri = config.endpoint.parse().map_err(|_| invalid())?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    if scheme.is_none() || uri.host().is_none_or(str::is_empty) {
        return Err(invalid());
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls::client_config(config)?)
        .https_or_http()
        .enable_http2()
        .wrap_connector(http);
    // TLS is the connector's business. tonic is given the host without the scheme, since it
    // refuses `https` unless it brings the TLS itself; requests still say `https`.
    let plain = Uri::builder()
        .scheme("http")
        .authority(uri.authority().map_or("", |authority| authority.as_str()))
        .path_and_query("/")
        .build()
        .map_err(|_| invalid())?;
    let endpoint = Endpoint::from(plain)
        .origin(uri.clone())
        .connect_timeout(config.connect_timeout.get())
        .http2_keep_alive_interval(config.keep_alive_interval.get())
        .keep_alive_timeout(config.keep_alive_timeout.get())
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector_lazy(connector.map_request(move |_: Uri| uri.clone())))
}

/// The error to answer with when another service failed us: DEADLINE_EXCEEDED when the time was
/// over, else UNAVAILABLE with `REASON_DEPENDENCY_UNAVAILABLE`. What it said is logged, not passed
/// on: it answered us, not our caller. A handler that can make sense of an error (a subject that
/// is not known) looks at it before it comes here.
pub fn failed(upstream: &'static str, error: &Status) -> Status {
    if error.code() == Code::DeadlineExceeded {
        return deadline_exceeded();
    }
    let (code, message) = (error.code(), error.message());
    tracing::warn!(upstream, ?code, message, "a call to another service failed");
    let text = format!("{upstream} did not answer; try again");
    status::retryable(Reason::DependencyUnavailable, text, Duration::from_secs(1))
}

fn deadline_exceeded() -> Status {
    status::status(Reason::DeadlineExceeded, "another service did not answer in time")
}
