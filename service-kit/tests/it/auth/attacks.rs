//! Tokens that must not let anyone in.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use proto::errors::v1::Reason;
use serde_json::{Value, json};
use service_kit::auth::{Caller, Issuer};

use super::{Gate, HOUR, NOW, RS512_TOKEN, RSA_KEY, RSA_TOKEN, claims, headers, reason, signed};

fn part(json: &Value) -> String {
    BASE64.encode(json.to_string())
}

/// A token put together by hand, with the issuer's signature over what stands there.
fn by_hand(issuer: &Issuer, header: &Value, payload: &str) -> String {
    let message = format!("{}.{}", part(header), BASE64.encode(payload));
    let key = EncodingKey::from_ed_pem(issuer.to_pem().as_bytes()).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

#[tokio::test]
async fn unsigned_tokens_are_refused() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let payload = part(&claims(&json!({ "role": "ADMIN" })));
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let header = part(&json!({ "alg": algorithm, "kid": issuer.key_id() }));
        for token in [format!("{header}.{payload}."), format!("{header}.{payload}")] {
            assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid), "{algorithm:?}");
        }
    }
}

/// The attack that a verifier falls for which lets the header choose how a key is used: HMAC with
/// the public key, which everyone knows, as its secret.
#[tokio::test]
async fn hmac_with_the_public_key_as_its_secret_is_refused() {
    let issuer = Issuer::generate();
    let rsa: Value = serde_json::from_str(RSA_KEY).unwrap();
    let mut set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let public = set["keys"][0].clone();
    set["keys"].as_array_mut().unwrap().push(rsa.clone());
    let gate = Gate::of(&set.to_string()).await;
    for (key, material) in [(&public, "x"), (&rsa, "n")] {
        let text = key[material].as_str().unwrap();
        let secrets =
            [BASE64.decode(text).unwrap(), text.as_bytes().to_vec(), key.to_string().into_bytes()];
        for (secret, algorithm) in secrets.iter().flat_map(|secret| {
            [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].map(|hmac| (secret, hmac))
        }) {
            let mut header = Header::new(algorithm);
            header.kid = Some(key["kid"].as_str().unwrap().to_owned());
            let forged = claims(&json!({ "role": "ADMIN" }));
            let token = encode(&header, &forged, &EncodingKey::from_secret(secret)).unwrap();
            assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid), "{algorithm:?}");
        }
    }
}

#[tokio::test]
async fn the_algorithm_is_the_keys_and_one_of_three() {
    let issuer = Issuer::generate();
    let rsa: Value = serde_json::from_str(RSA_KEY).unwrap();
    let gate = Gate::of(&json!({ "keys": [rsa] }).to_string()).await;
    gate.ask(RSA_TOKEN.trim()).await.unwrap();
    // A good signature of the same key, by an algorithm that is not its own.
    assert_eq!(gate.ask(RS512_TOKEN.trim()).await, Err(Reason::TokenInvalid));

    let gate = Gate::of(&issuer.jwks()).await;
    for algorithm in ["ES256", "RS256", "PS256", "ES384", "HS256"] {
        let header = json!({ "alg": algorithm, "kid": issuer.key_id() });
        let token = by_hand(&issuer, &header, &claims(&json!({})).to_string());
        assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid), "{algorithm}");
    }
    // The same by hand with the right name is let in: it is the name that was refused.
    let header = json!({ "alg": "EdDSA", "kid": issuer.key_id() });
    gate.ask(&by_hand(&issuer, &header, &claims(&json!({})).to_string())).await.unwrap();
}

#[tokio::test]
async fn only_keys_of_the_set_are_believed() {
    let (issuer, stranger) = (Issuer::generate(), Issuer::generate());
    let gate = Gate::of(&issuer.jwks()).await;
    let app = Caller::user("u-1");
    let unknown = stranger.issue(&app, NOW, HOUR);
    let impostor = stranger.clone().with_key_id(issuer.key_id()).issue(&app, NOW, HOUR);
    // A token that brings its own key, or says where to find it.
    let public: Value = serde_json::from_str(&stranger.jwks()).unwrap();
    let mut headers = vec![json!({ "alg": "EdDSA" })];
    for (name, value) in [
        ("jwk", public["keys"][0].clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
    ] {
        headers.push(json!({ "alg": "EdDSA", "kid": issuer.key_id(), name: value }));
        headers.push(json!({ "alg": "EdDSA", "kid": stranger.key_id(), name: value }));
    }
    let payload = claims(&json!({})).to_string();
    let own = headers.iter().map(|header| by_hand(&stranger, header, &payload));
    for token in [unknown, impostor].into_iter().chain(own) {
        assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid));
    }
}

