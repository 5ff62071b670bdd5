//! Everything that every service holds about an account, as one stream.

use futures::{Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use proto::{
    audience::v1::{
        ExportSubjectDataRequest as AudienceRequest,
        directory_service_client::DirectoryServiceClient,
    },
    consent::v1::{ExportSubjectRequest, consent_service_client::ConsentServiceClient},
    gateway::v1::ExportAccountResponse,
    suggest::v1::{
        ExportSubjectDataRequest as SuggestRequest, graph_service_client::GraphServiceClient,
    },
    types::v1::ExportRecord,
};
use service_kit::auth::ServiceToken;
use tonic::{Code, Status, Streaming};

use crate::{
    error::{failed, named},
    relay::{OnBehalf, Relay},
    routes::{AUDIENCE, CONSENT, SUGGEST, Services},
};

/// What each service holds about the account, one service after the other, each part as it comes
/// and when the caller has room for it: one part is in memory at a time, which is as large as clients
/// take by default (4 MiB) at most. A service that fails ends the stream with its error, which
/// names it; so does one whose answer ends before it says that it is whole.
///
/// Whether the caller may have it was checked by the contract's rule (an end user: its own subject)
/// before this is called, and is checked again by consent-svc, by the caller's own token. Only when
/// that has accepted it are the others asked: by INTERNAL methods, in the gateway's own name.
#[allow(clippy::result_large_err)] // tonic's own error type
pub(crate) async fn export_account(
    services: Services,
    caller: OnBehalf,
    token: Option<ServiceToken>,
    subject_id: String,
) -> Result<impl Stream<Item = Result<ExportAccountResponse, Status>> + Send, Status> {
    let request = ExportSubjectRequest { subject_id: subject_id.clone() };
    let relay = Relay::on_behalf(&services.consent, &caller);
    let mut client = ConsentServiceClient::new(relay);
    let answers = client.export_subject(request).await.map_err(|status| named(CONSENT, &status))?;
    let consent = parts(CONSENT, answers.into_inner(), |part| part.records);
    // Each is called when the one before has told everything. Tokens of the gateway's own last for
    // minutes, and so are made only then.
    let (upstream, own, id) = (services.audience, caller.clone(), subject_id.clone());
    let service_token = token.clone();
    let audience = async move {
        let relay = Relay::on_behalf(&upstream, &own.in_own_name(service_token.as_ref()));
        let mut client = DirectoryServiceClient::new(relay);
        let answers = client.export_subject_data(AudienceRequest { subject_id: id }).await;
        let answers = answers.map_err(|status| refused(AUDIENCE, &status))?;
        Ok(parts(AUDIENCE, answers.into_inner(), |part| part.records))
    };
    let suggest = async move {
        let relay = Relay::on_behalf(&services.suggest, &caller.in_own_name(token.as_ref()));
        let mut client = GraphServiceClient::new(relay);
        let answers = client.export_subject_data(SuggestRequest { subject_id }).await;
        let answers = answers.map_err(|status| refused(SUGGEST, &status))?;
        Ok(parts(SUGGEST, answers.into_inner(), |part| part.records))
    };
    Ok(consent.chain(audience.try_flatten_stream()).chain(suggest.try_flatten_stream()))
}

/// One service's records, under its name.
fn parts<T: Send + 'static>(
    service: &'static str,
    answers: Streaming<T>,
    records: fn(T) -> Vec<ExportRecord>,
) -> impl Stream<Item = Result<ExportAccountResponse, Status>> + Send {
    let part =
        move |part| ExportAccountResponse { service: service.to_owned(), records: records(part) };
    answers.map_ok(part).map_err(move |status| named(service, &status))
}

/// The error of a service that was asked in the gateway's own name. That it does not let the
/// gateway in is not the caller's fault, and must not sound like it.
fn refused(service: &'static str, status: &Status) -> Status {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => failed(service, status),
        _ => named(service, status),
    }
}
