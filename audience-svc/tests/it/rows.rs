//! What is sent: messages, identifiers, rows.

use std::sync::atomic::{AtomicU64, Ordering};

use proto::{
    audience::v1::{self as wire, audience_service_client::AudienceServiceClient},
    errors::v1::Reason,
    types::v1::{Identifier, IdentifierKind, identifier::Value},
};
use sha2::{Digest, Sha256};
use tonic::Status;

use crate::world::{CROWD, Link};

pub(crate) async fn append(
    business: &mut AudienceServiceClient<Link>,
    batches: Vec<wire::AppendUploadRequest>,
) -> Result<Vec<wire::AppendUploadResponse>, Status> {
    let mut stream = business.append_upload(tokio_stream::iter(batches)).await?.into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(answers)
}

/// A request id that nobody used before.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn opening(audience: &str, mode: wire::UploadMode) -> wire::CreateUploadRequest {
    wire::CreateUploadRequest {
        request_id: fresh("open"),
        audience_id: audience.to_owned(),
        mode: mode.into(),
        may_use_list: true,
        ..Default::default()
    }
}

pub(crate) fn batch(upload: &str, number: u32, rows: Vec<Identifier>) -> wire::AppendUploadRequest {
    wire::AppendUploadRequest {
        request_id: fresh("batch"),
        upload_id: upload.to_owned(),
        batch_number: number,
        rows,
        ..Default::default()
    }
}

pub(crate) fn person(subject: &str, identifiers: Vec<Identifier>) -> wire::Registration {
    wire::Registration {
        subject_id: subject.to_owned(),
        identifiers,
        default_region: String::new(),
    }
}

pub(crate) fn raw(kind: IdentifierKind, text: &str) -> Identifier {
    Identifier { kind: kind.into(), value: Some(Value::Raw(text.to_owned())) }
}

pub(crate) fn external(id: &str) -> Identifier {
    raw(IdentifierKind::ExternalId, id)
}

pub(crate) fn email(address: &str) -> Identifier {
    raw(IdentifierKind::Email, address)
}

/// The rows of everybody in the crowd.
pub(crate) fn crowd() -> Vec<Identifier> {
    (0..CROWD).map(|n| external(&format!("crowd-{n}"))).collect()
}

/// The crowd and others.
pub(crate) fn crowd_and(others: &[&str]) -> Vec<Identifier> {
    crowd().into_iter().chain(others.iter().map(|id| external(id))).collect()
}

pub(crate) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

pub(crate) fn reason(status: &Status) -> Reason {
    proto::status::reason(status).unwrap_or_else(|| panic!("a status without reason: {status:?}"))
}
