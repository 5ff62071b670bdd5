//! An upstream as the configuration has it.

use std::sync::Arc;

use rustls::ClientConfig;
use service_kit::{
    boot::BootError,
    client::{self, ClientConfig as KitConfig},
};

use super::{Endpoint, Http2, Pool, Target, Upstream};
use crate::config::UpstreamConfig;

/// The largest header list accepted from an upstream, in bytes: an error that names many fields
/// is the largest there is.
const MAX_HEADER_BYTES: u32 = 64 << 10;

impl Upstream {
    /// The upstream that the table `upstreams.<key>` describes. Nothing is connected to yet.
    ///
    /// # Errors
    /// When there is no endpoint, or one that is no address, or certificates cannot be read.
    pub(crate) fn open(
        key: &str,
        name: &'static str,
        config: &UpstreamConfig,
    ) -> Result<Self, BootError> {
        let refuse = |what: &str| BootError::other(format!("upstreams.{key}.{what}"));
        if config.endpoints.is_empty() {
            return Err(refuse("endpoints: none given"));
        }
        if config.max_connections == 0 || config.calls_per_connection == 0 {
            return Err(refuse("max_connections and calls_per_connection: at least 1"));
        }
        let tls = Arc::new(tls(config).map_err(|error| refuse(&error.to_string()))?);
        let pool = Pool {
            max_connections: config.max_connections,
            calls_per_connection: config.calls_per_connection,
        };
        let http2 = Http2 {
            keepalive_interval: config.keep_alive_interval.get(),
            keepalive_timeout: config.keep_alive_timeout.get(),
            max_header_bytes: MAX_HEADER_BYTES,
        };
        let (server_name, timeout) = (config.server_name.as_deref(), config.connect_timeout.get());
        let endpoints = config.endpoints.iter().map(|uri| {
            let target = Target::new(uri, &tls, server_name, timeout, http2);
            let target = target.map_err(|why| refuse(&format!("endpoints: {uri:?}: {why}")))?;
            Ok(Endpoint::new(target, pool))
        });
        Ok(Self::new(name, endpoints.collect::<Result<_, BootError>>()?))
    }
}

fn tls(config: &UpstreamConfig) -> Result<ClientConfig, client::ClientError> {
    let mut tls = client::client_config(&KitConfig {
        ca_file: config.ca_file.clone(),
        certificate_file: config.certificate_file.clone(),
        key_file: config.key_file.clone(),
        ..KitConfig::default()
    })?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(tls)
}
