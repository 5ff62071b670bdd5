use prost::Message;
use proto::{
    Checked, FieldErrors,
    audience::v1::expression_term::Term,
    audience::v1::{AppendUploadRequest, EstimateReachRequest, Expression, ExpressionTerm},
    consent::v1::{
        BatchCheckRequest, CheckRequest, Choice, CreatePolicyRequest, Evidence, PolicyRef,
        PutSubjectRequest, RecordDecisionRequest, WithdrawRequest,
    },
    suggest::v1::ListBlockedRequest,
};
use tonic_types::StatusExt;

fn bad_fields(request: &impl Checked) -> Vec<String> {
    let Err(status) = FieldErrors::of(request).finish() else { return Vec::new() };
    let bad = status.get_details_bad_request().unwrap();
    bad.field_violations.into_iter().map(|violation| violation.field).collect()
}

fn subject_is_accepted(subject_id: &str) -> bool {
    let request = CheckRequest {
        subject_id: subject_id.to_owned(),
        purpose_id: "messenger.share_phone".to_owned(),
    };
    bad_fields(&request).is_empty()
}

#[test]
fn subject_ids_are_opaque() {
    let longest = "x".repeat(128);
    for id in ["u-1", "0", "123456", "1234567890123456", "a1234567", "A.b_c~d-e", &longest] {
        assert!(subject_is_accepted(id), "{id}");
    }
    let too_long = "x".repeat(129);
    let phones = ["4915112345678", "0151-1234567", "151.123.4567", "1234567", "123456789012345"];
    for id in phones.into_iter().chain(["a@b.example", "é", "a b", "", &too_long]) {
        assert!(!subject_is_accepted(id), "{id}");
    }
}

#[test]
fn every_bad_field_is_named_at_once_and_by_its_path() {
    assert_eq!(
        bad_fields(&PutSubjectRequest { age_band: 77, ..Default::default() }),
        ["request_id", "subject_id", "jurisdiction", "age_band", "account_created_at"]
    );
    let mut decision = RecordDecisionRequest {
        request_id: "r".to_owned(),
        subject_id: "u-1".to_owned(),
        policy: Some(PolicyRef::default()),
        choices: vec![Choice::default(), Choice::default()],
        evidence: Some(Evidence::default()),
        ..Default::default()
    };
    decision.choices[0].purpose_id = "messenger.share_phone".to_owned();
    assert_eq!(
        bad_fields(&decision),
        [
            "policy.policy_id",
            "policy.version",
            "choices[1].purpose_id",
            "evidence.method",
            "evidence.locale",
            "evidence.notice_sha256",
        ]
    );
}

#[test]
fn nested_and_alternative_messages_are_checked() {
    let term = |term| ExpressionTerm { term: Some(term) };
    let inner = Expression {
        include: vec![term(Term::AudienceId("no spaces".to_owned()))],
        ..Default::default()
    };
    let request = EstimateReachRequest {
        request_id: "r".to_owned(),
        expression: Some(Expression {
            exclude: vec![term(Term::Expression(inner))],
            ..Default::default()
        }),
    };
    assert_eq!(bad_fields(&request), ["expression.exclude[0].expression.include[0].audience_id"]);
}

#[test]
fn formats_are_kept() {
    let purposes = |purpose: &str| {
        bad_fields(&WithdrawRequest {
            request_id: "r".to_owned(),
            subject_id: "u".to_owned(),
            purpose_ids: vec![purpose.to_owned()],
        })
    };
    for good in ["a.b", "messenger.share_phone", "a1.b_2"] {
        assert!(purposes(good).is_empty(), "{good}");
    }
    for wrong in ["ads", "A.b", "a.", ".b", "a.b.c", "1a.b", "a.b c"] {
        assert_eq!(purposes(wrong), ["purpose_ids[0]"], "{wrong}");
    }
    let jurisdiction = |value: &str| {
        let request = PutSubjectRequest { jurisdiction: value.to_owned(), ..Default::default() };
        !bad_fields(&request).contains(&"jurisdiction".to_owned())
    };
    for good in ["DE", "EU", "US-CA", "GB-ENG"] {
        assert!(jurisdiction(good), "{good}");
    }
    for wrong in ["de", "DEU", "US-", "US-CALI", "D", "US_CA"] {
        assert!(!jurisdiction(wrong), "{wrong}");
    }
}

