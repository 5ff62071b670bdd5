//! The file that a policy is written in: `assent.consent.v1.PolicySpec` as protobuf's JSON form has
//! it, or the same as TOML.

use std::{fs::File, io::Read, path::Path};

use prost_reflect::DynamicMessage;
use proto::consent::v1::PolicySpec;

use crate::exit::Error;

/// The most bytes of a file: a policy has a few texts of at most 64 KiB.
const LARGEST: u64 = 8 << 20;

/// Reads a policy. Whatever is wrong with the file is said with its line.
pub(super) fn read(file: &Path) -> Result<PolicySpec, Error> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| Error::unreadable(file, &error))?;
    if bytes.len() as u64 > LARGEST {
        let what =
            format!("{} is larger than any policy: more than {LARGEST} bytes", file.display());
        return Err(Error::input(what));
    }
    let is_toml = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    parse(&bytes, is_toml).map_err(|(line, why)| {
        Error::input(format!("{} is not a policy", file.display()))
            .with_fault(format!("line {line}"), why)
            .with_next("see docs/cli.md for what a policy file looks like")
    })
}

/// The policy, or the line and what is wrong there.
fn parse(bytes: &[u8], is_toml: bool) -> Result<PolicySpec, (usize, String)> {
    let line_of = |end: usize| bytes[..end].split(|byte| *byte == b'\n').count();
    let text = std::str::from_utf8(bytes)
        .map_err(|error| (line_of(error.valid_up_to()), "not UTF-8".to_owned()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = bytes.len() - text.len();
    let unknown = || (1, "the contract has no policies".to_owned());
    let spec = proto::contract::pool().get_message_by_name("assent.consent.v1.PolicySpec");
    let spec = spec.ok_or_else(unknown)?;
    let message = if is_toml {
        let from = |error: &toml::de::Error| {
            let why = error.message();
            // Of a field that the contract does not have, it knows the name and not the place.
            let named = || why.split('\'').nth(1).and_then(|name| text.find(name));
            let known = error.span().map(|span| span.start).filter(|start| *start > 0);
            let at = known.or_else(named).unwrap_or_default();
            (line_of((at + skipped).min(bytes.len())), why.to_owned())
        };
        let read = toml::de::Deserializer::parse(text).map_err(|error| from(&error))?;
        DynamicMessage::deserialize(spec, read).map_err(|error| from(&error))?
    } else {
        let from = |error: &serde_json::Error| {
            let text = error.to_string();
            let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
            (error.line().max(1), why.to_owned())
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let message = DynamicMessage::deserialize(spec, &mut json).map_err(|error| from(&error))?;
        json.end().map_err(|error| from(&error))?;
        message
    };
    message.transcode_to().map_err(|_| unknown())
}

/// As a policy file, in both forms: for the fuzz targets.
///
/// # Panics
/// When a policy that was read is not read again as it is written, or a fault is told at no line.
#[cfg(any(test, fuzzing))]
#[allow(clippy::unwrap_used)]
pub(crate) fn fuzz(data: &[u8]) {
    use prost_reflect::ReflectMessage as _;

    let lines = data.split(|byte| *byte == b'\n').count();
    for is_toml in [false, true] {
        match parse(data, is_toml) {
            Ok(policy) => {
                let mut message = DynamicMessage::new(
                    proto::contract::pool()
                        .get_message_by_name("assent.consent.v1.PolicySpec")
                        .unwrap(),
                );
                message.transcode_from(&policy).unwrap();
                assert_eq!(message.descriptor().name(), "PolicySpec");
                // Times and durations that the JSON form cannot say are no faults of the file.
                if let Ok(json) = serde_json::to_vec(&message) {
                    assert_eq!(parse(&json, false).unwrap(), policy);
                }
            }
            Err((line, why)) => {
                assert!((1..=lines).contains(&line) && !why.is_empty(), "line {line}: {why}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_fault_is_told_with_its_line() {
        let wrong = |text: &str, is_toml| parse(text.as_bytes(), is_toml).unwrap_err();
        let (line, why) = wrong("{\n \"title\": \"a\",\n \"titel\": 1\n}", false);
        assert_eq!(line, 3);
        assert!(why.contains("titel"), "{why}");
        assert_eq!(wrong("{\n\n \"regime\": \"OPT_INN\"}", false).0, 3);
        assert_eq!(wrong("{}\n{}", false).0, 2);
        assert_eq!(wrong("", false).0, 1);
        assert_eq!(wrong("title = \"a\"\nregime = 1 2\n", true).0, 2);
        assert_eq!(wrong("title = \"a\"\n\ntitel = 2\n", true).0, 3);
        assert_eq!(
            parse(b"{\n\"title\": \"\xff\"}", false).unwrap_err(),
            (2, "not UTF-8".to_owned())
        );
    }

    #[test]
    fn json_and_toml_say_the_same() {
        let json = "\u{feff}{\"title\": \"a\", \"acceptWithin\": \"86400s\", \
                    \"purposes\": [{\"purposeId\": \"a.b\", \"kind\": \"PURPOSE_KIND_USE\"}]}";
        let toml = "title = \"a\"\naccept_within = \"86400s\"\n\n\
                    [[purposes]]\npurpose_id = \"a.b\"\nkind = \"PURPOSE_KIND_USE\"\n";
        let read = parse(json.as_bytes(), false).unwrap();
        assert_eq!(read.purposes[0].purpose_id, "a.b");
        assert_eq!(read, parse(toml.as_bytes(), true).unwrap());
    }

    proptest::proptest! {
        #[test]
        fn no_policy_file_is_too_odd(
            text in "(\\{?(\"title\":|title = |\"effectiveAt\":|accept_within = |\\[\\[purposes\\]\\])?(\"[0-9a-z.:TZ-]{0,22}\"|[0-9]{1,3})?[,\n}]?){0,6}",
        ) {
            fuzz(text.as_bytes());
        }
    }
}
