//! What the other side may send: each gets a clear status, and memory stays bounded.

use futures::stream;
use prost_reflect::prost::Message;
use prost_types::Timestamp;
use proto::{
    audience::v1::{
        AppendUploadRequest, CreateAudienceRequest, CreateAudienceResponse, CreateUploadRequest,
        CreateUploadResponse, CustomerSource, PutBusinessRequest, UploadMode,
    },
    consent::v1::{AgeBand, CheckRequest, GetConsentRequest, PutSubjectRequest},
    errors::v1::Reason,
    status,
};
use tonic::Code;

use crate::{
    raw::{call, call_once},
    support::{Suite, connect},
};

const CHECK: &str = "/assent.consent.v1.ConsentService/Check";
const PUT_SUBJECT: &str = "/assent.consent.v1.ConsentService/PutSubject";
const MIB: usize = 1 << 20;

fn subject(subject_id: &str) -> PutSubjectRequest {
    PutSubjectRequest {
        request_id: "r-1".to_owned(),
        subject_id: subject_id.to_owned(),
        jurisdiction: "DE".to_owned(),
        age_band: AgeBand::Adult.into(),
        account_created_at: Some(Timestamp { seconds: 1, nanos: 0 }),
        apps: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_message_is_refused_and_nothing_is_stored() {
    let data = tempfile::tempdir().unwrap();
    let suite = Suite::start(data.path());
    let gateway = connect(suite.gateway()).await;
    let app = Some(suite.token("APP"));

    let not_utf8 = {
        let mut bytes = subject("u-XX").encode_to_vec();
        let at = bytes.windows(2).position(|pair| pair == b"XX").unwrap();
        bytes[at] = 0xff;
        bytes
    };
    for (what, bytes) in [("not UTF-8", not_utf8), ("not protobuf", vec![0xff; 40])] {
        let error = call_once(&gateway, PUT_SUBJECT, app, bytes).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{what}: {error:?}");
        assert_eq!(status::reason(&error), Some(Reason::MessageMalformed), "{what}");
    }
    let unknown = PutSubjectRequest { age_band: 99, ..subject("u-1") };
    for (what, request) in [
        ("an unknown enum value", unknown),
        ("a phone number for a subject", subject("+4915112345678")),
        ("a phone number's digits", subject("4915112345678")),
        ("an email for a subject", subject("a@b.example")),
    ] {
        let error =
            call_once(&gateway, PUT_SUBJECT, app, request.encode_to_vec()).await.unwrap_err();
        assert_eq!(status::reason(&error), Some(Reason::FieldsInvalid), "{what}: {error:?}");
        assert!(!error.message().contains("15112345678"), "{what}: {error:?}");
    }
    let known = GetConsentRequest { subject_id: "u-1".to_owned(), as_of: None };
    let path = "/assent.consent.v1.ConsentService/GetConsent";
    let error = call_once(&gateway, path, app, known.encode_to_vec()).await.unwrap_err();
    assert_eq!(status::reason(&error), Some(Reason::SubjectUnknown), "stored by halves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let suite = Suite::start(data.path());
    let app = Some(suite.token("APP"));
    for url in [suite.gateway(), suite.service("consent-svc")] {
        let channel = connect(url).await;
        let large = CheckRequest { subject_id: "x".repeat(5 * MIB), purpose_id: "a.b".to_owned() };
        let error = call_once(&channel, CHECK, app, large.encode_to_vec()).await.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
        assert_eq!(status::reason(&error), Some(Reason::MessageTooLarge));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_in_one_stream_costs_no_memory_to_speak_of() {
    let data = tempfile::tempdir().unwrap();
    let suite = Suite::start(data.path());
    let gateway = connect(suite.gateway()).await;
    let upload_id = open_upload(&suite).await;
    // Each batch is valid; almost all of it is a field that this version does not know.
    let batch = move |number: u32| {
        let mut bytes = AppendUploadRequest {
            request_id: format!("batch-{number}"),
            upload_id: upload_id.clone(),
            batch_number: number,
            packed_sha256: number.to_be_bytes().repeat(8),
            packed_kind: 1,
            ..Default::default()
        }
        .encode_to_vec();
        let filler = 3 * MIB;
        prost_reflect::prost::encoding::encode_key(
            1_000,
            prost_reflect::prost::encoding::WireType::LengthDelimited,
            &mut bytes,
        );
        prost_reflect::prost::encoding::encode_varint(filler as u64, &mut bytes);
        bytes.resize(bytes.len() + filler, 0);
        bytes
    };
    let before = suite.process.peak_memory();
    let path = "/assent.audience.v1.AudienceService/AppendUpload";
    let batches = stream::iter((0..342).map(batch));
    call(&gateway, path, Some(suite.token("BUSINESS")), batches).await.unwrap();
    let grown = suite.process.peak_memory() - before;
    assert!(grown < 64 * MIB as u64, "grew by {} MiB for a stream of 1 GiB", grown / MIB as u64);
}

/// Makes the business known for which the suite's BUSINESS token stands.
pub(crate) async fn put_business(suite: &Suite) {
    let business = PutBusinessRequest {
        request_id: "b".to_owned(),
        business_id: "example-business".to_owned(),
        display_name: "Example".to_owned(),
        owner_id: "example-owner".to_owned(),
    };
    let gateway = connect(suite.gateway()).await;
    let path = "/assent.audience.v1.BusinessService/PutBusiness";
    call_once(&gateway, path, Some(suite.token("ADMIN")), business.encode_to_vec()).await.unwrap();
}

async fn open_upload(suite: &Suite) -> String {
    let gateway = connect(suite.gateway()).await;
    let ask = async |path: &str, role: &str, request: Vec<u8>| {
        call_once(&gateway, path, Some(suite.token(role)), request).await.unwrap()
    };
    put_business(suite).await;
    let audience = CreateAudienceRequest {
        request_id: "a".to_owned(),
        display_name: "Everyone".to_owned(),
        customer_source: CustomerSource::Both.into(),
        ..Default::default()
    };
    let service = "/assent.audience.v1.AudienceService";
    let made =
        ask(&format!("{service}/CreateAudience"), "BUSINESS", audience.encode_to_vec()).await;
    let made = CreateAudienceResponse::decode(made.as_slice()).unwrap().audience.unwrap();
    let upload = CreateUploadRequest {
        request_id: "u".to_owned(),
        audience_id: made.audience_id,
        mode: UploadMode::Add.into(),
        may_use_list: true,
        ..Default::default()
    };
    let made = ask(&format!("{service}/CreateUpload"), "BUSINESS", upload.encode_to_vec()).await;
    CreateUploadResponse::decode(made.as_slice()).unwrap().upload.unwrap().upload_id
}