#[test]
fn days_are_calendar_days() {
    use proto::audience::v1::GetUsageRequest;
    let accepted = |day: &str| {
        let request = GetUsageRequest {
            first_day: day.to_owned(),
            last_day: "2026-01-01".to_owned(),
            ..Default::default()
        };
        bad_fields(&request).is_empty()
    };
    for good in ["2024-02-29", "2000-02-29", "2026-12-31"] {
        assert!(accepted(good), "{good}");
    }
    for wrong in ["2026-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-1-1", "2026-04-31"]
    {
        assert!(!accepted(wrong), "{wrong}");
    }
}

#[test]
fn lengths_and_counts_are_limited() {
    let request = BatchCheckRequest {
        purpose_id: "a.b".to_owned(),
        subject_ids: vec!["u".to_owned(); 10_001],
        with_details: false,
    };
    assert_eq!(bad_fields(&request), ["subject_ids"]);
    let upload = AppendUploadRequest {
        request_id: "r".repeat(65),
        upload_id: "u".to_owned(),
        packed_sha256: vec![0; 320_001],
        packed_kind: 9,
        ..Default::default()
    };
    assert_eq!(bad_fields(&upload), ["request_id", "packed_sha256", "packed_kind"]);
}

#[test]
fn a_flood_of_bad_fields_gets_one_short_error() {
    let request = BatchCheckRequest {
        purpose_id: "a.b".to_owned(),
        subject_ids: vec!["not a subject".to_owned(); 10_000],
        with_details: false,
    };
    let status = FieldErrors::of(&request).finish().unwrap_err();
    let listed = status.get_details_bad_request().unwrap().field_violations.len();
    assert!(listed >= 20, "{listed}");
    let rest = format!("and {} more", 10_000 - listed);
    assert!(status.message().ends_with(&rest), "{}", status.message());
    assert!(size(&status) < 8 * 1024, "{} bytes", size(&status));
}

/// What the error takes in a reply's metadata: details are sent as base64.
fn size(status: &tonic::Status) -> usize {
    status.message().len() + status.details().len() * 4 / 3
}

#[test]
fn bad_fields_deep_down_get_a_short_error_too() {
    let term = |term| ExpressionTerm { term: Some(term) };
    let bad = || term(Term::AudienceId("no spaces".to_owned()));
    let mut expression =
        Expression { exclude: (0..32).map(|_| bad()).collect(), ..Default::default() };
    for _ in 0..48 {
        let include = vec![term(Term::Expression(expression))];
        expression = Expression { include, ..Default::default() };
    }
    let request = EstimateReachRequest { request_id: "r".to_owned(), expression: Some(expression) };
    let status = FieldErrors::of(&request).finish().unwrap_err();
    assert!(size(&status) < 8 * 1024, "{} bytes", size(&status));
}

#[test]
fn errors_do_not_repeat_values() {
    let status = FieldErrors::of(&CheckRequest {
        subject_id: "+49 151 23456789".to_owned(),
        purpose_id: "x".to_owned(),
    })
    .finish()
    .unwrap_err();
    let told = format!("{status:?} {}", String::from_utf8_lossy(status.details()));
    assert!(!told.contains("151"), "{told}");
}

#[test]
fn the_subject_whose_data_is_touched_is_known() {
    let request = CheckRequest { subject_id: "u-1".to_owned(), ..Default::default() };
    assert_eq!(request.own_subject(), Some("u-1"));
    assert_eq!(ListBlockedRequest::default().own_subject(), None);
    assert_eq!(CreatePolicyRequest::default().own_subject(), None);
}

#[test]
fn hostile_bytes_never_panic() {
    // Every prefix and every one-bit change of a valid message decodes or is refused.
    let valid = RecordDecisionRequest {
        request_id: "r-1".to_owned(),
        subject_id: "u-1".to_owned(),
        policy: Some(PolicyRef { policy_id: "p".to_owned(), version: 1 }),
        ..Default::default()
    }
    .encode_to_vec();
    for end in 0..valid.len() {
        for bit in 0..8 {
            let mut bytes = valid.clone();
            bytes[end] ^= 1 << bit;
            for bytes in [&bytes[..], &valid[..end]] {
                if let Ok(request) = RecordDecisionRequest::decode(bytes) {
                    let _ = bad_fields(&request);
                }
            }
        }
    }
}
