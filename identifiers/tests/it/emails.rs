use identifiers::{Digest, Kind, Profile, Rejection, digest, registered_digests};

use crate::forms;

#[test]
fn each_platform_writes_an_address_its_own_way() {
    // raw, meta, google, uid2. The first five are the platforms' published examples.
    let table = [
        [
            "John_Smith@gmail.com",
            "john_smith@gmail.com",
            "john_smith@gmail.com",
            "john_smith@gmail.com",
        ],
        [
            "cloudy.sanfrancisco+shopping@gmail.com",
            "cloudy.sanfrancisco+shopping@gmail.com",
            "cloudysanfrancisco@gmail.com",
            "cloudysanfrancisco@gmail.com",
        ],
        [
            "user.name+NYC@Example.com",
            "user.name+nyc@example.com",
            "user.name+nyc@example.com",
            "user.name+nyc@example.com",
        ],
        [
            "JANE.SAOIRSE@gmail.com",
            "jane.saoirse@gmail.com",
            "janesaoirse@gmail.com",
            "janesaoirse@gmail.com",
        ],
        [
            "JaneSaoirse+Work@gmail.com",
            "janesaoirse+work@gmail.com",
            "janesaoirse@gmail.com",
            "janesaoirse@gmail.com",
        ],
        [
            "J.Doe+x@GoogleMail.com",
            "j.doe+x@googlemail.com",
            "jdoe@googlemail.com",
            "j.doe+x@googlemail.com",
        ],
        ["a.b+c+d@gmail.com", "a.b+c+d@gmail.com", "ab@gmail.com", "ab@gmail.com"],
        ["a.b@mail.gmail.com", "a.b@mail.gmail.com", "a.b@mail.gmail.com", "a.b@mail.gmail.com"],
        ["\u{a0} x.y@example.org\r\n", "x.y@example.org", "x.y@example.org", "x.y@example.org"],
        ["ÅSA@BÜCHER.example", "åsa@bücher.example", "åsa@bücher.example", "åsa@bücher.example"],
        [
            "o'neil..dots.@docomo.ne.jp",
            "o'neil..dots.@docomo.ne.jp",
            "o'neil..dots.@docomo.ne.jp",
            "o'neil..dots.@docomo.ne.jp",
        ],
    ];
    for [raw, meta, google, uid2] in table {
        assert_eq!(forms(Kind::Email, raw, None).unwrap(), [meta, google, uid2], "{raw:?}");
    }
}

#[test]
fn digests_are_the_ones_the_platforms_publish() {
    let table = [
        (
            Profile::Meta,
            "John_Smith@gmail.com",
            "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",
        ),
        (
            Profile::Google,
            "dana@example.com",
            "07e2f1394b0ea80e2adca010ea8318df697001a005ba7452720edda4b0ce57b3",
        ),
        (
            Profile::Google,
            " Cloudy.SanFrancisco+shopping@GMAIL.com ",
            "223ebda6f6889b1494551ba902d9d381daf2f642bae055888e96343d53e9f9c4",
        ),
        (Profile::Uid2, "MYEMAIL@example.com", "FsGNM28LJQ8OLZB0Us65ZYp07NrovJSGTCMSKnLMJ6U="),
        (Profile::Uid2, "Jane.Saoirse@example.com", "sZZDLHuYmiypHIN5mVfFFdpT5sE6vyC3j+qU8RfpC/g="),
        (
            Profile::Uid2,
            "JaneSaoirse+Work@example.com",
            "KKruSBUjDNO069iMUVImVQZm6RrAGZKeOtrD9mwogYA=",
        ),
        (
            Profile::Uid2,
            "JaneSaoirse+Work@gmail.com",
            "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8=",
        ),
    ];
    for (profile, raw, published) in table {
        let ours = digest(Kind::Email, profile, raw, None).unwrap();
        assert!(ours == Digest::parse(published).unwrap(), "{profile} {raw}");
    }
}

#[test]
fn a_registered_address_is_found_under_every_form_once() {
    let count = |raw| registered_digests(Kind::Email, raw, None).unwrap().len();
    assert_eq!(count("plain@example.com"), 1);
    assert_eq!(count("plain@gmail.com"), 1);
    assert_eq!(count("with.dot@gmail.com"), 2);
    assert_eq!(count("with.dot@googlemail.com"), 2);
}

#[test]
fn what_is_not_an_address_is_refused() {
    for raw in [
        "plain",
        "@example.com",
        "a@",
        "a@b",
        "a@@b.com",
        "a@b@c.com",
        "a b@example.com",
        "a@exa mple.com",
        "a\tb@example.com",
        "a\0b@example.com",
        "a@.com",
        "a@example.",
        "a@example..com",
        "a@-example.com",
        "a@example-.com",
        "a@exam_ple.com",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        "a@example.c",
        "a@gmail.com.",
        "\"a b\"@example.com",
        "Ann <a@example.com>",
        "a@example.com,b@example.com",
        "mailto:a@example.com",
        "a\u{200b}b@example.com",
        "a@exam\u{ad}ple.com",
        "\u{feff}a@example.com",
        "\u{fffd}a@example.com",
        "+tag@gmail.com",
        "...@gmail.com",
        ".+x@googlemail.com",
    ] {
        assert_eq!(forms(Kind::Email, raw, None), Err(Rejection::NotAnEmail), "{raw:?}");
    }
    for raw in ["", " ", "\t\r\n", "\u{3000}"] {
        assert_eq!(forms(Kind::Email, raw, None), Err(Rejection::Empty), "{raw:?}");
    }
}

#[test]
fn lengths_are_bounded() {
    let with_local = |n| format!("{}@example.com", "a".repeat(n));
    assert!(forms(Kind::Email, &with_local(64), None).is_ok());
    assert_eq!(forms(Kind::Email, &with_local(65), None), Err(Rejection::TooLong));

    let with_label = |n| format!("a@{}.com", "d".repeat(n));
    assert!(forms(Kind::Email, &with_label(63), None).is_ok());
    assert_eq!(forms(Kind::Email, &with_label(64), None), Err(Rejection::NotAnEmail));

    let labels = "d23456789.".repeat(24);
    let longest = format!("a2345678901@{}.de", labels.trim_end_matches('.'));
    assert_eq!(longest.len(), 254);
    assert!(forms(Kind::Email, &longest, None).is_ok());
    assert_eq!(forms(Kind::Email, &format!("b{longest}"), None), Err(Rejection::TooLong));

    // U+0130 is two bytes and lower-cases to three: what comes out may be too long although what went in was not.
    let labels = format!("{}.", "\u{130}".repeat(20)).repeat(6);
    let growing = format!("a@{labels}com");
    assert_eq!(growing.len(), 251);
    assert_eq!(forms(Kind::Email, &growing, None), Err(Rejection::TooLong));

    let padded = format!("{}a@example.com", " ".repeat(2000));
    assert_eq!(forms(Kind::Email, &padded, None), Err(Rejection::TooLong));
}
