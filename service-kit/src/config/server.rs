//! The `server` table.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::Span;

/// Addresses, limits and draining of a process's server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerConfig {
    /// Where gRPC is served. Port 0 takes a free port, which is logged. Default `127.0.0.1:50051`.
    pub address: SocketAddr,
    /// Where `/metrics`, `/livez` and `/readyz` are served, in plain HTTP. Default
    /// `127.0.0.1:9464`; `""` turns it off.
    #[serde(with = "optional_address")]
    pub admin_address: Option<SocketAddr>,
    /// TLS for gRPC. Default: none.
    pub tls: Option<TlsConfig>,
    /// The largest message accepted, in bytes. A larger one is `RESOURCE_EXHAUSTED`. A message is
    /// held until it is whole, so with `max_concurrent_requests` this bounds what callers can make
    /// the process hold: their product. Default 4 MiB.
    pub max_message_bytes: usize,
    /// Calls in progress at once, long streams among them; one more is answered
    /// `RESOURCE_EXHAUSTED` with a `RetryInfo`. Default 4096.
    pub max_concurrent_requests: usize,
    /// Connections open at once. For one more, the one that has been idle for longest is closed; when
    /// none is idle it waits. Default 10,000.
    pub max_connections: usize,
    /// Calls in progress at once on one connection; a client queues what is beyond. Default 1024.
    pub max_concurrent_streams: u32,
    /// The largest header list accepted, in bytes: larger ones are answered with HTTP status 431,
    /// four times larger ones end the connection. Default 16 KiB.
    pub max_header_bytes: u32,
    /// Frames that carry nothing of any call (resets, pings, settings, window updates, …) which a
    /// connection may send beyond those that its traffic explains; a tenth of them comes back each
    /// second, and one for each 64 bytes that are sent to it. More end the connection. A client
    /// that cancels a call spends one. Default 10,000.
    pub max_control_frames: u32,
    /// Calls that a client may have cancelled before the server came to begin them; one more ends
    /// the connection (CVE-2023-44487). Behind a gateway, whose connections carry the calls of many,
    /// no less than it has calls on one. Default 1024.
    pub max_pending_resets: usize,
    /// Streams that break the rules of HTTP/2, so that the server resets them, in the life of a
    /// connection; one more ends it (CVE-2025-8671). Default 10,000.
    pub max_stream_errors: usize,
    /// How long a new connection may take for its TLS handshake, and then for its first bytes; over
    /// HTTP/1.1, also for each request's headers. Default 10 s.
    pub handshake_timeout: Span,
    /// How long a connection without calls may stay open. Default 5 min.
    pub idle_timeout: Span,
    /// How long a caller may leave a part of an answer untaken before the call is given up, at its
    /// deadline at the latest. Default 1 min.
    pub stall_timeout: Span,
    /// How long a connection may be silent before it is pinged. Default 30 s.
    pub keepalive_interval: Span,
    /// How long the answer to a ping may take before the connection is closed. Default 10 s.
    pub keepalive_timeout: Span,
    /// The longest deadline a call gets, whatever the caller or the contract says. At the gateway a
    /// unary call gets three times its method's default deadline at most. Default 1 h.
    pub max_deadline: Span,
    /// How long to keep accepting after the stop signal, not ready: on Kubernetes, the time that
    /// load balancers need to notice (5 s does well). Default none.
    pub drain_delay: Span,
    /// How long accepted calls may take to finish once draining begins, before they are cut.
    /// Together with `drain_delay` it must stay below the pod's termination grace period.
    /// Default 25 s.
    pub drain_deadline: Span,
    /// Whether callers choose `x-request-id`, and their trace goes on here: true behind the gateway,
    /// false at the edge, where anybody may call. Default false.
    pub trust_request_id: bool,
    /// How often readiness probes are asked. Default 2 s.
    pub probe_interval: Span,
    /// How long a readiness probe may take. Default 1 s.
    pub probe_timeout: Span,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 50051).into(),
            admin_address: Some((Ipv4Addr::LOCALHOST, 9464).into()),
            tls: None,
            max_message_bytes: 4 << 20,
            max_concurrent_requests: 4096,
            max_connections: 10_000,
            max_concurrent_streams: 1024,
            max_header_bytes: 16 << 10,
            max_control_frames: 10_000,
            max_pending_resets: 1024,
            max_stream_errors: 10_000,
            handshake_timeout: Span::from_secs(10),
            idle_timeout: Span::from_secs(300),
            stall_timeout: Span::from_secs(60),
            keepalive_interval: Span::from_secs(30),
            keepalive_timeout: Span::from_secs(10),
            max_deadline: Span::from_secs(3600),
            drain_delay: Span::default(),
            drain_deadline: Span::from_secs(25),
            trust_request_id: false,
            probe_interval: Span::from_secs(2),
            probe_timeout: Span::from_secs(1),
        }
    }
}

impl ServerConfig {
    /// On free ports of the loopback interface: for several services in one process, and tests.
    pub fn loopback() -> Self {
        let free: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
        Self { address: free, admin_address: Some(free), ..Self::default() }
    }
}

/// The certificate that a server shows and the clients' certificates that it believes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// PEM file of the server's certificate chain.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the authorities whose client certificates are believed (mutual TLS). Default:
    /// none, so clients show no certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is turned away. Default false: it may show a token.
    pub require_client_certificate: bool,
    /// How often the files are read again, so that renewed certificates need no restart.
    /// Default 30 s.
    pub reload_interval: Span,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: None,
            require_client_certificate: false,
            reload_interval: Span::from_secs(30),
        }
    }
}

/// `None` as the empty string, since neither TOML nor an environment variable has another word
/// for it.
mod optional_address {
    use std::net::SocketAddr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    #[allow(clippy::ref_option)] // serde's signature
    pub(super) fn serialize<S: Serializer>(
        address: &Option<SocketAddr>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match address {
            Some(address) => serializer.collect_str(address),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(de::Error::custom) }
    }
}
