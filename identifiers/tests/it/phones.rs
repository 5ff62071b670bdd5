use identifiers::{Digest, Kind, Profile, Rejection, digest, registered, registered_digests};
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

use crate::forms;

#[test]
fn the_same_number_however_it_is_written() {
    // raw, default region, E.164. The first four are the platforms' published examples.
    let table = [
        ("(650)555-1212", "US", "+16505551212"),
        ("(800)555-0100", "US", "+18005550100"),
        ("1 (234) 567-8901", "US", "+12345678901"),
        ("(02) 1234 5678", "AU", "+61212345678"),
        ("+1 650 555 1212", "DE", "+16505551212"),
        ("001 650 555 1212", "DE", "+16505551212"),
        ("16505551212", "US", "+16505551212"),
        ("604 684 6655", "US", "+16046846655"),
        ("020 7183 8750", "GB", "+442071838750"),
        ("+44 (0)20 7183 8750", "US", "+442071838750"),
        ("06 6982 1234", "IT", "+390669821234"),
        ("＋４９ ３０／１２３４５６", "US", "+4930123456"),
        ("٠١٠ ٠١٢٣ ٤٥٦٧", "EG", "+201001234567"),
        ("\u{202a}+1\u{a0}650\u{2011}555\u{2013}1212\u{202c}", "FR", "+16505551212"),
    ];
    for (raw, region, e164) in table {
        let digits = e164.trim_start_matches('+');
        assert_eq!(forms(Kind::Phone, raw, Some(region)).unwrap(), [digits, e164, e164], "{raw:?}");
    }
}

#[test]
fn a_country_code_makes_the_region_irrelevant() {
    let expected = forms(Kind::Phone, "+49 30 123456", None).unwrap();
    for region in ["DE", "US", "GB", "IT"] {
        assert_eq!(
            forms(Kind::Phone, "+49 30 123456", Some(region)).unwrap(),
            expected,
            "{region}"
        );
    }
}

#[test]
fn digests_are_the_ones_the_platforms_publish() {
    let table = [
        (
            Profile::Meta,
            "(650)555-1212",
            "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176",
        ),
        (
            Profile::Google,
            "(800)555-0100",
            "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30",
        ),
        (Profile::Uid2, "1 (234) 567-8901", "EObwtHBUqDNZR33LNSMdtt5cafsYFuGmuY4ZLenlue4="),
    ];
    for (profile, raw, published) in table {
        let ours = digest(Kind::Phone, profile, raw, Some("US".parse().unwrap())).unwrap();
        assert!(ours == Digest::parse(published).unwrap(), "{profile} {raw}");
    }
}

#[test]
fn a_registered_number_is_found_with_and_without_its_plus() {
    assert_eq!(registered_digests(Kind::Phone, "+16505551212", None).unwrap().len(), 2);
}

#[test]
fn what_is_not_a_number_is_refused_with_its_reason() {
    let table = [
        ("", None, Rejection::Empty),
        (" \u{a0}", None, Rejection::Empty),
        ("650 555 1212", None, Rejection::RegionNeeded),
        ("0049 30 123456", None, Rejection::RegionNeeded),
        ("+999 123 4567", None, Rejection::NotAPhoneNumber),
        ("+", None, Rejection::NotAPhoneNumber),
        ("()-", Some("US"), Rejection::NotAPhoneNumber),
        ("dana@example.com", Some("US"), Rejection::NotAPhoneNumber),
        ("1-800-FLOWERS", Some("US"), Rejection::NotAPhoneNumber),
        ("650 555 1212 ext. 3", Some("US"), Rejection::NotAPhoneNumber),
        ("650 555 1212,3", Some("US"), Rejection::NotAPhoneNumber),
        ("tel:+16505551212", None, Rejection::NotAPhoneNumber),
        (";phone-context=example.com;tel:1", Some("US"), Rejection::NotAPhoneNumber),
        ("+1+650 555 1212", None, Rejection::NotAPhoneNumber),
        ("650 555 1212\n650 555 1313", Some("US"), Rejection::NotAPhoneNumber),
        ("*100#", Some("US"), Rejection::NotAPhoneNumber),
        ("6", Some("US"), Rejection::NotAPhoneNumber),
        ("911", Some("US"), Rejection::InvalidForRegion),
        ("555 1212", Some("US"), Rejection::InvalidForRegion),
        ("150 555 1212", Some("US"), Rejection::InvalidForRegion),
        ("650 555 1212", Some("GB"), Rejection::InvalidForRegion),
        ("+1 650 555 121", None, Rejection::InvalidForRegion),
        // Germany's plan allows such a length; E.164 ends at 15 digits.
        ("+4980040634652046", None, Rejection::InvalidForRegion),
        ("650 555 1212 / 650 555 1313", Some("US"), Rejection::InvalidForRegion),
        ("6505551212 6505551212 6505551212", Some("US"), Rejection::TooLong),
    ];
    for (raw, region, reason) in table {
        assert_eq!(forms(Kind::Phone, raw, region), Err(reason), "{raw:?}");
    }
}

#[test]
fn every_region_s_example_number_keeps_its_form() {
    let mut regions = 0;
    for region in PHONE_NUMBER_UTIL.get_supported_regions() {
        let Ok(example) = PHONE_NUMBER_UTIL.get_example_number(region) else {
            continue;
        };
        let code = region.to_string();
        let e164 = example.format_as(PhoneNumberFormat::E164).into_owned();
        let national = example.format_as(PhoneNumberFormat::National).into_owned();

        let expected = [e164.trim_start_matches('+'), &e164, &e164];
        assert_eq!(forms(Kind::Phone, &e164, None).unwrap(), expected, "{code}");
        assert_eq!(
            forms(Kind::Phone, &national, Some(&code)).unwrap(),
            expected,
            "{code} {national}"
        );
        regions += 1;
    }
    assert!(regions > 200, "only {regions} regions had an example");
}

#[test]
fn numbers_that_differ_in_the_last_four_digits_are_in_one_range() {
    let range = |raw| registered(Kind::Phone, raw, Some("DE".parse().unwrap())).unwrap().1.unwrap();
    assert_eq!(range("+49 30 901820"), range("030 909999"));
    assert_ne!(range("+49 30 901820"), range("+49 30 911820"));
    assert_ne!(range("+49 30 901820"), range("+1 650 555 1212"));
    let (digests, none) = registered(Kind::Email, "ann@example.org", None).unwrap();
    assert_eq!(Ok(digests), registered_digests(Kind::Email, "ann@example.org", None));
    assert!(none.is_none());
    let phone = registered(Kind::Phone, "+16505551212", None).unwrap().0;
    assert_eq!(Ok(phone), registered_digests(Kind::Phone, "+16505551212", None));
}
