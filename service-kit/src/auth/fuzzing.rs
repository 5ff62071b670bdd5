//! What must hold of tokens and key sets, whatever comes: for the fuzz targets, and for tests of few
//! cases.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proto::options::v1::Role;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Authenticator, Caller, claims::role_name, keys::KeySet};
use crate::{
    clock::{Clock, UnixMillis},
    test_util::TestKeys,
};

/// When it is, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

/// A key, and who accepts its tokens.
struct Setting {
    key: EncodingKey,
    authenticator: Authenticator,
    leeway: f64,
}

#[allow(clippy::unwrap_used)]
static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let keys = TestKeys::new();
    let key = EncodingKey::from_ed_pem(keys.issuer().to_pem().as_bytes()).unwrap();
    let config = keys.auth_config();
    let clock = Clock::manual(UnixMillis::new(NOW * 1_000));
    let shutdown = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let bind = ([127, 0, 0, 1], 0).into();
    let authenticator =
        runtime.block_on(Authenticator::new(&config, clock, bind, &shutdown)).unwrap();
    Setting { key, authenticator, leeway: config.leeway.get().as_secs_f64() }
});

/// Up to a line's end a header, behind it claims: signed as they are. And all of it as an
/// `authorization` header, which nobody signed.
///
/// # Panics
/// When somebody is let in who should not be.
pub fn token(data: &[u8]) {
    let whole = [b"Bearer ", data].concat();
    for value in [data, &whole] {
        assert!(caller(value).is_none(), "nobody signed this");
    }
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, claims) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let encode = |part: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(header), encode(claims));
    let Ok(signature) = crypto::sign(message.as_bytes(), &SETTING.key, Algorithm::EdDSA) else {
        return;
    };
    let value = format!("Bearer {message}.{signature}");
    if let Some(caller) = caller(value.as_bytes()) {
        accepted(&caller, header, claims);
    }
}

fn caller(value: &[u8]) -> Option<Caller> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).ok()?);
    SETTING.authenticator.cached(&headers, None)?.ok()
}

/// What a token that is accepted says, read by another reader.
#[allow(clippy::unwrap_used)]
fn accepted(caller: &Caller, header: &[u8], claims: &[u8]) {
    let header: Value = serde_json::from_slice(header).unwrap();
    assert_eq!((&header["alg"], &header["kid"]), (&"EdDSA".into(), &"dev-test".into()));
    assert!(header.get("crit").is_none_or(Value::is_null));
    let claims: Value = serde_json::from_slice(claims).unwrap();
    let audiences = claims["aud"].as_array();
    let ours = |audience: &Value| *audience == "assent";
    assert!(ours(&claims["aud"]) || audiences.is_some_and(|several| several.iter().any(ours)));
    #[allow(clippy::cast_precision_loss)] // exact
    let now = NOW as f64;
    assert!(claims["exp"].as_f64().unwrap() + SETTING.leeway + 0.001 > now);
    if let Some(not_before) = claims["nbf"].as_f64() {
        assert!(not_before - SETTING.leeway - 0.001 <= now);
    }
    assert_eq!(claims["role"], role_name(caller.role));
    assert_ne!(caller.role, Role::Unspecified);
    let says = |claim: &str, known: Option<&str>| known.is_none_or(|known| claims[claim] == known);
    assert!(says("sub", caller.subject.as_deref()));
    assert!(says("business", caller.business.as_deref()) && says("owner", caller.owner.as_deref()));
    assert_eq!(caller.role == Role::User, caller.subject.is_some());
    assert_eq!(caller.role == Role::Business, caller.owner.is_some() && caller.business.is_some());
}

/// A key server's answer.
pub fn key_set(data: &[u8]) {
    let _ = KeySet::parse(data.to_vec(), 0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = r#"{"alg":"EdDSA","kid":"dev-test"}"#;

    #[test]
    fn a_good_one_is_let_in_so_that_the_others_mean_something() {
        let signed = |claims: &str| {
            let encode = |part: &str| BASE64_URL_SAFE_NO_PAD.encode(part);
            let message = format!("{}.{}", encode(HEADER), encode(claims));
            let signature =
                crypto::sign(message.as_bytes(), &SETTING.key, Algorithm::EdDSA).unwrap();
            caller(format!("Bearer {message}.{signature}").as_bytes())
        };
        let good = r#"{"aud":"assent","exp":1800000100,"role":"USER","sub":"ann"}"#;
        assert_eq!(signed(good), Some(Caller::user("ann")));
        assert_eq!(signed(&good.replace("1800000100", "1700000000")), None);
    }

    proptest! {
        #[test]
        fn nobody_is_let_in_by_chance(
            header in prop_oneof![4 => Just(HEADER.to_owned()), 1 => "\\PC{0,40}"],
            aud in prop::sample::select(vec![r#""assent""#, r#"["x","assent"]"#, r#""x""#, "1", "[]"]),
            exp in prop_oneof![any::<f64>().prop_map(|exp| exp.to_string()), Just("1800000060".into()), Just("1e400".into())],
            role in prop::sample::select(vec!["USER", "BUSINESS", "ADMIN", "UNSPECIFIED", "user", ""]),
            sub in "[a-z0-9+]{0,12}",
            rest in prop_oneof![Just(String::new()), Just(r#","sub":"eve""#.to_owned()), "\\PC{0,20}"],
        ) {
            let claims = format!(r#"{{"aud":{aud},"exp":{exp},"role":"{role}","sub":"{sub}","business":"b","owner":"o"{rest}}}"#);
            token(format!("{header}\n{claims}").as_bytes());
        }

        #[test]
        fn no_key_set_is_too_odd(
            kty in "(OKP|EC|RSA|oct)", crv in "(Ed25519|P-256|X25519)",
            x in "[A-Za-z0-9_-]{0,90}", kid in "[a-z]{0,2}",
        ) {
            let key = format!(r#"{{"kty":"{kty}","crv":"{crv}","x":"{x}","y":"{x}","n":"{x}","e":"AQAB","kid":"{kid}"}}"#);
            key_set(format!(r#"{{"keys":[{key},{key}]}}"#).as_bytes());
        }
    }
}
