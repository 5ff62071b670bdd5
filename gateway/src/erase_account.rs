//! Erasing an account, and how far that has come.

use proto::{
    consent::v1::{
        EraseSubjectRequest, GetErasureRequest as GetSubjectErasureRequest,
        consent_service_client::ConsentServiceClient,
    },
    gateway::v1::{
        EraseAccountRequest, EraseAccountResponse, GetErasureRequest, GetErasureResponse,
    },
};
use tonic::Status;

use crate::{
    derived_id::derived_id,
    error::named,
    relay::{OnBehalf, Relay},
    routes::{CONSENT, Services},
};

/// Has consent-svc erase the account, in the caller's name. It alone is asked: once it has answered,
/// every check says DENIED, and the others erase what they have because its feed tells them to.
/// The erasure goes on whether or not the gateway, or the caller, is there.
#[allow(clippy::result_large_err)] // tonic's own error type
pub(crate) async fn erase_account(
    services: &Services,
    caller: &OnBehalf,
    request: EraseAccountRequest,
) -> Result<EraseAccountResponse, Status> {
    let erase = EraseSubjectRequest {
        request_id: derived_id("EraseAccount", "consent", &request.request_id),
        subject_id: request.subject_id,
    };
    let mut client = ConsentServiceClient::new(Relay::on_behalf(&services.consent, caller));
    let answer = client.erase_subject(erase).await.map_err(|status| named(CONSENT, &status))?;
    Ok(EraseAccountResponse { erasure: answer.into_inner().erasure })
}

/// How far an erasure has come: consent-svc knows which followers have acknowledged it.
#[allow(clippy::result_large_err)] // tonic's own error type
pub(crate) async fn get_erasure(
    services: &Services,
    caller: &OnBehalf,
    request: GetErasureRequest,
) -> Result<GetErasureResponse, Status> {
    let get = GetSubjectErasureRequest { subject_id: request.subject_id };
    let mut client = ConsentServiceClient::new(Relay::on_behalf(&services.consent, caller));
    let answer = client.get_erasure(get).await.map_err(|status| named(CONSENT, &status))?;
    Ok(GetErasureResponse { erasure: answer.into_inner().erasure })
}
