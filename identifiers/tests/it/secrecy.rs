use std::sync::Mutex;

use identifiers::{Digest, Kind, MatchKeySecret, Profile, Rejection, normalise};
use log::{LevelFilter, Log, Metadata, Record};

#[test]
fn debug_output_shows_no_identifier_digest_key_or_secret() {
    let normalised = normalise(Kind::Phone, Profile::Google, "+1 650 555 1212", None).unwrap();
    let digest = normalised.digest();
    let secret = MatchKeySecret::new(3, b"a secret of thirty-two bytes or so").unwrap();
    let key = secret.match_key(Kind::Phone, &digest);

    assert_eq!(format!("{normalised:?}"), "Normalised(hidden)");
    assert_eq!(format!("{digest:?}"), "Digest(hidden)");
    assert_eq!(format!("{key:?}"), "MatchKey(hidden)");
    assert_eq!(format!("{secret:?}"), "MatchKeySecret { version: 3, .. }");
}

#[test]
fn a_rejection_does_not_repeat_the_value() {
    // The control character makes it wrong for every kind.
    let value = "qzj7\u{7}4711";
    for kind in Kind::ALL {
        let rejection = normalise(kind, Profile::Meta, value, None).unwrap_err();
        let shown = format!("{rejection} {rejection:?}");
        assert!(!shown.contains("qzj7"), "{shown}");
        assert!(!shown.contains("4711"), "{shown}");
    }
    assert_eq!(Digest::parse(value).unwrap_err().to_string(), Rejection::WrongLength.to_string());
}

struct Captured(Mutex<Vec<String>>);

impl Log for Captured {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn parsing_a_number_leaves_no_trace_in_the_log() {
    static CAPTURED: Captured = Captured(Mutex::new(Vec::new()));
    log::set_logger(&CAPTURED).unwrap();
    log::set_max_level(LevelFilter::Trace);

    log::debug!("the logger is listening");
    for raw in ["+1 650 555 1212", "+1 650 555 121", "+999 1234", "+44 20 7183 8750", "+1 911"] {
        let _ = normalise(Kind::Phone, Profile::Google, raw, None);
        let _ = normalise(
            Kind::Phone,
            Profile::Google,
            raw.trim_start_matches('+'),
            Some("US".parse().unwrap()),
        );
    }

    let captured = CAPTURED.0.lock().unwrap();
    assert!(captured.iter().any(|line| line.ends_with("the logger is listening")));
    let from_the_parser: Vec<_> =
        captured.iter().filter(|line| line.contains("phonenumber")).collect();
    assert!(from_the_parser.is_empty(), "{from_the_parser:?}");
}
