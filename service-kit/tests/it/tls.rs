//! TLS, mutual TLS, and certificates that are renewed while the server runs.

use std::{fs, path::PathBuf};

use proto::{
    errors::v1::Reason,
    options::v1::Role,
    suggest::v1::{ExportSubjectDataRequest, graph_service_client::GraphServiceClient},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use service_kit::{
    client::{ClientConfig, channel},
    config::{ServerConfig, Span, TlsConfig},
};
use tempfile::TempDir;
use tonic::{Code, Status};

use crate::rehearsal::{Stage, eventually, reason, risk_of};

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

    /// Writes `<name>.pem` and `<name>.key` for these names.
    fn sign(&self, name: &str, sans: Vec<SanType>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = sans;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        // The key first: a pair that does not match must do no harm.
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
    }

    fn sign_server(&self) {
        self.sign("server", vec![SanType::IpAddress([127, 0, 0, 1].into())]);
    }

    fn server(&self) -> ServerConfig {
        let tls = TlsConfig {
            certificate: self.file("server.pem"),
            key: self.file("server.key"),
            client_ca: Some(self.file("ca.pem")),
            reload_interval: Span::from_millis(20),
            ..TlsConfig::default()
        };
        ServerConfig { tls: Some(tls), ..ServerConfig::loopback() }
    }

    /// A client that trusts this authority, and shows the certificate of `name`.
    fn client(
        &self,
        stage: &Stage,
        name: Option<&str>,
    ) -> GraphServiceClient<tonic::transport::Channel> {
        let config = ClientConfig {
            endpoint: format!("https://{}", stage.running.address()),
            ca_file: Some(self.file("ca.pem")),
            certificate_file: name.map(|name| self.file(&format!("{name}.pem"))),
            key_file: name.map(|name| self.file(&format!("{name}.key"))),
            ..ClientConfig::default()
        };
        GraphServiceClient::new(channel(&config).unwrap())
    }

    async fn call(&self, stage: &Stage, name: Option<&str>) -> Result<(), Status> {
        let request = ExportSubjectDataRequest { subject_id: "x".into() };
        self.client(stage, name).export_subject_data(request).await.map(|_| ())
    }
}

/// Whether the error is the client's own: every answer of a server carries a request id.
fn never_arrived(status: &Status) -> bool {
    !status.metadata().contains_key("x-request-id")
}

fn uri(name: &str) -> Vec<SanType> {
    vec![SanType::URI(name.try_into().unwrap())]
}

#[tokio::test]
async fn a_certificate_of_ours_is_a_service_without_a_token() {
    let authority = Authority::new();
    authority.sign_server();
    authority.sign("gateway", uri("spiffe://assent/gateway"));
    authority.sign("stranger", uri("spiffe://elsewhere/gateway"));
    let stage = Stage::with(authority.server()).await;

    authority.call(&stage, Some("gateway")).await.unwrap();
    for stranger in [Some("stranger"), None] {
        let status = authority.call(&stage, stranger).await.unwrap_err();
        assert_eq!(reason(&status), Reason::TokenMissing);
    }
    // A token does without a certificate.
    let message = ExportSubjectDataRequest { subject_id: "x".into() };
    let request = stage.request(Role::Service, message);
    authority.client(&stage, None).export_subject_data(request).await.unwrap();
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_no_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign_server();
    other.sign("gateway", uri("spiffe://assent/gateway"));
    fs::copy(authority.file("ca.pem"), other.file("ca.pem")).unwrap();
    let stage = Stage::with(authority.server()).await;
    let status = other.call(&stage, Some("gateway")).await.unwrap_err();
    assert!(never_arrived(&status), "{status:?}");
}

#[tokio::test]
async fn where_a_certificate_is_required_nobody_connects_without() {
    let authority = Authority::new();
    authority.sign_server();
    authority.sign("gateway", uri("spiffe://assent/gateway"));
    let mut server = authority.server();
    server.tls.as_mut().unwrap().require_client_certificate = true;
    let stage = Stage::with(server).await;
    authority.call(&stage, Some("gateway")).await.unwrap();
    let status = authority.call(&stage, None).await.unwrap_err();
    assert!(never_arrived(&status), "{status:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    old.sign_server();
    let stage = Stage::with(old.server()).await;
    assert_eq!(old.call(&stage, None).await.unwrap_err().code(), Code::Unauthenticated);
    assert!(never_arrived(&new.call(&stage, None).await.unwrap_err()));

    // What is not whole changes nothing.
    fs::write(old.file("server.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert_eq!(old.call(&stage, None).await.unwrap_err().code(), Code::Unauthenticated);

    new.sign_server();
    fs::copy(new.file("server.key"), old.file("server.key")).unwrap();
    fs::copy(new.file("server.pem"), old.file("server.pem")).unwrap();
    eventually("the new certificate is shown", async || {
        new.call(&stage, None).await.unwrap_err().code() == Code::Unauthenticated
    })
    .await;
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_named_at_the_start() {
    let authority = Authority::new();
    authority.sign_server();
    fs::write(authority.file("server.key"), "nothing").unwrap();
    let stage = Stage::with(authority.server()).await;
    let error = stage.running.stopped().await.unwrap_err().to_string();
    assert!(error.contains("server.key"), "{error}");
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_not_answered() {
    let authority = Authority::new();
    authority.sign_server();
    let stage = Stage::with(authority.server()).await;
    let address = format!("http://{}", stage.running.address());
    let config = ClientConfig { endpoint: address, ..ClientConfig::default() };
    let mut client =
        proto::suggest::v1::spam_service_client::SpamServiceClient::new(channel(&config).unwrap());
    let request = stage.request(Role::App, risk_of("x"));
    assert!(never_arrived(&client.get_spam_risk(request).await.unwrap_err()));
}
