use identifiers::{Digest, Kind, Profile, Region, digest, normalise, registered_digests};
use proptest::prelude::*;

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn any_region() -> impl Strategy<Value = Option<Region>> {
    prop::option::of(prop::sample::select(vec![
        "US", "DE", "GB", "IT", "AR", "MX", "BR", "SG", "CI", "SM",
    ]))
    .prop_map(|code| code.map(|code| code.parse().unwrap()))
}

/// Anything at all, and text that is nearly an identifier or nearly a trap.
fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[+＋0-9 ()./-]{0,40}",
        "[0-9;=:a-z+.@#*x,-]{0,60}",
        "(tel:)?[+]?[0-9]{0,20}(;phone-context=|;ext=|;isub=)[+a-z0-9.:;]{0,20}",
        "[A-Za-z0-9.+_İΣẞ\u{200b}-]{0,80}@{0,2}[A-Za-z0-9.é-]{0,200}",
        "[A-Za-z0-9+/_=-]{40,132}",
        (any::<char>(), 0..3000_usize).prop_map(|(c, n)| c.to_string().repeat(n)),
    ]
}

fn addresses() -> impl Strategy<Value = String> {
    let local = "[A-Za-z0-9ÄÖİΣ_.'+-]{0,20}[A-Za-z0-9]";
    let domain = prop_oneof![
        Just("gmail.com".to_owned()),
        Just("GoogleMail.COM".to_owned()),
        "[a-zA-Z0-9éΣ]{1,20}(\\.[a-z0-9]{1,10}){0,3}\\.[a-zA-Z]{2,6}",
    ];
    (local, domain).prop_map(|(local, domain)| format!(" {local}@{domain}\t"))
}

/// National numbers of a length and first digit that are valid often enough: see the count below.
fn national_numbers() -> impl Strategy<Value = (String, &'static str)> {
    prop_oneof![
        ("[2-9][0-9]{2}[2-9][0-9]{6}", Just("US")),
        ("0?1[5-7][0-9]{8,9}", Just("DE")),
        ("0?7[4-9][0-9]{8}", Just("GB")),
        ("(0[1-9][0-9]{5,9}|3[0-9]{8,9})", Just("IT")),
        ("(0?9?)(11|[23][0-9]{2,3})(15)?[0-9]{6,8}", Just("AR")),
        ("(1|01|044|045)?[2-9][0-9]{9}", Just("MX")),
        ("(0[1-9]{2})?[1-9][1-9]9[0-9]{8}", Just("BR")),
        ("[0-9]{2,17}", Just("AT")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_makes_it_panic_or_grow(kind in any_kind(), raw in hostile_text(), region in any_region()) {
        let digests = registered_digests(kind, &raw, region);
        if let Ok(digests) = &digests {
            prop_assert!((1..=Profile::ALL.len()).contains(&digests.len()));
        }
        for profile in Profile::ALL {
            let normalised = normalise(kind, profile, &raw, region);
            let refusal = normalised.as_ref().err();
            prop_assert_eq!(refusal, digests.as_ref().err(), "accepted under every profile or under none");
            if let Ok(normalised) = &normalised {
                prop_assert!(normalised.expose().len() <= 256);
            }
        }
        let _ = Digest::parse(&raw);
        let _ = raw.parse::<Region>();
    }

    #[test]
    fn any_bytes_written_in_hex_or_base64_are_read_back(bytes in any::<[u8; 32]>()) {
        use base64::{Engine, prelude as base64};
        let expected = Digest::from_bytes(bytes).unwrap();
        for text in [
            hex::encode(bytes), hex::encode_upper(bytes),
            base64::BASE64_STANDARD.encode(bytes), base64::BASE64_STANDARD_NO_PAD.encode(bytes),
            base64::BASE64_URL_SAFE.encode(bytes), base64::BASE64_URL_SAFE_NO_PAD.encode(bytes),
        ] {
            prop_assert!(Digest::parse(&text) == Ok(expected), "{}", text);
        }
    }

    #[test]
    fn a_normalised_address_is_its_own_normal_form(raw in addresses()) {
        for profile in Profile::ALL {
            // Only a Gmail name of nothing but a suffix is refused; the strategy makes some.
            let Ok(once) = normalise(Kind::Email, profile, &raw, None) else {
                prop_assert!(raw.to_lowercase().contains("mail.com"));
                continue;
            };
            let twice = normalise(Kind::Email, profile, once.expose(), None).unwrap();
            prop_assert_eq!(twice.expose(), once.expose());
        }
    }

    #[test]
    fn a_normalised_id_is_its_own_normal_form(raw in "\\s*\\PC{1,60}\\s*") {
        if let Ok(once) = normalise(Kind::ExternalId, Profile::Meta, &raw, None) {
            let twice = normalise(Kind::ExternalId, Profile::Meta, once.expose(), None).unwrap();
            prop_assert_eq!(twice.expose(), once.expose());
        } else {
            prop_assert!(raw.trim().is_empty() || raw.chars().any(char::is_control) || raw.trim().len() > 256);
        }
    }
}

#[test]
fn a_normalised_number_is_its_own_normal_form() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut valid = 0;
    for _ in 0..20_000 {
        let (raw, region) = national_numbers().new_tree(&mut runner).unwrap().current();
        let region = Some(region.parse().unwrap());
        let Ok(e164) = normalise(Kind::Phone, Profile::Google, &raw, region) else {
            continue;
        };
        valid += 1;

        let again = normalise(Kind::Phone, Profile::Google, e164.expose(), None).unwrap();
        assert_eq!(again.expose(), e164.expose(), "{raw}");
        // Meta's form has no plus sign of its own, so it is a number again only with one put back.
        let meta = normalise(Kind::Phone, Profile::Meta, &raw, region).unwrap();
        let again =
            normalise(Kind::Phone, Profile::Meta, &format!("+{}", meta.expose()), None).unwrap();
        assert_eq!(again.expose(), meta.expose(), "{raw}");
    }
    assert!(valid > 5_000, "only {valid} of 20,000 numbers were valid");
}

#[test]
fn a_registered_identifier_is_found_by_a_list_of_any_profile() {
    for (kind, raw) in [
        (Kind::Email, "Jane.Doe+news@GoogleMail.com"),
        (Kind::Email, "jane.doe@gmail.com"),
        (Kind::Phone, "+1 650 555 1212"),
        (Kind::ExternalId, "C-00042"),
    ] {
        let registered = registered_digests(kind, raw, None).unwrap();
        for profile in Profile::ALL {
            let listed = digest(kind, profile, raw, None).unwrap();
            assert!(registered.contains(&listed), "{kind} under {profile}");
        }
    }
}
