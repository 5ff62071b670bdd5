//! Keys that come and go while calls are served.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use proto::{errors::v1::Reason, options::v1::Role};
use serde_json::json;
use service_kit::{
    auth::{AuthConfig, Authenticator, Caller, Issuer},
    clock::Clock,
    config::Span,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Gate, HOUR, NOW, RSA_KEY, ask, open};

const SECOND: Duration = Duration::from_secs(1);

fn app() -> Caller {
    Caller::named(Role::App, "messenger")
}

#[tokio::test]
async fn a_key_that_leaves_the_file_is_refused_a_second_later_even_for_cached_tokens() {
    let (old, new) = (Issuer::generate(), Issuer::generate());
    let gate = Gate::of(&old.jwks()).await;
    let (with_old, with_new) = (old.issue(&app(), NOW, HOUR), new.issue(&app(), NOW, HOUR));
    gate.ask(&with_old).await.unwrap();
    assert_eq!(gate.ask(&with_new).await, Err(Reason::TokenInvalid));

    gate.replace_keys(&Issuer::jwks_of([&old, &new]));
    gate.clock.advance(SECOND);
    gate.ask(&with_new).await.unwrap();
    gate.ask(&with_old).await.unwrap();

    gate.replace_keys(&new.jwks());
    gate.clock.advance(SECOND);
    assert_eq!(gate.ask(&with_old).await, Err(Reason::TokenInvalid));
    gate.ask(&with_new).await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_leaves_the_last_good_keys_in_force() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let token = issuer.issue(&app(), NOW, HOUR);
    for broken in ["", "{\"keys\":", "[]", "{\"keys\": 7}"] {
        gate.replace_keys(broken);
        gate.clock.advance(SECOND);
        assert_eq!(gate.ask(&token).await, Ok(app()), "{broken:?}");
    }
    // A set without keys is one: nobody is let in any more.
    gate.replace_keys("{\"keys\": []}");
    gate.clock.advance(SECOND);
    assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn keys_that_are_weak_broken_or_for_something_else_are_left_out() {
    let issuer = Issuer::generate();
    let mut set: serde_json::Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let good = set["keys"][0].clone();
    let with = |changes: serde_json::Value| {
        let mut key = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    let mut rsa: serde_json::Value = serde_json::from_str(RSA_KEY).unwrap();
    rsa["n"] = json!(
        "4pFVCkXy6EYmqUnfojv0_EYowB4gH4LMjxQ7yeuNnKAGEq6T0X4iIxLzTBNeSHBpyepdCghPVoJZOC3H2tF9h9nxs4jvEeUJvLd3AbRCKU4-sz5mDMdp8gtG4wiFLbuJOfcX3UJNGRqjK_w_u8hGevulolvgGkNKdmRaYIMXe5U"
    );
    let unusable = [
        with(json!({ "kid": "short", "x": "AAAA" })),
        with(json!({ "kid": "no-base64", "x": "!" })),
        with(json!({ "kid": "encryption", "use": "enc" })),
        with(json!({ "kid": "other", "alg": "ES256" })),
        with(json!({ "kid": "signing", "key_ops": ["sign"] })),
        with(json!({ "kid": "curve", "crv": "X25519" })),
        with(json!({ "kid": "" })),
        json!({ "kty": "oct", "kid": "hmac", "alg": "HS256", "k": "c2VjcmV0" }),
        json!({ "kty": "EC", "kid": "p384", "crv": "P-384", "x": good["x"], "y": good["x"] }),
        json!("not a key"),
        rsa,
    ];
    for key in &unusable {
        let alone = json!({ "keys": [key] }).to_string();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("jwks.json");
        std::fs::write(&file, alone).unwrap();
        let config = AuthConfig { jwks_file: Some(file), ..AuthConfig::default() };
        let error = open(&config, &Clock::manual(NOW)).await.unwrap_err();
        assert!(error.contains("no usable"), "{key}: {error}");
    }
    set["keys"].as_array_mut().unwrap().extend(unusable);
    let gate = Gate::of(&set.to_string()).await;
    gate.ask(&issuer.issue(&app(), NOW, HOUR)).await.unwrap();
}

#[tokio::test]
async fn development_keys_are_refused_wherever_others_can_call() {
    let (development, real) = (Issuer::generate().with_key_id("dev-1"), Issuer::generate());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let config = AuthConfig { jwks_file: Some(file.clone()), ..AuthConfig::default() };
    let clock = Clock::manual(NOW);
    let shutdown = CancellationToken::new();
    let token = development.issue(&app(), NOW, HOUR);

    std::fs::write(&file, development.jwks()).unwrap();
    for loopback in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1"] {
        let bind = loopback.parse().unwrap();
        let gate = Authenticator::new(&config, clock.clone(), bind, &shutdown).await.unwrap();
        ask(&gate, &token).await.unwrap();
    }
    for open in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "192.0.2.1:1"] {
        let bind = open.parse().unwrap();
        let error = Authenticator::new(&config, clock.clone(), bind, &shutdown).await.unwrap_err();
        assert!(error.to_string().contains("dev-1"), "{open}: {error}");
    }
    // One that turns up later is not honoured either.
    std::fs::write(&file, real.jwks()).unwrap();
    let bind = "0.0.0.0:1".parse().unwrap();
    let gate = Authenticator::new(&config, clock.clone(), bind, &shutdown).await.unwrap();
    std::fs::write(&file, Issuer::jwks_of([&real, &development])).unwrap();
    clock.advance(SECOND);
    assert_eq!(ask(&gate, &token).await, Err(Reason::TokenInvalid));
    ask(&gate, &real.issue(&app(), NOW, HOUR)).await.unwrap();
}

