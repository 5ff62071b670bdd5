use identifiers::{Digest, Kind, Profile, Rejection, digest};

const HEX: &str = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176";

#[test]
fn every_spelling_of_a_digest_is_read() {
    let computed = digest(Kind::Phone, Profile::Meta, "+1 650 555 1212", None).unwrap();
    let upper = HEX.to_uppercase();
    for text in [
        HEX,
        &upper,
        " e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176\r\n",
        "4yPsYmMZypTui/8uTIfPYTvm6hmRntE2QSThaAerMXY=",
        "4yPsYmMZypTui/8uTIfPYTvm6hmRntE2QSThaAerMXY",
        "4yPsYmMZypTui_8uTIfPYTvm6hmRntE2QSThaAerMXY=",
        "4yPsYmMZypTui_8uTIfPYTvm6hmRntE2QSThaAerMXY",
    ] {
        assert!(Digest::parse(text).unwrap() == computed, "{text:?}");
    }
    assert!(Digest::from_bytes(*computed.as_bytes()).unwrap() == computed);
}

#[test]
fn what_is_not_a_digest_is_refused_with_its_reason() {
    let table = [
        ("", Rejection::Empty),
        (" \n", Rejection::Empty),
        ("dana@example.com", Rejection::WrongLength),
        // MD5 and SHA-1, SHA-512 in hex.
        ("d41d8cd98f00b204e9800998ecf8427e", Rejection::WrongLength),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", Rejection::WrongLength),
        (&"0123456789abcdef".repeat(8), Rejection::WrongLength),
        (&HEX[1..], Rejection::WrongLength),
        (&"a".repeat(5000), Rejection::WrongLength),
        (&" ".repeat(5000), Rejection::WrongLength),
        (&HEX.replace('e', "g"), Rejection::NotADigest),
        (&"é".repeat(32), Rejection::NotADigest),
        // The two alphabets mixed; stray bits after the last byte; padding in the wrong place.
        ("4yPsYmMZypTui/8uTIfPYTvm6hmRntE2QSThaAerMX_=", Rejection::NotADigest),
        ("4yPsYmMZypTui/8uTIfPYTvm6hmRntE2QSThaAerMXZ=", Rejection::NotADigest),
        ("=4yPsYmMZypTui/8uTIfPYTvm6hmRntE2QSThaAerMXY", Rejection::NotADigest),
        // 44 characters that are 33 bytes.
        ("4yPsYmMZypTui/8uTIfPYTvm6hmRntE2QSThaAerMXYA", Rejection::NotADigest),
    ];
    for (text, reason) in table {
        assert_eq!(Digest::parse(text), Err(reason), "{text:?}");
    }
}

#[test]
fn the_digest_of_an_empty_cell_is_refused_however_it_comes() {
    let hex = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";
    assert_eq!(Digest::parse(hex), Err(Rejection::HashOfEmpty));
    assert_eq!(
        Digest::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        Err(Rejection::HashOfEmpty)
    );
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex, &mut bytes).unwrap();
    assert_eq!(Digest::from_bytes(bytes), Err(Rejection::HashOfEmpty));
}

#[test]
fn a_digest_encoded_twice_is_refused_as_that() {
    use base64::{Engine, prelude as base64};
    let upper = HEX.to_uppercase();
    for text in [
        base64::BASE64_STANDARD.encode(HEX),
        base64::BASE64_STANDARD_NO_PAD.encode(HEX),
        base64::BASE64_URL_SAFE.encode(&upper),
        hex::encode(HEX),
    ] {
        assert_eq!(Digest::parse(&text), Err(Rejection::HashOfHash), "{text}");
    }
    // Of the same lengths, but not of hex inside.
    assert_eq!(
        Digest::parse(&base64::BASE64_STANDARD.encode([0xff; 64])),
        Err(Rejection::WrongLength)
    );
}
