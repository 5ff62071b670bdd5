//! Registering an account with every service.

use std::collections::BTreeMap;

use futures::{future, stream};
use proto::{
    audience::v1::{self as audience, directory_service_client::DirectoryServiceClient},
    consent::v1::{PutSubjectRequest, consent_service_client::ConsentServiceClient},
    gateway::v1::{RegisterAccountRequest, RegisterAccountResponse},
    suggest::v1::{self as suggest, graph_service_client::GraphServiceClient},
    types::v1::{Rejection, StorageStatus},
};
use tonic::Status;

use crate::{
    derived_id::derived_id,
    error::Error,
    relay::{OnBehalf, Relay},
    routes::Services,
};

/// Makes the account known to every service, in the caller's name: to consent-svc first, which
/// the others ask about the person, then to both of them at once.
///
/// When a service fails, the others have done their part all the same, and what it answered is
/// the caller's answer. Each service gets a request id that follows from the caller's alone, so
/// sending the same request again completes it and repeats nothing.
#[allow(clippy::result_large_err)] // tonic's own error type
pub(crate) async fn register_account(
    services: &Services,
    caller: &OnBehalf,
    request: RegisterAccountRequest,
) -> Result<RegisterAccountResponse, Status> {
    put_subject(services, caller, &request).await?;
    let (audience, suggest) = future::join(
        put_in_directory(services, caller, &request),
        put_in_graph(services, caller, &request),
    )
    .await;
    let (audience, suggest) = (audience?, suggest?);
    let rejections = union(audience.rejections, suggest.rejections);
    Ok(RegisterAccountResponse {
        // consent-svc keeps accounts, so that there is something to consent for.
        consent: StorageStatus::Stored.into(),
        audience: audience.status,
        suggest: suggest.status,
        rejections,
    })
}

#[allow(clippy::result_large_err)] // tonic's own error type
async fn put_subject(
    services: &Services,
    caller: &OnBehalf,
    request: &RegisterAccountRequest,
) -> Result<(), Status> {
    let put = PutSubjectRequest {
        request_id: derived_id("RegisterAccount", "consent", &request.request_id),
        subject_id: request.subject_id.clone(),
        jurisdiction: request.jurisdiction.clone(),
        age_band: request.age_band,
        account_created_at: request.account_created_at,
        apps: request.apps.clone(),
    };
    let mut client = ConsentServiceClient::new(Relay::on_behalf(&services.consent, caller));
    client.put_subject(put).await?;
    Ok(())
}

#[allow(clippy::result_large_err)] // tonic's own error type
async fn put_in_directory(
    services: &Services,
    caller: &OnBehalf,
    request: &RegisterAccountRequest,
) -> Result<audience::RegistrationResult, Status> {
    let put = audience::PutIdentifiersRequest {
        request_id: derived_id("RegisterAccount", "audience", &request.request_id),
        verified: true,
        registrations: vec![audience::Registration {
            subject_id: request.subject_id.clone(),
            identifiers: request.identifiers.clone(),
            default_region: request.default_region.clone(),
        }],
    };
    let mut client = DirectoryServiceClient::new(Relay::on_behalf(&services.audience, caller));
    let mut answers = client.put_identifiers(stream::iter([put])).await?.into_inner();
    let answer = answers.message().await?;
    let result = answer.and_then(|answer| answer.results.into_iter().next());
    Ok(result.ok_or(Error::Incomplete { upstream: "audience-svc" })?)
}

#[allow(clippy::result_large_err)] // tonic's own error type
async fn put_in_graph(
    services: &Services,
    caller: &OnBehalf,
    request: &RegisterAccountRequest,
) -> Result<suggest::RegistrationResult, Status> {
    let put = suggest::PutIdentifiersRequest {
        request_id: derived_id("RegisterAccount", "suggest", &request.request_id),
        verified: true,
        registrations: vec![suggest::Registration {
            subject_id: request.subject_id.clone(),
            identifiers: request.identifiers.clone(),
            default_region: request.default_region.clone(),
        }],
    };
    let mut client = GraphServiceClient::new(Relay::on_behalf(&services.suggest, caller));
    let mut answers = client.put_identifiers(stream::iter([put])).await?.into_inner();
    let answer = answers.message().await?;
    let result = answer.and_then(|answer| answer.results.into_iter().next());
    Ok(result.ok_or(Error::Incomplete { upstream: "suggest-svc" })?)
}

/// Identifiers refused by either service, each once. Both normalise alike, so they agree on why.
fn union(one: Vec<Rejection>, other: Vec<Rejection>) -> Vec<Rejection> {
    let by_index: BTreeMap<_, _> =
        one.into_iter().chain(other).map(|rejection| (rejection.index, rejection)).collect();
    by_index.into_values().collect()
}
