//! The keys that tokens may be signed with.

use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;

use super::DEVELOPMENT_PREFIX;

/// A key and the one algorithm it is for: the header of a token chooses the key, never how the
/// key is used (a public key that is taken for an HMAC secret signs anything).
#[derive(Debug)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// The keys by their id. Each set that is read gets a number of its own.
#[derive(Debug)]
pub(super) struct KeySet {
    pub(super) generation: u64,
    pub(super) source: Vec<u8>,
    keys: HashMap<String, Key>,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that no token of ours can be signed with (other algorithms,
    /// encryption keys, keys without an id, weak ones) are left out.
    pub(super) fn parse(source: Vec<u8>, generation: u64) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(&source)
            .map_err(|error| format!("not a JSON Web Key Set: {error}"))?;
        let mut keys = HashMap::new();
        for value in set.keys {
            let Some((id, key)) = usable(value) else {
                tracing::debug!("a key in the key set is not one for our tokens: left out");
                continue;
            };
            if keys.contains_key(&id) {
                return Err(format!("two keys with the kid {id:?}"));
            }
            keys.insert(id, key);
        }
        Ok(Self { generation, source, keys })
    }

    pub(super) fn get(&self, id: &str) -> Option<&Key> {
        self.keys.get(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The id of a development key in the set.
    pub(super) fn development_key(&self) -> Option<&str> {
        self.keys.keys().map(String::as_str).find(|id| id.starts_with(DEVELOPMENT_PREFIX))
    }
}

fn usable(value: serde_json::Value) -> Option<(String, Key)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) => (key.curve == EllipticCurve::Ed25519
            && length(&key.x) == Some(32))
        .then_some(Algorithm::EdDSA),
        AlgorithmParameters::EllipticCurve(key) => (key.curve == EllipticCurve::P256
            && length(&key.x) == Some(32)
            && length(&key.y) == Some(32))
        .then_some(Algorithm::ES256),
        // 2,048 to 4,096 bits: shorter ones are weak, longer ones only slow us down.
        AlgorithmParameters::RSA(key) => length(&key.n)
            .is_some_and(|bytes| (256..=513).contains(&bytes))
            .then_some(Algorithm::RS256),
        _ => None,
    }?;
    let common = &jwk.common;
    let named_otherwise = common.key_algorithm.is_some_and(|named| named != algorithm.into());
    let other_use = common.public_key_use.as_ref().is_some_and(|u| *u != PublicKeyUse::Signature);
    let other_operations = common
        .key_operations
        .as_ref()
        .is_some_and(|operations| !operations.contains(&KeyOperations::Verify));
    if named_otherwise || other_use || other_operations {
        return None;
    }
    let id = common.key_id.clone().filter(|id| !id.is_empty())?;
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some((id, Key { algorithm, decoding }))
}

fn length(base64url: &str) -> Option<usize> {
    BASE64_URL_SAFE_NO_PAD.decode(base64url).ok().map(|bytes| bytes.len())
}
