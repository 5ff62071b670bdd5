use identifiers::{Kind, Rejection, registered_digests};

use crate::forms;

#[test]
fn an_id_is_trimmed_and_otherwise_kept_under_every_profile() {
    for (raw, kept) in [
        (" C-00042\r\n", "C-00042"),
        ("a7", "a7"),
        ("A7", "A7"),
        ("two words", "two words"),
        ("客户", "客户"),
    ] {
        assert_eq!(forms(Kind::ExternalId, raw, None).unwrap(), [kept; 3], "{raw:?}");
        assert_eq!(registered_digests(Kind::ExternalId, raw, None).unwrap().len(), 1);
    }
}

#[test]
fn an_id_has_1_to_256_bytes_and_no_control_characters() {
    assert_eq!(forms(Kind::ExternalId, " ", None), Err(Rejection::Empty));
    assert!(forms(Kind::ExternalId, &"x".repeat(256), None).is_ok());
    assert_eq!(forms(Kind::ExternalId, &"x".repeat(257), None), Err(Rejection::TooLong));
    assert_eq!(forms(Kind::ExternalId, &"é".repeat(129), None), Err(Rejection::TooLong));
    for raw in ["a\nb", "a\0", "a\tb", "a\u{85}b"] {
        assert_eq!(forms(Kind::ExternalId, raw, None), Err(Rejection::ControlCharacter), "{raw:?}");
    }
}
