//! `GraphService`.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use identifiers::MatchKey;
use proto::{
    At, FieldErrors,
    suggest::v1::{
        Connection as ConnectionMessage, ExportSubjectDataRequest, ExportSubjectDataResponse,
        PutConnectionsRequest, PutConnectionsResponse, PutIdentifiersRequest,
        PutIdentifiersResponse, Registration, RegistrationResult, RemoveConnectionsRequest,
        RemoveConnectionsResponse, graph_service_server::GraphService,
    },
    types::v1::{Rejection, StorageStatus},
};
use service_kit::{
    auth::Caller,
    clock::UnixMillis,
    compute::compute,
    grpc::{open, request_digest},
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

use super::{convert, each, once, staged::staged};
use crate::{
    consents::Answers, domain::Subject, export::Export, put_connections::Connection,
    service::Suggest, store::Once,
};

/// The records of one message of an export.
const RECORDS: usize = 500;

/// Answers the app.
pub(crate) struct GraphRpc(pub(crate) Suggest);

#[tonic::async_trait]
impl GraphService for GraphRpc {
    async fn put_identifiers(
        &self,
        request: Request<Streaming<PutIdentifiersRequest>>,
    ) -> Result<Response<BoxStream<PutIdentifiersResponse>>, Status> {
        let suggest = self.0.clone();
        let handle =
            move |caller, message, bad| put_identifiers(suggest.clone(), caller, message, bad);
        Ok(Response::new(each(request, handle)?))
    }

    async fn put_connections(
        &self,
        request: Request<Streaming<PutConnectionsRequest>>,
    ) -> Result<Response<BoxStream<PutConnectionsResponse>>, Status> {
        let suggest = self.0.clone();
        let asking = suggest.clone();
        let prepare =
            move |caller, message, bad| new_connections(asking.clone(), caller, message, bad);
        let store = move |new| put_connections(suggest.clone(), new);
        Ok(Response::new(staged(request, prepare, store)?))
    }

    async fn remove_connections(
        &self,
        request: Request<Streaming<RemoveConnectionsRequest>>,
    ) -> Result<Response<BoxStream<RemoveConnectionsResponse>>, Status> {
        let suggest = self.0.clone();
        let handle =
            move |caller, message, bad| remove_connections(suggest.clone(), caller, message, bad);
        Ok(Response::new(each(request, handle)?))
    }

    async fn export_subject_data(
        &self,
        request: Request<ExportSubjectDataRequest>,
    ) -> Result<Response<BoxStream<ExportSubjectDataResponse>>, Status> {
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let start = (self.0.clone(), Subject::from(message.subject_id), Export::Beginning);
        // The next part is read when the caller has taken this one.
        let parts = stream::try_unfold(start, |(suggest, subject, export)| async move {
            let Some((records, next)) = suggest.export_part(&subject, export).await? else {
                return Ok::<_, Status>(None);
            };
            let part = |records: &[_]| Ok(ExportSubjectDataResponse { records: records.to_vec() });
            let messages: Vec<_> = records.chunks(RECORDS).map(part).collect();
            Ok(Some((stream::iter(messages), (suggest, subject, next))))
        });
        Ok(Response::new(parts.try_flatten().boxed()))
    }
}

async fn put_identifiers(
    suggest: Suggest,
    caller: Caller,
    message: PutIdentifiersRequest,
    bad: FieldErrors,
) -> Result<PutIdentifiersResponse, Status> {
    let request_id = message.request_id.clone();
    let once = once(&suggest, &caller, &request_id, request_digest(&message));
    // Parsing phone numbers takes long enough to be done beside the calls.
    let parser = suggest.clone();
    let parsed = compute(move || registrations(&parser, &message, bad)).await;
    let (people, rejections) = parsed.map_err(|_| convert::failed())??;
    let answer = |is_stored: &[bool]| PutIdentifiersResponse {
        request_id: request_id.clone(),
        results: is_stored.iter().zip(&rejections).map(result).collect(),
    };
    Ok(suggest.put_identifiers(&once, &people, answer).await?)
}

type Parsed = (Vec<(Subject, Vec<MatchKey>)>, Vec<Vec<Rejection>>);

#[allow(clippy::result_large_err)]
fn registrations(
    suggest: &Suggest,
    message: &PutIdentifiersRequest,
    mut bad: FieldErrors,
) -> Result<Parsed, Status> {
    let (mut people, mut rejections, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for (index, registration) in message.registrations.iter().enumerate() {
        let at = At::Item(&At::Root, "registrations", index);
        // An empty one is refused as such already.
        if !seen.insert(&registration.subject_id) && !registration.subject_id.is_empty() {
            bad.add(at.field("subject_id"), "stands here twice");
        }
        let (keys, refused) = registration_keys(suggest, &at, registration, &mut bad);
        people.push((registration.subject_id.as_str().into(), keys));
        rejections.push(refused);
    }
    bad.finish()?;
    Ok((people, rejections))
}

fn registration_keys(
    suggest: &Suggest,
    at: &At<'_>,
    registration: &Registration,
    bad: &mut FieldErrors,
) -> (Vec<MatchKey>, Vec<Rejection>) {
    let region = convert::region(at, &registration.default_region, bad);
    let (mut keys, mut rejections) = (Vec::new(), Vec::new());
    if !bad.is_empty() {
        // Refused whole, and there may be more than the contract allows: not worth parsing.
        return (keys, rejections);
    }
    for (index, identifier) in (0..).zip(&registration.identifiers) {
        match convert::keys(&suggest.secret, identifier, region) {
            Ok(found) => keys.extend(found),
            Err(refusal) => rejections.push(convert::rejection(index, refusal)),
        }
    }
    (keys, rejections)
}

fn result((is_stored, rejections): (&bool, &Vec<Rejection>)) -> RegistrationResult {
    let status = if *is_stored { StorageStatus::Stored } else { StorageStatus::AwaitingConsent };
    RegistrationResult { status: status.into(), rejections: rejections.clone() }
}

/// A message of connections, and what the people in it have agreed to.
struct NewConnections {
    once: Once,
    connections: Vec<Connection>,
    consents: Answers,
}

async fn new_connections(
    suggest: Suggest,
    caller: Caller,
    message: PutConnectionsRequest,
    mut bad: FieldErrors,
) -> Result<NewConnections, Status> {
    let pairs = ends(&message.connections, &mut bad);
    let dates: Vec<Option<UnixMillis>> = (0..)
        .zip(&message.connections)
        .map(|(index, connection)| {
            let at = At::Item(&At::Root, "connections", index);
            let date = connection.connected_at.as_ref()?;
            bad.keep(at.field("connected_at"), UnixMillis::try_from(date))
        })
        .collect();
    bad.finish()?;
    let pairs = pairs.into_iter().zip(dates);
    let connections: Vec<_> =
        pairs.map(|((one, other), at)| Connection { one, other, at }).collect();
    let once = once(&suggest, &caller, &message.request_id, request_digest(&message));
    let consents = suggest.ends_agreed(&connections).await?;
    Ok(NewConnections { once, connections, consents })
}

async fn put_connections(
    suggest: Suggest,
    new: NewConnections,
) -> Result<PutConnectionsResponse, Status> {
    let NewConnections { once, connections, consents } = new;
    // Counts are at most the 10,000 of one message.
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let answer = |awaiting: &[usize]| PutConnectionsResponse {
        request_id: once.request_id.clone(),
        stored: number(connections.len() - awaiting.len()),
        awaiting_consent: awaiting.iter().map(|index| number(*index)).collect(),
    };
    Ok(suggest.put_connections(&once, &connections, &consents, answer).await?)
}

async fn remove_connections(
    suggest: Suggest,
    caller: Caller,
    message: RemoveConnectionsRequest,
    mut bad: FieldErrors,
) -> Result<RemoveConnectionsResponse, Status> {
    let pairs = ends(&message.connections, &mut bad);
    bad.finish()?;
    let once = once(&suggest, &caller, &message.request_id, request_digest(&message));
    let answer = || RemoveConnectionsResponse { request_id: message.request_id.clone() };
    Ok(suggest.remove_connections(&once, &pairs, answer).await?)
}

fn ends(connections: &[ConnectionMessage], bad: &mut FieldErrors) -> Vec<(Subject, Subject)> {
    let pair = |(index, connection): (usize, &ConnectionMessage)| {
        let at = At::Item(&At::Root, "connections", index);
        convert::ends(&at, &connection.subject_id, &connection.other_subject_id, bad)
    };
    connections.iter().enumerate().map(pair).collect()
}
