//! `DirectoryService`.

use std::{collections::HashSet, mem, sync::Arc};

use futures::stream;
use proto::{
    FieldErrors,
    audience::v1::{
        ExportSubjectDataRequest, ExportSubjectDataResponse, ListMatchKeyVersionsRequest,
        ListMatchKeyVersionsResponse, PutIdentifiersRequest, PutIdentifiersResponse, Registration,
        RegistrationResult, RetireMatchKeyVersionRequest, RetireMatchKeyVersionResponse,
        directory_service_server::DirectoryService,
    },
    types::v1::{Identifier, StorageStatus},
};
use service_kit::{
    auth::Caller,
    grpc::{open, open_message},
};
use tonic::{Request, Response, Status, Streaming, async_trait, codegen::BoxStream};

use super::{
    Grpc, identifier, parse, shape,
    stream::{Answers, Conversation, answer_each},
};
use crate::{
    error::Error,
    register::{Keyed, Outcome},
    service::Service,
};

/// The most identifiers of one person.
const MAX_IDENTIFIERS: usize = 32;

#[async_trait]
impl DirectoryService for Grpc {
    async fn put_identifiers(
        &self,
        request: Request<Streaming<PutIdentifiersRequest>>,
    ) -> Result<Response<Answers<PutIdentifiersResponse>>, Status> {
        let caller = super::upload::caller(&request)?;
        let registering = Registering { service: self.service.clone(), caller };
        let answers = answer_each(request.into_inner(), self.shutdown.clone(), registering);
        Ok(Response::new(answers))
    }

    async fn export_subject_data(
        &self,
        request: Request<ExportSubjectDataRequest>,
    ) -> Result<Response<BoxStream<ExportSubjectDataResponse>>, Status> {
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let records = self.service.export_subject(&message.subject_id).await?;
        let parts: Vec<_> = records
            .chunks(RECORDS)
            .map(|records| Ok(ExportSubjectDataResponse { records: records.to_vec() }))
            .collect();
        Ok(Response::new(Box::pin(stream::iter(parts))))
    }

    async fn list_match_key_versions(
        &self,
        request: Request<ListMatchKeyVersionsRequest>,
    ) -> Result<Response<ListMatchKeyVersionsResponse>, Status> {
        let (_, _, bad) = open(request)?;
        bad.finish()?;
        let (versions, replicas) = self.service.match_key_versions().await?;
        Ok(Response::new(ListMatchKeyVersionsResponse {
            versions: versions.into_iter().map(shape::match_key_version).collect(),
            replicas: shape::few(replicas),
        }))
    }

    async fn retire_match_key_version(
        &self,
        request: Request<RetireMatchKeyVersionRequest>,
    ) -> Result<Response<RetireMatchKeyVersionResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let too_high = |_| "more than 65,535";
        let version = bad.keep("version", u16::try_from(message.version).map_err(too_high));
        bad.finish()?;
        // What the fields' checks have found already.
        let version = version.ok_or(Error::Internal("a field was neither parsed nor refused"))?;
        let service = &self.service;
        let key = service.request(&caller, "retire_match_keys", &message.request_id, &message);
        let retired = service.retire_version(&key, version).await?;
        Ok(Response::new(RetireMatchKeyVersionResponse {
            people_removed: retired.removed,
            people_left: retired.left,
        }))
    }
}

/// The records of one message of an export.
const RECORDS: usize = 500;

/// One stream of registrations.
struct Registering {
    service: Arc<Service>,
    caller: Caller,
}

impl Conversation for Registering {
    type Message = PutIdentifiersRequest;
    type Answer = PutIdentifiersResponse;

    async fn answer(
        &mut self,
        mut message: PutIdentifiersRequest,
    ) -> Result<PutIdentifiersResponse, Status> {
        let service = &self.service;
        let key = service.request(&self.caller, "put_identifiers", &message.request_id, &message);
        // An identifier with something wrong is refused by its index, not with the whole message.
        let identifiers = message.registrations.iter_mut();
        let identifiers: Vec<Vec<Identifier>> =
            identifiers.map(|one| mem::take(&mut one.identifiers)).collect();
        let (message, mut bad) = open_message(&self.caller, message)?;
        check(&message.registrations, &identifiers, &mut bad);
        let regions: Vec<_> = (0..)
            .zip(&message.registrations)
            .map(|(index, one): (usize, _)| {
                let at = || format!("registrations[{index}].default_region");
                parse::region(at, &one.default_region, &mut bad)
            })
            .collect();
        bad.finish()?;

        let secrets = service.key_secrets();
        let subjects = message.registrations.into_iter().map(|one| one.subject_id);
        let all: Vec<_> = subjects.zip(identifiers).zip(regions).collect();
        let keyed = Service::compute(move || {
            let keyed = |((subject, identifiers), region): ((String, Vec<Identifier>), _)| {
                Keyed::new(subject, identifiers.iter().map(identifier::row), region, &secrets)
            };
            all.into_iter().map(keyed).collect()
        });
        let outcomes = service.put_identifiers(&key, keyed.await?).await?;
        let results = outcomes.into_iter().map(result).collect();
        Ok(PutIdentifiersResponse { request_id: message.request_id, results })
    }
}

fn check(registrations: &[Registration], identifiers: &[Vec<Identifier>], bad: &mut FieldErrors) {
    let mut named = HashSet::new();
    for (index, (one, identifiers)) in registrations.iter().zip(identifiers).enumerate() {
        if !named.insert(&*one.subject_id) {
            bad.add(format!("registrations[{index}].subject_id"), "named twice");
        }
        if identifiers.len() > MAX_IDENTIFIERS {
            let why = format!("{} items, more than {MAX_IDENTIFIERS}", identifiers.len());
            bad.add(format!("registrations[{index}].identifiers"), why);
        }
    }
}

fn result(outcome: Outcome) -> RegistrationResult {
    let status =
        if outcome.stored { StorageStatus::Stored } else { StorageStatus::AwaitingConsent };
    let rejections = identifier::rejections(outcome.rejections);
    RegistrationResult { status: status.into(), rejections }
}
