use identifiers::{Digest, Kind, MatchKey, MatchKeySecret, Profile, SecretTooShort, digest};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// HMAC-SHA-256 written out from RFC 2104, sharing nothing with the code under test but the hash.
fn hmac_sha256(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if secret.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        block[..secret.len()].copy_from_slice(secret);
    }
    let inner =
        Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().into()
}

#[test]
fn the_reference_computation_agrees_with_rfc_4231() {
    let case_2 = hmac_sha256(b"Jefe", b"what do ya want for nothing?");
    assert_eq!(
        hex::encode(case_2),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    let case_6 =
        hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(
        hex::encode(case_6),
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    );
}

proptest! {
    #[test]
    fn a_key_is_the_first_half_of_the_hmac_of_kind_and_digest(
        secret in prop::collection::vec(any::<u8>(), 32..200),
        bytes in any::<[u8; 32]>(),
        kind in prop::sample::select(Kind::ALL.to_vec()),
    ) {
        let message = [&[kind.tag()][..], &bytes].concat();
        let key = MatchKeySecret::new(1, &secret).unwrap().match_key(kind, &Digest::from_bytes(bytes).unwrap());
        prop_assert_eq!(&key.as_bytes()[..], &hmac_sha256(&secret, &message)[..16]);
    }
}

#[test]
fn keys_never_change_between_releases() {
    // Computed outside Rust, with Python's hmac and hashlib.
    let ascending: Vec<u8> = (0..32).collect();
    let long = [0xaa; 131];
    let table: [(&[u8], Kind, &str, &str); 3] = [
        (&ascending, Kind::Email, "dana@example.com", "7929f45c3e67eb80a81bd77e4b26c642"),
        (&ascending, Kind::Phone, "+12345678901", "742e045d926c3fcc2b627bf683dc5514"),
        (&long, Kind::ExternalId, "A7", "700fe7c8bf6a1a2e2e216a87598802c2"),
    ];
    for (secret, kind, raw, expected) in table {
        let digest = digest(kind, Profile::Google, raw, None).unwrap();
        let key = MatchKeySecret::new(7, secret).unwrap().match_key(kind, &digest);
        assert_eq!(hex::encode(key.as_bytes()), expected, "{kind}");
        assert!(MatchKey::from_bytes(*key.as_bytes()) == key);
    }
}

#[test]
fn kind_and_secret_both_separate_keys() {
    let digest = digest(Kind::ExternalId, Profile::Meta, "16505551212", None).unwrap();
    let (ours, theirs) =
        (MatchKeySecret::new(1, &[1; 32]).unwrap(), MatchKeySecret::new(1, &[2; 32]).unwrap());
    assert!(ours.match_key(Kind::Phone, &digest) == ours.match_key(Kind::Phone, &digest));
    assert!(ours.match_key(Kind::Phone, &digest) != ours.match_key(Kind::ExternalId, &digest));
    assert!(ours.match_key(Kind::Phone, &digest) != theirs.match_key(Kind::Phone, &digest));
}

#[test]
fn a_short_secret_is_refused() {
    assert_eq!(MatchKeySecret::new(1, &[7; 31]).err(), Some(SecretTooShort));
    assert_eq!(MatchKeySecret::new(9, &[7; 32]).unwrap().version(), 9);
}