#[tokio::test]
async fn a_token_that_was_touched_is_refused() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let token = issuer.issue(&Caller::user("u-1"), NOW, HOUR);
    gate.ask(&token).await.unwrap();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts")
    };
    let other = part(&claims(&json!({ "role": "USER", "sub": "u-2" })));
    for touched in [
        format!("{header}.{other}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{}", &signature[1..]),
        format!("{header}.{payload}.{signature}="),
        format!(".{payload}.{signature}"),
        "a.b.c".to_owned(),
        "....".to_owned(),
    ] {
        assert_eq!(gate.ask(&touched).await, Err(Reason::TokenInvalid), "{touched}");
    }
}

#[tokio::test]
async fn critical_extensions_are_not_ignored() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let header = json!({ "alg": "EdDSA", "kid": issuer.key_id(), "crit": ["b64"], "b64": false });
    let token = by_hand(&issuer, &header, &claims(&json!({})).to_string());
    assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid));
}

#[tokio::test]
async fn claims_that_say_less_or_other_than_they_must_are_refused() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let business = json!({ "role": "BUSINESS", "business": "b-1", "owner": "o-1" });
    gate.ask(&signed(&issuer, &claims(&business))).await.unwrap();
    for changes in [
        json!({ "aud": null }),
        json!({ "aud": "other" }),
        json!({ "aud": "Assent" }),
        json!({ "aud": [] }),
        json!({ "aud": ["other"] }),
        json!({ "exp": null }),
        json!({ "exp": "4102444800" }),
        json!({ "nbf": "soon" }),
        json!({ "role": null }),
        json!({ "role": "" }),
        json!({ "role": "UNSPECIFIED" }),
        json!({ "role": "ROLE_ADMIN" }),
        json!({ "role": "admin" }),
        json!({ "role": "ROOT" }),
        json!({ "role": ["APP"] }),
        json!({ "role": ["USER", "ADMIN"] }),
        json!({ "role": 5 }),
        json!({ "role": "USER", "sub": null }),
        json!({ "role": "USER", "sub": "" }),
        json!({ "role": "USER", "sub": "has space" }),
        json!({ "role": "USER", "sub": "anna@example.com" }),
        json!({ "role": "USER", "sub": "49-151-23456789" }),
        json!({ "role": "USER", "sub": "u".repeat(129) }),
        json!({ "role": "APP", "sub": "line\nbreak" }),
        json!({ "role": "BUSINESS", "business": "b-1" }),
        json!({ "role": "BUSINESS", "owner": "o-1" }),
        json!({ "role": "BUSINESS", "business": "", "owner": "o-1" }),
    ] {
        let token = signed(&issuer, &claims(&changes));
        assert_eq!(gate.ask(&token).await, Err(Reason::TokenInvalid), "{changes}");
    }
}

#[tokio::test]
async fn a_claim_that_stands_there_twice_is_refused() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let header = json!({ "alg": "EdDSA", "kid": issuer.key_id() });
    let once = claims(&json!({})).to_string();
    let twice = once.replacen('{', "{\"role\":\"ADMIN\",", 1);
    assert_eq!(gate.ask(&by_hand(&issuer, &header, &twice)).await, Err(Reason::TokenInvalid));
}

/// A user's token must not carry what a business's does, whatever else is in it.
#[tokio::test]
async fn nobody_stands_for_more_than_the_role_allows() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let both = json!({ "role": "USER", "sub": "u-1", "business": "b-1", "owner": "o-1" });
    let user = gate.ask(&signed(&issuer, &claims(&both))).await.unwrap();
    assert_eq!(user, Caller::user("u-1"));
    let app = gate.ask(&signed(&issuer, &claims(&json!({ "sub": "u-1" })))).await.unwrap();
    assert_eq!(app.subject, None);
}

#[tokio::test]
async fn oversized_and_ambiguous_headers_are_refused() {
    let issuer = Issuer::generate();
    let gate = Gate::of(&issuer.jwks()).await;
    let long = signed(&issuer, &claims(&json!({ "padding": "x".repeat(4_096) })));
    assert_eq!(gate.ask(&long).await, Err(Reason::TokenInvalid));

    let token = issuer.issue(&Caller::user("u-1"), NOW, HOUR);
    let mut twice = headers(&token);
    twice.append(http::header::AUTHORIZATION, headers(&token).remove("authorization").unwrap());
    let error = gate.authenticator.authenticate(&twice, None).await.unwrap_err();
    assert_eq!(reason(&error), Reason::TokenInvalid);
}
