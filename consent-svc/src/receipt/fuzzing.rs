//! What must hold of receipts, whatever they say.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::{PublicKey, Receipt, SigningKey, Verified, read, read_keys, verify_chains};
use crate::domain::Moment;

/// A withdrawal's record, as `docs/receipts.md` has it.
const RECORD: &str = include_str!("../../../docs/receipts.md");

/// As files of a receipt and of keys; as a record that was signed; as what a record says was hashed.
///
/// # Panics
/// When something is found genuine that was not signed.
#[allow(clippy::unwrap_used)]
pub fn receipt(data: &[u8]) {
    let _ = read_keys(data);
    let signing = SigningKey::parse(&BASE64_STANDARD.encode([7; 32])).unwrap();
    let key = signing.public(Moment::from_millis(0)).unwrap();
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = (PublicKey::parse(text, Moment::from_millis(0)), SigningKey::parse(text));
        if let Some(at) = read(text) {
            assert_eq!(read(&super::written(at)), Some(at));
        }
    }
    if let Ok(receipt) = Receipt::read(data) {
        check(&receipt.verify(std::slice::from_ref(&key)));
    }
    let signed = |record: Vec<u8>| {
        let signature = signing.sign(&record).unwrap().to_vec();
        let receipt = Receipt { record, signature, key_id: key.id().to_owned() };
        let verified = receipt.verify(std::slice::from_ref(&key));
        assert!(verified.failures.iter().all(|failure| failure.check != "signature"));
        check(&verified);
        let unsigned =
            Receipt { signature: vec![0; 64], ..receipt }.verify(std::slice::from_ref(&key));
        assert!(unsigned.failures.iter().any(|failure| failure.check == "signature"));
    };
    signed(data.to_vec());
    let mut record = example();
    record["integrity"]["content"] = BASE64_STANDARD.encode(data).into();
    signed(serde_json_canonicalizer::to_vec(&record).unwrap());
}

#[allow(clippy::unwrap_used)]
fn example() -> Value {
    let (_, record) = RECORD.split_once("```json\n").unwrap();
    serde_json::from_str(record.split_once("```").unwrap().0).unwrap()
}

fn check(verified: &Verified) {
    if let Some(record) = &verified.record {
        let chains = verify_chains([record, record]);
        assert_eq!(chains.len(), 1);
    }
}
