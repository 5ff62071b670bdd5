//! Who is let in, and as whom.

mod attacks;
mod identities;
mod key_sets;

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use proto::{errors::v1::Reason, options::v1::Role, status};
use serde_json::{Value, json};
use service_kit::{
    auth::{AuthConfig, Authenticator, Caller, Issuer},
    clock::{Clock, UnixMillis},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// 2030-03-17, whole seconds.
const NOW: UnixMillis = UnixMillis::new(1_900_000_000_000);
const HOUR: Duration = Duration::from_hours(1);

/// An RSA key of 2,048 bits, and a token that it signed for APP `messenger` until 2100. The
/// private key is gone.
const RSA_KEY: &str = include_str!("auth/rsa_key.json");
const RSA_TOKEN: &str = include_str!("auth/rsa_token.txt");
/// The same with RS512.
const RS512_TOKEN: &str = include_str!("auth/rs512_token.txt");

/// An authenticator over a file with these keys, on a clock that stands at [`NOW`].
struct Gate {
    authenticator: Authenticator,
    clock: Clock,
    directory: TempDir,
}

impl Gate {
    async fn of(jwks: &str) -> Self {
        Self::configured(jwks, AuthConfig::default()).await
    }

    async fn configured(jwks: &str, config: AuthConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jwks.json");
        std::fs::write(&file, jwks).unwrap();
        let config = AuthConfig { jwks_file: Some(file), ..config };
        let clock = Clock::manual(NOW);
        let authenticator = open(&config, &clock).await.unwrap();
        Self { authenticator, clock, directory }
    }

    fn replace_keys(&self, jwks: &str) {
        std::fs::write(self.directory.path().join("jwks.json"), jwks).unwrap();
    }

    async fn ask(&self, token: &str) -> Result<Caller, Reason> {
        ask(&self.authenticator, token).await
    }
}

async fn open(config: &AuthConfig, clock: &Clock) -> Result<Authenticator, String> {
    let bind = "127.0.0.1:1".parse().unwrap();
    let shutdown = CancellationToken::new();
    let opened = Authenticator::new(config, clock.clone(), bind, &shutdown).await;
    opened.map_err(|error| error.to_string())
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<Caller, Reason> {
    let answer = authenticator.authenticate(&headers(token), None).await;
    answer.map_err(|error| reason(&error))
}

fn headers(token: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
}

fn reason(error: &Status) -> Reason {
    assert_eq!(error.code(), tonic::Code::Unauthenticated);
    status::reason(error).unwrap()
}

/// A token with any header and claims, signed by the issuer's key.
fn signed(issuer: &Issuer, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(issuer.key_id().to_owned());
    let key = EncodingKey::from_ed_pem(issuer.to_pem().as_bytes()).unwrap();
    encode(&header, claims, &key).unwrap()
}

/// Claims that are accepted, with changes: `null` removes a claim.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "aud": "assent", "exp": NOW.get() / 1_000 + 3_600, "role": "APP", "sub": "messenger",
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

#[tokio::test]
async fn every_role_is_let_in_as_whom_its_token_was_issued_for() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    for caller in [
        Caller::user("u-1"),
        Caller::business("b-1", "Example GmbH"),
        Caller::named(Role::App, "messenger"),
        Caller::named(Role::AdServer, "ads-1"),
        Caller::named(Role::Admin, "alex"),
        Caller::named(Role::Service, "audience-svc"),
    ] {
        let token = issuer.issue(&caller, NOW, HOUR);
        assert_eq!(gate.ask(&token).await, Ok(caller.clone()), "first");
        assert_eq!(gate.ask(&token).await, Ok(caller), "from the cache");
    }
}

#[tokio::test]
async fn keys_of_each_accepted_algorithm_are_honoured() {
    let curve = rcgen::KeyPair::generate().unwrap();
    let key = EncodingKey::from_ec_pem(curve.serialize_pem().as_bytes()).unwrap();
    let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
    public.common.key_id = Some("ec-1".to_owned());
    let rsa: Value = serde_json::from_str(RSA_KEY).unwrap();
    let gate = Gate::of(&json!({ "keys": [public, rsa] }).to_string()).await;

    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("ec-1".to_owned());
    let token = encode(&header, &claims(&json!({})), &key).unwrap();
    let app = Caller::named(Role::App, "messenger");
    assert_eq!(gate.ask(&token).await, Ok(app.clone()));
    assert_eq!(gate.ask(RSA_TOKEN.trim()).await, Ok(app));
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_and_not_a_moment_longer() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let token = issuer.issue(&Caller::named(Role::App, "messenger"), NOW, HOUR);
    gate.ask(&token).await.unwrap();
    // The leeway for clocks that differ: 30 s.
    gate.clock.advance(HOUR + Duration::from_millis(29_999));
    gate.ask(&token).await.unwrap();
    gate.clock.advance(Duration::from_millis(1));
    assert_eq!(gate.ask(&token).await, Err(Reason::TokenExpired), "from the cache");
    let other = Gate::of(&issuer.jwks()).await;
    other.clock.advance(HOUR + Duration::from_secs(30));
    assert_eq!(other.ask(&token).await, Err(Reason::TokenExpired), "verified");
}

#[tokio::test]
async fn a_token_is_not_good_before_its_time() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let soon = NOW.get() / 1_000 + 100;
    let token = signed(&issuer, &claims(&json!({ "nbf": soon })));
    gate.clock.advance(Duration::from_millis(69_999));
    assert_eq!(gate.ask(&token).await, Err(Reason::TokenExpired));
    gate.clock.advance(Duration::from_millis(1));
    gate.ask(&token).await.unwrap();
}

#[tokio::test]
async fn times_may_have_fractions_and_audiences_may_be_several() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let exp = json!(1_900_000_000.5);
    let aud = json!(["other", "assent"]);
    let token = signed(&issuer, &claims(&json!({ "exp": exp, "aud": aud })));
    gate.ask(&token).await.unwrap();
    gate.clock.advance(Duration::from_millis(30_500));
    assert_eq!(gate.ask(&token).await, Err(Reason::TokenExpired));
}

#[tokio::test]
async fn a_configured_issuer_is_insisted_on() {
    let issuer = Issuer::generate();
    let config = AuthConfig { issuer: Some("https://id.example".to_owned()), ..Default::default() };
    let gate = Gate::configured(&issuer.jwks(), config).await;
    let token = signed(&issuer, &claims(&json!({ "iss": "https://id.example" })));
    gate.ask(&token).await.unwrap();
    for other in [json!(null), json!("https://evil.example")] {
        let token = signed(&issuer, &claims(&json!({ "iss": other })));
        assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid));
    }
}

#[tokio::test]
async fn calls_without_a_token_are_told_that_it_is_missing_or_that_it_is_none() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let mut with = HeaderMap::new();
    for text in [None, Some("Bearer"), Some("Bearer "), Some("Basic dTpw"), Some("")] {
        with.clear();
        if let Some(text) = text {
            with.insert(http::header::AUTHORIZATION, HeaderValue::from_static(text));
        }
        let error = gate.authenticator.authenticate(&with, None).await.unwrap_err();
        let expected = if text.is_none() { Reason::TokenMissing } else { Reason::TokenInvalid };
        assert_eq!(reason(&error), expected, "{text:?}");
    }
    let token = issuer.issue(&Caller::named(Role::App, "a"), NOW, HOUR);
    let lower = HeaderValue::try_from(format!("bearer {token}")).unwrap();
    let with = HeaderMap::from_iter([(http::header::AUTHORIZATION, lower)]);
    gate.authenticator.authenticate(&with, None).await.unwrap();
}
