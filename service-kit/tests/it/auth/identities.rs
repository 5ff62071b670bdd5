//! Signing keys, a process's own token, and certificates that stand for a process.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use http::HeaderMap;
use proto::options::v1::Role;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, SanType};
use rustls::pki_types::CertificateDer;
use service_kit::{
    auth::{AuthConfig, Caller, Issuer, Peer, ServiceToken},
    clock::Clock,
    config::Secret,
};

use super::{Gate, HOUR, NOW, headers};

#[tokio::test]
async fn the_development_key_is_made_once_and_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys").join("dev-key.pem");
    let first = Issuer::development(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left behind");
    assert!(first.key_id().starts_with("dev-"));
    let again = Issuer::development(&path).unwrap();
    assert_eq!(again.jwks(), first.jwks());

    let gate = Gate::of(&first.jwks()).await;
    gate.ask(&again.issue(&Caller::user("u-1"), NOW, HOUR)).await.unwrap();
}

#[test]
fn a_key_file_with_something_else_in_it_is_refused_without_showing_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let curve = KeyPair::generate().unwrap().serialize_pem();
    for text in ["", "c2VjcmV0", &curve] {
        fs::write(&path, text).unwrap();
        let error = Issuer::development(&path).unwrap_err().to_string();
        assert!(error.contains("key.pem") && error.contains("Ed25519"), "{error}");
        assert!(text.is_empty() || !error.contains(text), "{error}");
    }
}

#[tokio::test]
async fn keys_of_either_pkcs8_version_are_read() {
    let issuer = Issuer::generate();
    let copy = Issuer::from_pem(&issuer.to_pem()).unwrap();
    assert_eq!(copy.jwks(), issuer.jwks());
    // Version 2, with the public key, as ring writes it.
    let ring = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let issuer = Issuer::from_pem(&ring.serialize_pem()).unwrap();
    let gate = Gate::of(&issuer.jwks()).await;
    gate.ask(&issuer.issue(&Caller::user("u-1"), NOW, HOUR)).await.unwrap();
}

#[test]
fn keys_and_tokens_are_not_printed() {
    let issuer = Issuer::generate();
    let key = issuer.to_pem().lines().nth(1).unwrap().to_owned();
    let own = ServiceToken::new(issuer.clone(), "audience-svc", Clock::manual(NOW));
    let value = own.bearer();
    let token = value.to_str().unwrap().trim_start_matches("Bearer ").to_owned();
    let printed = format!("{issuer:?} {own:?} {value:?}");
    assert!(!printed.contains(&key) && !printed.contains(&token), "{printed}");
}

#[tokio::test]
async fn a_process_has_a_valid_token_at_every_moment() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let config = AuthConfig {
        service_key: Secret::new(issuer.to_pem()),
        service_key_id: Some(issuer.key_id().to_owned()),
        ..AuthConfig::default()
    };
    let name = "audience-svc";
    let own = ServiceToken::from_config(&config, name, gate.clock.clone()).unwrap().unwrap();
    let mut different = Vec::new();
    for _ in 0..60 {
        let with = HeaderMap::from_iter([(http::header::AUTHORIZATION, own.bearer())]);
        let caller = gate.authenticator.authenticate(&with, None).await.unwrap();
        assert_eq!(caller, Caller::named(Role::Service, name));
        different.push(own.bearer());
        gate.clock.advance(Duration::from_mins(1));
    }
    different.dedup();
    assert_eq!(different.len(), 12, "a new one every five minutes");
    let none = ServiceToken::from_config(&AuthConfig::default(), name, gate.clock).unwrap();
    assert!(none.is_none());
}

fn certificate(names: Vec<SanType>) -> CertificateDer<'static> {
    let mut parameters = CertificateParams::default();
    parameters.subject_alt_names = names;
    let key = KeyPair::generate().unwrap();
    parameters.self_signed(&key).unwrap().der().clone()
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[tokio::test]
async fn a_certificate_of_ours_stands_for_a_process_and_a_token_for_whom_it_names() {
    let issuer = Issuer::generate();
    let names = vec!["audience.internal".to_owned(), "spiffe://corp/assent/audience".to_owned()];
    let config = AuthConfig { service_names: names, ..AuthConfig::default() };
    let gate = Gate::configured(&issuer.jwks(), config).await;
    let none = HeaderMap::new();
    for (san, name) in [
        (uri("spiffe://assent/consent-svc"), "consent-svc"),
        (dns("audience.internal"), "audience.internal"),
        (uri("spiffe://corp/assent/audience"), "spiffe://corp/assent/audience"),
    ] {
        let peer = Peer::from_certificates(&[certificate(vec![dns("other.internal"), san])]);
        let caller = gate.authenticator.authenticate(&none, peer.as_ref()).await.unwrap();
        assert_eq!(caller, Caller::named(Role::Service, name));
        // The gateway passes its callers' tokens on over its own connection.
        let token = headers(&issuer.issue(&Caller::user("u-1"), NOW, HOUR));
        let caller = gate.authenticator.authenticate(&token, peer.as_ref()).await.unwrap();
        assert_eq!(caller, Caller::user("u-1"));
        let error = gate.authenticator.authenticate(&headers("a.b.c"), peer.as_ref()).await;
        assert!(error.is_err(), "a bad token is not overlooked");
    }
    for san in [
        uri("spiffe://assent/"),
        uri("spiffe://assent/a/b"),
        uri("spiffe://assent.example/consent-svc"),
        uri("https://assent/consent-svc"),
        dns("consent.internal"),
    ] {
        let peer = Peer::from_certificates(&[certificate(vec![san])]);
        assert!(peer.is_some());
        assert!(gate.authenticator.authenticate(&none, peer.as_ref()).await.is_err());
    }
    assert!(Peer::from_certificates(&[]).is_none());
    assert!(Peer::from_certificates(&[CertificateDer::from(vec![1, 2, 3])]).is_none());
}
