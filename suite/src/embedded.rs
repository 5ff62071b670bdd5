//! All four services in one process, on SQLite stores in one directory.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
};

use audience_svc::{AudienceConfig, AudienceService};
use consent_svc::{ConsentService, config::ConsentConfig, receipt::SigningKey};
use gateway::{Gateway, GatewayConfig, UpstreamConfig, Upstreams};
use service_kit::{
    auth::{AuthConfig, Issuer},
    boot::{Process, Running, Service},
    client::ClientConfig,
    clock::Clock,
    config::{Config, Secret, ServerConfig, TelemetryConfig},
    store::StoreConfig,
};
use suggest_svc::{SuggestService, config::SuggestConfig};

use crate::data::Data;

/// What is logged: a suite at a terminal should be quiet while all is well. `RUST_LOG` overrides.
const LOG_FILTER: &str = "warn";

/// Who answers for the processing, as receipts name them: nobody, on a developer's machine.
const CONTROLLER: &str = "Assent (development)";

/// Where the suite is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    /// The gateway's gRPC.
    pub(crate) gateway: SocketAddr,
}

impl Addresses {
    /// Free ports of the loopback interface.
    pub(crate) fn free() -> Self {
        Self { gateway: (Ipv4Addr::LOCALHOST, 0).into() }
    }
}

/// A suite that is up and ready.
#[derive(Debug)]
pub(crate) struct Embedded {
    process: Process,
    /// Callers first: the order in which they are stopped.
    running: Vec<(&'static str, Running)>,
    _lock: File,
}

impl Embedded {
    /// Brings the stores up to date and starts the services, each before the ones that call it.
    pub(crate) async fn start(
        data: Data,
        addresses: Addresses,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let lock = data.lock()?;
        let issuer = data.development_issuer()?;
        let telemetry = TelemetryConfig { log_filter: LOG_FILTER.to_owned(), ..Default::default() };
        let process = Process::start("assent", &telemetry, clock)?;
        let inner = ServerConfig { trust_request_id: true, ..ServerConfig::loopback() };
        let at = |running: &Running| format!("http://{}", running.address());

        let mut consent = ConsentConfig { store: store(&data, "consent"), ..Default::default() };
        let receipt_key = data.secret(Data::RECEIPT_KEY)?;
        consent.receipts.signing_key = SigningKey::parse(receipt_key.expose())?;
        CONTROLLER.clone_into(&mut consent.receipts.controller.name);
        let consent =
            start::<ConsentService>(&process, &data, &issuer, inner.clone(), consent).await?;
        let checks = ClientConfig { endpoint: at(&consent), ..Default::default() };

        let mut audience = AudienceConfig {
            store: store(&data, "audience"),
            consent: checks.clone(),
            ..Default::default()
        };
        audience.match_keys.secret = data.secret("audience-match-key")?;
        audience.directory.snapshot = Some(data.file("audience-index"));
        let audience =
            start::<AudienceService>(&process, &data, &issuer, inner.clone(), audience).await?;

        let mut suggest =
            SuggestConfig { store: store(&data, "suggest"), consent: checks, ..Default::default() };
        suggest.match_keys.secret = data.secret("suggest-match-key")?;
        let suggest = start::<SuggestService>(&process, &data, &issuer, inner, suggest).await?;

        let upstream = |running: &Running| UpstreamConfig {
            endpoints: vec![at(running)],
            ..Default::default()
        };
        let edge = ServerConfig { address: addresses.gateway, ..ServerConfig::loopback() };
        let upstreams = Upstreams {
            consent: upstream(&consent),
            audience: upstream(&audience),
            suggest: upstream(&suggest),
        };
        let gateway = GatewayConfig { upstreams, ..Default::default() };
        let edge = start::<Gateway>(&process, &data, &issuer, edge, gateway).await?;
        let running = vec![
            (Gateway::NAME, edge),
            (AudienceService::NAME, audience),
            (SuggestService::NAME, suggest),
            (ConsentService::NAME, consent),
        ];
        Ok(Self { process, running, _lock: lock })
    }

    /// Where the gateway is served.
    pub(crate) fn gateway(&self) -> SocketAddr {
        self.running[0].1.address()
    }

    /// Each service: its name, and where its gRPC and its metrics are served.
    pub(crate) fn services(&self) -> Vec<(&'static str, SocketAddr, Option<SocketAddr>)> {
        let described = |(name, running): &(&'static str, Running)| {
            (*name, running.address(), running.admin_address())
        };
        self.running.iter().map(described).collect()
    }

    /// Runs until a signal, then drains.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        let running = self.running.into_iter().map(|(_, running)| running).collect();
        Ok(self.process.finish(running).await?)
    }

    /// Drains now.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().cancel();
        self.finish().await
    }
}

fn store(data: &Data, service: &str) -> StoreConfig {
    StoreConfig { url: data.store(service), ..Default::default() }
}

/// Migrates and starts one service, and waits until it is ready.
async fn start<S: Service>(
    process: &Process,
    data: &Data,
    issuer: &Issuer,
    server: ServerConfig,
    service: S::Config,
) -> anyhow::Result<Running> {
    S::migrate(&service).await?;
    let auth = AuthConfig {
        jwks_file: Some(data.development_jwks()),
        service_key: Secret::new(issuer.to_pem()),
        service_key_id: Some(issuer.key_id().to_owned()),
        ..Default::default()
    };
    let config = Config { server, auth, ..Config::new(service) };
    let running = process.serve::<S>(config).await?;
    running.ready().await;
    Ok(running)
}
