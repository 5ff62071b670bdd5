//! The gateway's own configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service_kit::config::Span;

/// The gateway's own keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayConfig {
    /// The services behind the gateway. Each needs at least one endpoint.
    pub upstreams: Upstreams,
    /// gRPC-Web, for pages in browsers.
    pub web: WebConfig,
}

/// gRPC-Web, for pages in browsers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WebConfig {
    /// The origins whose pages may call, each as browsers write it: `https://app.example.com`. `*`
    /// alone stands for every origin: a page still needs a token. Default none: gRPC-Web and
    /// HTTP/1.1 are not spoken.
    pub allowed_origins: Vec<String>,
}

/// The services behind the gateway, by the name in their package (`assent.<name>.v1`).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Upstreams {
    /// consent-svc.
    pub consent: UpstreamConfig,
    /// audience-svc.
    pub audience: UpstreamConfig,
    /// suggest-svc.
    pub suggest: UpstreamConfig,
}

/// Where a service is and how it is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamConfig {
    /// Its replicas, each `http://HOST:PORT`, or `https://HOST:PORT` for TLS. Calls go to the less
    /// busy of two; one that cannot be connected to is passed over until it can be.
    pub endpoints: Vec<String>,
    /// A PEM file with the authorities that the service's certificate is checked against. Unset:
    /// the public web's.
    pub ca_file: Option<PathBuf>,
    /// The name that the service's certificate must have. Unset: the endpoint's host.
    pub server_name: Option<String>,
    /// A PEM file with the certificate chain that the gateway shows (mutual TLS), read at start.
    pub certificate_file: Option<PathBuf>,
    /// A PEM file with the private key of that certificate.
    pub key_file: Option<PathBuf>,
    /// How long connecting may take, TLS included: what an unreachable service adds to a call
    /// before it fails. Default 1 s.
    pub connect_timeout: Span,
    /// How long a connection may be silent before it is pinged. Default 15 s.
    pub keep_alive_interval: Span,
    /// How long the answer to a ping may take before the connection, and every call on it, is
    /// given up. Default 5 s.
    pub keep_alive_timeout: Span,
    /// Connections to each endpoint at most. Default 4.
    pub max_connections: usize,
    /// Calls in progress on each connection before one more is opened. Well below the services'
    /// `server.max_concurrent_streams`, beyond which calls wait. Default 100.
    pub calls_per_connection: usize,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            ca_file: None,
            server_name: None,
            certificate_file: None,
            key_file: None,
            connect_timeout: Span::from_secs(1),
            keep_alive_interval: Span::from_secs(15),
            keep_alive_timeout: Span::from_secs(5),
            max_connections: 4,
            calls_per_connection: 100,
        }
    }
}
