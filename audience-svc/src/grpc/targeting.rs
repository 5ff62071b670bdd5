//! `TargetingService`.

use proto::audience::v1::{
    CheckMembershipRequest, CheckMembershipResponse, ListSubjectAudiencesRequest,
    ListSubjectAudiencesResponse, SubjectAudience, targeting_service_server::TargetingService,
};
use service_kit::grpc::open;
use tonic::{Request, Response, Status, async_trait};

use super::Grpc;

#[async_trait]
impl TargetingService for Grpc {
    async fn list_subject_audiences(
        &self,
        request: Request<ListSubjectAudiencesRequest>,
    ) -> Result<Response<ListSubjectAudiencesResponse>, Status> {
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let business = Some(&*message.business_id).filter(|id| !id.is_empty());
        let found = self.service.list_subject_audiences(&message.subject_id, business).await?;
        let audience = |(business_id, audience_id)| SubjectAudience { business_id, audience_id };
        let audiences = found.into_iter().map(audience).collect();
        Ok(Response::new(ListSubjectAudiencesResponse { audiences }))
    }

    async fn check_membership(
        &self,
        request: Request<CheckMembershipRequest>,
    ) -> Result<Response<CheckMembershipResponse>, Status> {
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let service = &self.service;
        let memberships =
            service.check_membership(&message.subject_id, &message.audience_ids).await?;
        Ok(Response::new(CheckMembershipResponse { memberships }))
    }
}
