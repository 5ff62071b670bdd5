//! Everything that every service holds about an account, as one stream.

use futures::{Stream, StreamExt as _, TryFutureExt as _, stream};
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
    error::Error,
    relay::{OnBehalf, Relay},
    routes::Services,
};

const CONSENT: &str = "consent-svc";
const AUDIENCE: &str = "audience-svc";
const SUGGEST: &str = "suggest-svc";

/// The largest message taken of a service: a part of an export is as large as its records, some of
/// which list people. Of each export one is in memory at a time.
const LARGEST_PART: usize = 16 << 20;

/// What each service holds about the account, one service after the other, each part as it comes
/// and when the caller has room for it. A service that fails ends the stream with its error, which
/// names it; so does one whose answer ends without saying that it is whole.
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
    let mut client = ConsentServiceClient::new(relay).max_decoding_message_size(LARGEST_PART);
    let answers = client.export_subject(request).await.map_err(|status| named(CONSENT, &status))?;
    let consent = parts(CONSENT, answers.into_inner(), |part| part.records);
    // Each is called when the one before has told everything. Tokens of the gateway's own last for
    // minutes, and so are made only then.
    let (upstream, own, id) = (services.audience, caller.clone(), subject_id.clone());
    let service_token = token.clone();
    let audience = async move {
        let relay = Relay::on_behalf(&upstream, &own.in_own_name(service_token.as_ref()));
        let mut client = DirectoryServiceClient::new(relay).max_decoding_message_size(LARGEST_PART);
        let answers = client.export_subject_data(AudienceRequest { subject_id: id }).await;
        let answers = answers.map_err(|status| refused(AUDIENCE, &status))?;
        Ok(parts(AUDIENCE, answers.into_inner(), |part| part.records))
    };
    let suggest = async move {
        let relay = Relay::on_behalf(&services.suggest, &caller.in_own_name(token.as_ref()));
        let mut client = GraphServiceClient::new(relay).max_decoding_message_size(LARGEST_PART);
        let answers = client.export_subject_data(SuggestRequest { subject_id }).await;
        let answers = answers.map_err(|status| refused(SUGGEST, &status))?;
        Ok(parts(SUGGEST, answers.into_inner(), |part| part.records))
    };
    Ok(consent.chain(audience.try_flatten_stream()).chain(suggest.try_flatten_stream()))
}

/// One service's records, under its name, to the end that it says is the end.
fn parts<T: Send + 'static>(
    service: &'static str,
    answers: Streaming<T>,
    records: fn(T) -> Vec<ExportRecord>,
) -> impl Stream<Item = Result<ExportAccountResponse, Status>> + Send {
    stream::try_unfold(answers, move |mut answers| async move {
        let failed = |status: Status| named(service, &status);
        if let Some(part) = answers.message().await.map_err(failed)? {
            let part =
                ExportAccountResponse { service: service.to_owned(), records: records(part) };
            return Ok(Some((part, answers)));
        }
        // tonic takes an answer without trailers for one that is whole.
        match answers.trailers().await.map_err(failed)? {
            Some(_) => Ok(None),
            None => Err(Error::Incomplete { upstream: service }.into()),
        }
    })
}

/// A service's answer to the gateway itself. That it does not let the gateway in is not the
/// caller's fault, and must not sound like it.
fn refused(service: &'static str, status: &Status) -> Status {
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            Error::NotLetIn { upstream: service, said: status.message().to_owned() }.into()
        }
        _ => named(service, status),
    }
}

/// A service's error as the gateway's own, without the headers that it came with and with the
/// service's name in its text.
fn named(service: &str, status: &Status) -> Status {
    let text = status.message();
    let message =
        if text.contains(service) { text.to_owned() } else { format!("{service}: {text}") };
    Status::with_details(status.code(), message, status.details().to_vec().into())
}
