//! TLS on both sides, and whose certificate says what.

use std::{fs, path::PathBuf};

use gateway::{Gateway, GatewayConfig, UpstreamConfig, Upstreams};
use proto::{
    consent::v1::consent_service_client::ConsentServiceClient,
    consent::v1::consent_service_server::ConsentServiceServer, errors::v1::Reason,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use service_kit::{
    boot::{App, BootError, Process, Running, Service},
    client::{ClientConfig, channel},
    clock::Clock,
    config::{Config, ServerConfig, TlsConfig},
    context::Context,
    test_util::TestKeys,
};
use tempfile::TempDir;
use tonic::{Code, Request, transport::Channel};

use crate::{
    passing_through::check,
    services::Stub,
    world::{assert_error, assert_unavailable, business, nowhere, upstream, user},
};

/// An authority and the files of what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes `<name>.pem` and `<name>.key`, good for a server on loopback and for the process of
    /// Assent of that name.
    fn sign(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let spiffe = format!("spiffe://assent/{name}").try_into().unwrap();
        params.subject_alt_names =
            vec![SanType::IpAddress([127, 0, 0, 1].into()), SanType::URI(spiffe)];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
    }

    /// A server that shows `name`'s certificate and believes those of this authority.
    fn server(&self, name: &str) -> ServerConfig {
        self.sign(name);
        let tls = TlsConfig {
            certificate: self.file(&format!("{name}.pem")),
            key: self.file(&format!("{name}.key")),
            client_ca: Some(self.file("ca.pem")),
            ..TlsConfig::default()
        };
        ServerConfig { tls: Some(tls), ..ServerConfig::loopback() }
    }

    /// A caller's connection, with the certificate of `name`, if any.
    fn connect(&self, to: &Running, name: Option<&str>) -> Channel {
        let config = ClientConfig {
            endpoint: format!("https://{}", to.address()),
            ca_file: Some(self.file("ca.pem")),
            certificate_file: name.map(|name| self.file(&format!("{name}.pem"))),
            key_file: name.map(|name| self.file(&format!("{name}.key"))),
            ..ClientConfig::default()
        };
        channel(&config).unwrap()
    }
}

/// consent-svc with every layer that a service of Assent has.
struct Consent;

impl Service for Consent {
    const NAME: &'static str = "consent-svc";
    type Config = ();

    async fn build(_: &Context, (): ()) -> Result<App, BootError> {
        Ok(App::new().add(ConsentServiceServer::new(Stub::new().0)))
    }

    async fn migrate((): &()) -> Result<(), BootError> {
        Ok(())
    }
}

struct Stage {
    authority: Authority,
    keys: TestKeys,
    gateway: Running,
    consent: Running,
    _process: Process,
}

/// A gateway that reaches consent-svc over mutual TLS and trusts `trusted`, or its own authority.
async fn stage(trusted: Option<&Authority>) -> Stage {
    let authority = Authority::new();
    let keys = TestKeys::new();
    let process = Process::quiet(Clock::system());
    let config = Config {
        server: ServerConfig { trust_request_id: true, ..authority.server("consent-svc") },
        auth: keys.auth_config(),
        ..Config::new(())
    };
    let consent = process.serve::<Consent>(config).await.unwrap();
    let server = authority.server("gateway");
    let other = upstream(&[format!("http://{}", nowhere().await)]);
    let upstreams = Upstreams {
        consent: UpstreamConfig {
            endpoints: vec![format!("https://{}", consent.address())],
            ca_file: Some(trusted.unwrap_or(&authority).file("ca.pem")),
            certificate_file: Some(authority.file("gateway.pem")),
            key_file: Some(authority.file("gateway.key")),
            ..UpstreamConfig::default()
        },
        audience: other.clone(),
        suggest: other,
    };
    let service = GatewayConfig { upstreams, ..GatewayConfig::default() };
    let config = Config { server, auth: keys.auth_config(), ..Config::new(service) };
    let gateway = process.serve::<Gateway>(config).await.unwrap();
    gateway.ready().await;
    consent.ready().await;
    Stage { authority, keys, gateway, consent, _process: process }
}

impl Stage {
    fn check_by(
        &self,
        caller: &service_kit::auth::Caller,
    ) -> Request<proto::consent::v1::CheckRequest> {
        let mut request = Request::new(check("anna"));
        let bearer = self.keys.bearer(caller).to_str().unwrap().parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }
}

#[tokio::test]
async fn calls_go_through_tls_on_both_sides_and_the_service_verifies_the_token_again() {
    let stage = stage(None).await;
    let mut client = ConsentServiceClient::new(stage.authority.connect(&stage.gateway, None));
    let answer = client.check(stage.check_by(&user())).await.unwrap();
    assert_eq!(answer.into_inner().revision, 7);

    // The gateway's own certificate, which the service believes, does not stand in for a token
    // that the service does not: that of a caller whom the contract refuses is refused there too.
    let direct = stage.authority.connect(&stage.consent, Some("gateway"));
    let error = ConsentServiceClient::new(direct).check(stage.check_by(&business())).await;
    assert_error(&error.unwrap_err(), Code::PermissionDenied, Reason::RoleNotAllowed);
}

#[tokio::test]
async fn a_service_with_a_certificate_of_somebody_else_is_not_called() {
    let stage = stage(Some(&Authority::new())).await;
    let mut client = ConsentServiceClient::new(stage.authority.connect(&stage.gateway, None));
    assert_unavailable(&client.check(stage.check_by(&user())).await.unwrap_err());
}

#[tokio::test]
async fn a_caller_without_a_token_is_not_taken_for_the_gateway() {
    let stage = stage(None).await;
    stage.authority.sign("audience-svc");
    // A certificate that makes the caller a process of Assent, here as at consent-svc.
    let channel = stage.authority.connect(&stage.gateway, Some("audience-svc"));
    let error = ConsentServiceClient::new(channel).check(Request::new(check("anna"))).await;
    assert_error(&error.unwrap_err(), Code::Unauthenticated, Reason::TokenMissing);
    let channel = stage.authority.connect(&stage.consent, Some("audience-svc"));
    ConsentServiceClient::new(channel).check(Request::new(check("anna"))).await.unwrap();
}