/// A server of key sets: what it answers, and how often it was asked.
#[derive(Clone)]
struct KeyServer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
    url: String,
}

impl KeyServer {
    async fn start(jwks: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((StatusCode::OK, jwks)));
        let server = Self { answer, asked: Arc::default(), url };
        let state = server.clone();
        let handler = move || async move {
            state.asked.fetch_add(1, Ordering::SeqCst);
            state.answer.lock().unwrap().clone()
        };
        let router = Router::new().route("/keys", get(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn answer(&self, status: StatusCode, text: impl Into<String>) {
        *self.answer.lock().unwrap() = (status, text.into());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn config(&self) -> AuthConfig {
        AuthConfig { jwks_url: Some(self.url.clone()), ..AuthConfig::default() }
    }
}

#[tokio::test]
async fn a_key_that_is_new_at_the_url_is_fetched_when_it_is_first_seen() {
    let (old, new) = (Issuer::generate(), Issuer::generate());
    let server = KeyServer::start(old.jwks()).await;
    let clock = Clock::manual(NOW);
    let gate = open(&server.config(), &clock).await.unwrap();
    let (with_old, with_new) = (old.issue(&app(), NOW, HOUR), new.issue(&app(), NOW, HOUR));
    ask(&gate, &with_old).await.unwrap();
    assert_eq!(server.asked(), 1);

    server.answer(StatusCode::OK, new.jwks());
    ask(&gate, &with_new).await.unwrap();
    assert_eq!(ask(&gate, &with_old).await, Err(Reason::TokenInvalid), "its key has gone");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn strangers_cannot_make_us_ask_the_url_again_and_again() {
    let issuer = Issuer::generate();
    let server = KeyServer::start(issuer.jwks()).await;
    let clock = Clock::manual(NOW);
    let gate = open(&server.config(), &clock).await.unwrap();
    let stranger = || Issuer::generate().issue(&app(), NOW, HOUR);
    for _ in 0..20 {
        assert_eq!(ask(&gate, &stranger()).await, Err(Reason::TokenInvalid));
    }
    assert_eq!(server.asked(), 2, "at start, and once for all of them");
    clock.advance(Duration::from_secs(10));
    assert_eq!(ask(&gate, &stranger()).await, Err(Reason::TokenInvalid));
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_url_that_fails_leaves_the_last_good_keys_in_force() {
    let issuer = Issuer::generate();
    let server = KeyServer::start(issuer.jwks()).await;
    let gate = open(&server.config(), &Clock::manual(NOW)).await.unwrap();
    let token = issuer.issue(&app(), NOW, HOUR);
    let too_large = format!("{{\"keys\": [], \"padding\": \"{}\"}}", "x".repeat(1024 * 1024));
    for (status, text) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "{\"keys\": []}".to_owned()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, too_large),
    ] {
        server.answer(status, text);
        gate.refresh().await;
        ask(&gate, &token).await.unwrap();
    }
    server.answer(StatusCode::OK, "{\"keys\": []}");
    gate.refresh().await;
    assert_eq!(ask(&gate, &token).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn the_url_is_asked_again_at_the_interval() {
    let (old, new) = (Issuer::generate(), Issuer::generate());
    let server = KeyServer::start(old.jwks()).await;
    let clock = Clock::manual(NOW);
    let config = AuthConfig { jwks_refresh: Span::from_secs(60), ..server.config() };
    let gate = open(&config, &clock).await.unwrap();
    let token = old.issue(&app(), NOW, HOUR);
    ask(&gate, &token).await.unwrap();
    server.answer(StatusCode::OK, new.jwks());
    // The refresher may only now begin to sleep, hence more than one interval.
    let refused = async {
        while ask(&gate, &token).await.is_ok() {
            clock.advance(Duration::from_mins(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
}

#[tokio::test]
async fn keys_are_not_fetched_over_a_network_without_tls() {
    for (url, why) in [
        ("http://keys.example/jwks.json", "not https"),
        ("ftp://127.0.0.1/jwks.json", "not https"),
        ("keys.example", "not https"),
        ("http://user:secret@keys.example/?token=secret", "not https"),
    ] {
        let config = AuthConfig { jwks_url: Some(url.to_owned()), ..AuthConfig::default() };
        let error = open(&config, &Clock::manual(NOW)).await.unwrap_err();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn there_is_no_starting_without_keys() {
    let clock = Clock::manual(NOW);
    assert!(open(&AuthConfig::default(), &clock).await.unwrap_err().contains("jwks_file"));
    let missing = AuthConfig { jwks_file: Some("/nowhere/jwks.json".into()), ..Default::default() };
    assert!(open(&missing, &clock).await.unwrap_err().contains("/nowhere/jwks.json"));
    let both = AuthConfig { jwks_url: Some("https://keys.example".to_owned()), ..missing };
    assert!(open(&both, &clock).await.unwrap_err().contains("exactly one"));
}
