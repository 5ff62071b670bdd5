//! What must hold of all that comes from outside, whatever it is: for the fuzz targets
//! (`scripts/fuzz`), and for tests of few cases. In no other build.

pub use crate::{
    grpc::fuzzing::{cursor, policy},
    receipt::fuzzing::receipt,
    store::fuzzing::stored,
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;
    use prost_types::{Duration, Timestamp};
    use proto::consent::v1 as pb;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..60)
    }

    proptest! {
        #[test]
        fn only_a_cursor_that_was_given_is_one(data in prop_oneof![bytes(), any::<[u8; 8]>().prop_map(Vec::from)]) {
            super::cursor(&data);
        }

        #[test]
        fn no_policy_is_too_odd(
            title in "\\PC{1,9}", jurisdiction in "(DE|US-CA|EEA|x)",
            regime in 0..4, mechanism in 0..5, kind in 0..4, rest in 0..4,
            at in (any::<i64>(), any::<i32>()), within in (any::<i64>(), -1_000_000_000..1_000_000_000),
            texts in prop::collection::vec("(de|en|pt-BR)", 0..3),
        ) {
            let span = |(seconds, nanos): (i64, i32)| Some(Duration { seconds: seconds % 400_000_000_000, nanos });
            let purpose = |id: &str| pb::Purpose {
                purpose_id: id.to_owned(), kind, mechanism, lawful_basis: rest,
                requires: vec!["a.b".to_owned()],
                consent_lifetime: span(within),
                texts: texts.iter().map(|locale| pb::PurposeText {
                    locale: locale.clone(), title: title.clone(), text: title.clone(),
                }).collect(),
                ..pb::Purpose::default()
            };
            let spec = pb::PolicySpec {
                title: title.clone(), jurisdictions: vec![jurisdiction], regime,
                effective_at: Some(Timestamp { seconds: at.0 % 1_000_000_000_000, nanos: at.1 }),
                notices: texts.iter().map(|locale| pb::Notice {
                    locale: locale.clone(), text: title.clone(), sha256: Vec::new(),
                }).collect(),
                purposes: vec![purpose("a.b"), purpose("a.c")],
                accept_within: span(within), change_within: span(within),
                on_lapse: rest, after_window: rest, refusal_reversible: rest == 1, applies_to: rest,
            };
            super::policy(&spec.encode_to_vec());
        }

        #[test]
        fn no_receipt_is_too_odd(data in prop_oneof![
            bytes(), "\\{\"record\":\"[A-Za-z0-9]{0,8}\",\"signature\":\"\",\"keyId\":\"x\"\\}".prop_map(String::into_bytes),
            "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\\.[0-9]{1,12})?(Z|[+-][0-9:]{5})".prop_map(String::into_bytes),
        ]) {
            super::receipt(&data);
        }

        #[test]
        fn no_stored_bytes_are_too_odd(
            data in bytes(), fields in prop::collection::vec((1_u8..16, any::<u8>(), any::<u64>()), 0..8),
        ) {
            super::stored(&data);
            let mut message = Vec::new();
            for (number, short, long) in fields {
                message.push(number << 3);
                prost::encoding::encode_varint(if short < 200 { short.into() } else { long }, &mut message);
            }
            super::stored(&message);
        }
    }
}
