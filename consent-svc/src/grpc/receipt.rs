//! Receipts.

use proto::consent::v1 as pb;
use service_kit::grpc::open;
use tonic::{Request, Status};

use super::Handlers;
use crate::receipt;

pub(super) async fn get_receipt(
    handlers: &Handlers,
    request: Request<pb::GetReceiptRequest>,
) -> Result<pb::GetReceiptResponse, Status> {
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    let signed = handlers.registrar.receipt(&message.subject_id, &message.event_id).await?;
    Ok(pb::GetReceiptResponse {
        record: signed.record,
        signature: signed.signature.to_vec(),
        key_id: signed.key_id,
    })
}

#[allow(clippy::unused_async)] // as every method
pub(super) async fn get_receipt_keys(
    handlers: &Handlers,
    request: Request<pb::GetReceiptKeysRequest>,
) -> Result<pb::GetReceiptKeysResponse, Status> {
    let (_, _, bad) = open(request)?;
    bad.finish()?;
    Ok(pb::GetReceiptKeysResponse { keys: receipt::write_keys(handlers.registrar.keys()) })
}
