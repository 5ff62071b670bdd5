//! Receipts and keys as files: the JSON in which `grpcurl` and `buf curl` print the answers of
//! `GetReceipt` and `GetReceiptKeys`.
//!
//! Read strictly: unknown fields, fields given twice, and any base64 but the one in which the
//! bytes are written are refused, so that a file cannot be changed anywhere and mean the same.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, de};

use super::{PublicKey, read};

/// A file that cannot be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {what}: {why}")]
pub struct Unreadable {
    what: &'static str,
    why: String,
}

/// The answer of `GetReceipt`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The record as canonical JSON.
    #[serde(deserialize_with = "bytes")]
    pub record: Vec<u8>,
    /// The signature over it.
    #[serde(deserialize_with = "bytes")]
    pub signature: Vec<u8>,
    /// The key that signed.
    #[serde(rename = "keyId", alias = "key_id")]
    pub key_id: String,
}

impl Receipt {
    /// The receipt in a file.
    pub fn read(file: &[u8]) -> Result<Self, Unreadable> {
        json(file, "the JSON of a GetReceiptResponse")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeySet {
    // What is empty is not printed.
    #[serde(default)]
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(rename = "keyId", alias = "key_id")]
    id: String,
    #[serde(rename = "publicKey", alias = "public_key", deserialize_with = "bytes")]
    public: Vec<u8>,
    #[serde(rename = "notBefore", alias = "not_before")]
    not_before: String,
}

/// The keys in a file with the answer of `GetReceiptKeys`.
pub fn read_keys(file: &[u8]) -> Result<Vec<PublicKey>, Unreadable> {
    const WHAT: &str = "the JSON of a GetReceiptKeysResponse";
    let KeySet { keys } = json(file, WHAT)?;
    let refuse = |why: String| Unreadable { what: WHAT, why };
    let key = |key: Key| {
        let not_before = read(&key.not_before)
            .ok_or_else(|| refuse(format!("key {}: not_before is no timestamp", key.id)))?;
        let public = PublicKey::parse(&BASE64_STANDARD.encode(&key.public), not_before)
            .map_err(|error| refuse(format!("key {}: {error}", key.id)))?;
        if public.id() == key.id {
            Ok(public)
        } else {
            Err(refuse(format!("key {} is named by another key's id", key.id)))
        }
    };
    keys.into_iter().map(key).collect()
}

fn json<T: de::DeserializeOwned>(file: &[u8], what: &'static str) -> Result<T, Unreadable> {
    serde_json::from_slice(file).map_err(|error| Unreadable { what, why: error.to_string() })
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    BASE64_STANDARD.decode(text).map_err(|_| de::Error::custom("not base64"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn both_spellings_are_read_and_nothing_else() {
        let one = br#"{ "record": "e30=", "signature": "AAA=", "keyId": "ab" }"#;
        let other = br#"{"key_id":"ab","record":"e30=","signature":"AAA="}"#;
        assert_eq!(Receipt::read(one).unwrap(), Receipt::read(other).unwrap());
        for wrong in [
            r#"{"record":"e30=","signature":"AAA="}"#,
            r#"{"record":"e30=","signature":"AAA=","keyId":"ab","key_id":"ab"}"#,
            r#"{"record":"e30=","signature":"AAA=","keyId":"ab","more":1}"#,
            // Bits that no byte has, a missing end, and the other alphabet.
            r#"{"record":"e31=","signature":"AAA=","keyId":"ab"}"#,
            r#"{"record":"e30","signature":"AAA=","keyId":"ab"}"#,
            r#"{"record":"-_-_","signature":"AAA=","keyId":"ab"}"#,
        ] {
            assert!(Receipt::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_under_another_name_is_refused() {
        let file = |id: &str| {
            let key = BASE64_STANDARD
                .encode(ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key());
            format!(
                r#"{{"keys":[{{"keyId":"{id}","publicKey":"{key}","notBefore":"2026-01-01T00:00:00Z"}}]}}"#
            )
        };
        assert!(read_keys(file("0123456789abcdef").as_bytes()).is_err());
        let own = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
        let own =
            PublicKey::parse(&BASE64_STANDARD.encode(own), read("2026-01-01T00:00:00Z").unwrap());
        let own = own.unwrap();
        assert_eq!(read_keys(file(own.id()).as_bytes()).unwrap(), [own]);
        assert_eq!(read_keys(b"{}").unwrap(), []);
    }
}
