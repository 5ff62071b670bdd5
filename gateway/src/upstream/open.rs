//! An upstream as the configuration has it.

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use service_kit::{
    boot::BootError,
    client::{self, ClientConfig as KitConfig},
};

use tokio::time::Instant;

use super::{
    Upstream,
    budget::Budget,
    connection::Http2,
    counts::Counts,
    dial::Target,
    endpoint::Spec,
    names::{self, Name, Resolve},
    roster::Roster,
};
use crate::config::UpstreamConfig;

/// The largest header list accepted from an upstream, in bytes: an error that names many fields
/// is the largest there is.
const MAX_HEADER_BYTES: u32 = 64 << 10;

impl Upstream {
    /// The upstream that the table `upstreams.<key>` describes. Its names are looked up and its
    /// addresses connected to in the background.
    ///
    /// # Errors
    /// When there is no endpoint, or one that is no address, or certificates cannot be read.
    pub(crate) fn open(
        key: &str,
        name: &'static str,
        config: &UpstreamConfig,
    ) -> Result<Self, BootError> {
        Self::open_with(key, name, config, &names::system())
    }

    /// As [`Upstream::open`], with names looked up by `resolve`.
    pub(super) fn open_with(
        key: &str,
        name: &'static str,
        config: &UpstreamConfig,
        resolve: &Resolve,
    ) -> Result<Self, BootError> {
        let refuse = |what: &str| BootError::other(format!("upstreams.{key}.{what}"));
        if config.endpoints.is_empty() {
            return Err(refuse("endpoints: none given"));
        }
        for (what, number) in [
            ("max_connections", config.max_connections),
            ("calls_per_connection", config.calls_per_connection),
            ("eject_after", config.eject_after as usize),
        ] {
            if number == 0 {
                return Err(refuse(&format!("{what}: at least 1")));
            }
        }
        for (what, span) in [
            ("connect_timeout", config.connect_timeout),
            ("keep_alive_interval", config.keep_alive_interval),
            ("keep_alive_timeout", config.keep_alive_timeout),
            ("resolve_interval", config.resolve_interval),
            ("probe_pause", config.probe_pause),
        ] {
            if span.get().is_zero() {
                return Err(refuse(&format!("{what}: longer than nothing")));
            }
        }
        let tls = Arc::new(tls(config).map_err(|error| refuse(&error.to_string()))?);
        let http2 = Http2 {
            keepalive_interval: config.keep_alive_interval.get(),
            keepalive_timeout: config.keep_alive_timeout.get(),
            max_header_bytes: MAX_HEADER_BYTES,
        };
        let (server_name, timeout) = (config.server_name.as_deref(), config.connect_timeout.get());
        let specs = config.endpoints.iter().map(|uri| {
            let target = Target::new(uri, &tls, server_name, timeout, http2);
            let target = target.map_err(|why| refuse(&format!("endpoints: {uri:?}: {why}")))?;
            Ok(Arc::new(Spec {
                target: Arc::new(target),
                max_connections: config.max_connections,
                calls_per_connection: config.calls_per_connection,
                eject_after: config.eject_after,
                probe_pause: config.probe_pause.get(),
            }))
        });
        let specs: Vec<_> = specs.collect::<Result<_, BootError>>()?;
        let counts = Arc::new(Counts::default());
        let roster = Roster::new(specs.clone(), counts.clone());
        for (group, spec) in specs.iter().enumerate() {
            follow(&roster, group, &spec.target, config.resolve_interval.get(), resolve);
        }
        let budget = Budget::new(Instant::now());
        Ok(Self { name, roster, budget, counts, connect_timeout: timeout })
    }
}

/// Tells the roster where the target is, and goes on to if it may change.
fn follow(
    roster: &Arc<Roster>,
    group: usize,
    target: &Target,
    interval: Duration,
    resolve: &Resolve,
) {
    if let Some(address) = target.address() {
        roster.set(group, &[address]);
        roster.was_heard();
        return;
    }
    let (host, port) = target.host_and_port();
    let name = Name {
        host: host.to_owned(),
        port,
        resolve: resolve.clone(),
        interval,
        timeout: target.connect_timeout(),
    };
    tokio::spawn(name.follow(Arc::downgrade(roster), group));
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
