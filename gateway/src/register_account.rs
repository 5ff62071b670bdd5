//! Registering an account with every service.

use std::collections::BTreeMap;

use futures::{future, stream};
use proto::{
    FieldErrors,
    audience::v1::{self as audience, directory_service_client::DirectoryServiceClient},
    consent::v1::{PutSubjectRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    gateway::v1::{RegisterAccountRequest, RegisterAccountResponse},
    status,
    suggest::v1::{self as suggest, graph_service_client::GraphServiceClient},
    types::v1::{Rejection, StorageStatus},
};
use tonic::{Response, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::{
    derived_id::derived_id,
    error::{Error, named},
    relay::{OnBehalf, Relay},
    routes::{AUDIENCE, CONSENT, SUGGEST, Services},
};

/// Makes the account known to every service, in the caller's name: to consent-svc first, which
/// the others ask about the person, then to both of them at once.
///
/// When one of the two fails, the other has done its part all the same, and what it answered is the
/// caller's answer. Each service gets a request id that follows from the caller's alone, so
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
    client.put_subject(put).await.map_err(|status| refused(CONSENT, &status))?;
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
    let answer = only(AUDIENCE, client.put_identifiers(stream::iter([put])).await).await?;
    Ok(answer.results.into_iter().next().ok_or(Error::Incomplete { upstream: AUDIENCE })?)
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
    let answer = only(SUGGEST, client.put_identifiers(stream::iter([put])).await).await?;
    Ok(answer.results.into_iter().next().ok_or(Error::Incomplete { upstream: SUGGEST })?)
}

/// The answer to a stream of one message.
#[allow(clippy::result_large_err)] // tonic's own error type
async fn only<T>(
    service: &'static str,
    answers: Result<Response<Streaming<T>>, Status>,
) -> Result<T, Status> {
    let refused = |status| refused(service, &status);
    let mut answers = answers.map_err(refused)?.into_inner();
    let answer = answers.message().await.map_err(refused)?;
    // Heard out: a call whose end nobody waits for counts as cancelled in the service. What it
    // has answered it has stored, whatever becomes of the rest.
    let _ = answers.message().await;
    Ok(answer.ok_or(Error::Incomplete { upstream: service })?)
}

/// A service's error, with bad fields by the names that they have in the caller's request, which is
/// no list of registrations.
fn refused(service: &'static str, error: &Status) -> Status {
    let reason = status::reason(error).unwrap_or(Reason::Internal);
    let found = error.get_details_bad_request();
    let mut bad = FieldErrors::default();
    for one in found.into_iter().flat_map(|found| found.field_violations) {
        let field = one.field.strip_prefix("registrations[0].").unwrap_or(&one.field);
        bad.add(field, one.description);
    }
    bad.finish_as(reason).err().unwrap_or_else(|| named(service, error))
}

/// Identifiers refused by either service, each once. Both normalise alike, so they agree on why.
fn union(one: Vec<Rejection>, other: Vec<Rejection>) -> Vec<Rejection> {
    let by_index: BTreeMap<_, _> =
        one.into_iter().chain(other).map(|rejection| (rejection.index, rejection)).collect();
    by_index.into_values().collect()
}
