//! `DirectoryService`.

use futures::stream;
use proto::audience::v1::{
    ExportSubjectDataRequest, ExportSubjectDataResponse, ListMatchKeyVersionsRequest,
    ListMatchKeyVersionsResponse, PutIdentifiersRequest, PutIdentifiersResponse,
    RetireMatchKeyVersionRequest, RetireMatchKeyVersionResponse,
    directory_service_server::DirectoryService,
};
use service_kit::grpc::open;
use tonic::{Request, Response, Status, Streaming, async_trait, codegen::BoxStream};

use super::{Grpc, registering::register, shape, stream::Answers};
use crate::error::Error;

#[async_trait]
impl DirectoryService for Grpc {
    async fn put_identifiers(
        &self,
        request: Request<Streaming<PutIdentifiersRequest>>,
    ) -> Result<Response<Answers<PutIdentifiersResponse>>, Status> {
        let caller = super::upload::caller(&request)?;
        let (service, shutdown) = (self.service.clone(), self.shutdown.clone());
        Ok(Response::new(register(service, caller, request.into_inner(), shutdown)))
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
