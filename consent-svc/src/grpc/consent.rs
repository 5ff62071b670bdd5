//! `ConsentService`: which handler answers which method.

use proto::consent::v1::{self as pb, consent_service_server::ConsentService};
use tonic::{Request, Response, Status, codegen::BoxStream};

use super::{Handlers, feed, read, receipt, rights, write};

/// Hands each method to the function of its name.
macro_rules! answered_by {
    ($($module:ident: $($method:ident($request:ident) -> $response:ty),* $(,)?;)*) => {
        #[tonic::async_trait]
        impl ConsentService for Handlers {
            $($(async fn $method(
                &self,
                request: Request<pb::$request>,
            ) -> Result<Response<$response>, Status> {
                Ok(Response::new($module::$method(self, request).await?))
            })*)*
        }
    };
}

answered_by! {
    write:
        put_subject(PutSubjectRequest) -> pb::PutSubjectResponse,
        link_subjects(LinkSubjectsRequest) -> pb::LinkSubjectsResponse,
        unlink_subjects(UnlinkSubjectsRequest) -> pb::UnlinkSubjectsResponse,
        set_guardian(SetGuardianRequest) -> pb::SetGuardianResponse,
        record_notice_served(RecordNoticeServedRequest) -> pb::RecordNoticeServedResponse,
        record_decision(RecordDecisionRequest) -> pb::RecordDecisionResponse,
        withdraw(WithdrawRequest) -> pb::WithdrawResponse,
        set_objection_signal(SetObjectionSignalRequest) -> pb::SetObjectionSignalResponse;
    read:
        get_consent(GetConsentRequest) -> pb::GetConsentResponse,
        check(CheckRequest) -> pb::CheckResponse,
        batch_check(BatchCheckRequest) -> pb::BatchCheckResponse,
        list_events(ListEventsRequest) -> pb::ListEventsResponse;
    feed:
        watch_changes(WatchChangesRequest) -> BoxStream<pb::WatchChangesResponse>;
    receipt:
        get_receipt(GetReceiptRequest) -> pb::GetReceiptResponse,
        get_receipt_keys(GetReceiptKeysRequest) -> pb::GetReceiptKeysResponse;
    rights:
        export_subject(ExportSubjectRequest) -> BoxStream<pb::ExportSubjectResponse>,
        erase_subject(EraseSubjectRequest) -> pb::EraseSubjectResponse,
        get_erasure(GetErasureRequest) -> pb::GetErasureResponse,
        acknowledge_erasure(AcknowledgeErasureRequest) -> pb::AcknowledgeErasureResponse;
}
