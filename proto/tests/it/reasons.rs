use std::{collections::BTreeMap, path::Path};

use proto::{errors::v1::Reason, status};
use tonic_types::StatusExt;

/// `REASON_…` → the code that its comment begins with.
fn documented_codes() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assent/errors/v1/errors.proto");
    let text = std::fs::read_to_string(file).unwrap();
    let mut codes = BTreeMap::new();
    let mut comment = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("//") {
            comment += words;
        } else {
            if let Some((name, _)) =
                line.split_once(" = ").filter(|(n, _)| n.starts_with("REASON_"))
            {
                let code = comment.trim().split('.').next().unwrap_or_default();
                codes.insert(name.to_owned(), code.to_owned());
            }
            comment.clear();
        }
    }
    codes
}

#[test]
fn every_reason_is_sent_with_the_code_that_its_comment_promises() {
    let documented = documented_codes();
    assert!(documented.len() > 40, "found {} reasons", documented.len());
    for (name, code) in documented {
        let reason = Reason::from_str_name(&name).unwrap();
        if reason == Reason::Unspecified {
            continue;
        }
        let sent = format!("{:?}", status::code(reason));
        assert_eq!(code.replace('_', ""), sent.to_uppercase(), "{name}");
    }
}

#[test]
fn an_error_carries_one_error_info_that_reads_back() {
    let error = status::status(Reason::SubjectErased, "gone");
    let details = error.get_error_details_vec();
    assert_eq!(details.len(), 1);
    let info = error.get_details_error_info().unwrap();
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("assent", "REASON_SUBJECT_ERASED"));
    assert_eq!(status::reason(&error), Some(Reason::SubjectErased));
    assert_eq!(status::reason(&tonic::Status::internal("not ours")), None);
}
