//! The gateway's own configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service_kit::config::Span;

use crate::quota::QuotaConfig;

/// The gateway's own keys. Beside them it needs `auth.service_key`, or certificates of its own for
/// audience-svc and suggest-svc, which it asks in its own name what they hold about a person.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayConfig {
    /// The services behind the gateway. Each needs at least one endpoint.
    pub upstreams: Upstreams,
    /// How often callers may call.
    pub quota: QuotaConfig,
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

impl Upstreams {
    /// Whether the services that the gateway asks in its own name know it by a certificate.
    pub(crate) fn show_certificates(&self) -> bool {
        [&self.audience, &self.suggest].iter().all(|upstream| upstream.certificate_file.is_some())
    }
}

/// Where a service is and how it is reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamConfig {
    /// Its replicas, each `http://HOST:PORT`, or `https://HOST:PORT` for TLS. A host that is a name
    /// may stand for many (a headless service of Kubernetes): each of its addresses is a replica.
    /// Calls go to the less busy of two; one that is not connected is passed over until it is.
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
    /// Calls in progress on each connection before one more is opened. Few, because the calls on a
    /// connection take turns at it; well below the services' `server.max_concurrent_streams`,
    /// beyond which calls wait. Default 16.
    pub calls_per_connection: usize,
    /// How long after a name was looked up it is looked up again: a replica that was added is
    /// called after that time at the latest, one that was removed no longer. Default 5 s.
    pub resolve_interval: Span,
    /// Calls (or connections, with all calls on them) that fail in a row before a replica is
    /// ejected: it gets no calls while there are others. Calls fail when they are lost, or answered
    /// with an HTTP error of the server (5xx) or NOT_SERVING. Default 5.
    pub eject_after: u32,
    /// How often a replica that was ejected is asked whether it serves; doubled, up to 30 s, while
    /// it says so and is ejected again within a minute. Default 1 s.
    pub probe_pause: Span,
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
            calls_per_connection: 16,
            resolve_interval: Span::from_secs(5),
            eject_after: 5,
            probe_pause: Span::from_secs(1),
        }
    }
}
