//! `TransparencyService`.

use proto::{
    audience::v1::{
        AudienceExplanation, ExplainAudiencesRequest, ExplainAudiencesResponse,
        LeaveBusinessRequest, LeaveBusinessResponse,
        transparency_service_server::TransparencyService,
    },
    errors::v1::Reason,
    status,
};
use service_kit::{auth::Caller, grpc::open};
use tonic::{Request, Response, Status, async_trait};

use super::Grpc;
use crate::domain::date;

#[async_trait]
impl TransparencyService for Grpc {
    async fn explain_audiences(
        &self,
        request: Request<ExplainAudiencesRequest>,
    ) -> Result<Response<ExplainAudiencesResponse>, Status> {
        let token = request.metadata().get("authorization").and_then(|token| token.to_str().ok());
        let token = token.unwrap_or_default().to_owned();
        let (caller, _, bad) = open(request)?;
        bad.finish()?;
        let (listings, consented) =
            self.service.explain_audiences(subject(&caller)?, &token).await?;
        let consented = consented.unwrap_or_default();
        let purpose_id = &self.service.config.purposes.ads;
        let explanation = |listing: crate::transparency::Listing| AudienceExplanation {
            business_id: listing.business_id,
            display_name: listing.display_name,
            listed_since: date(listing.since),
            purpose_id: purpose_id.clone(),
            policy_id: consented.policy_id.clone(),
            policy_version: consented.policy_version,
        };
        let explanations = listings.into_iter().map(explanation).collect();
        Ok(Response::new(ExplainAudiencesResponse { explanations }))
    }

    async fn leave_business(
        &self,
        request: Request<LeaveBusinessRequest>,
    ) -> Result<Response<LeaveBusinessResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let (service, subject) = (&self.service, subject(&caller)?);
        let key = service.request(&caller, "leave_business", &message.request_id, &message);
        service.leave_business(&key, subject, &message.business_id).await?;
        Ok(Response::new(LeaveBusinessResponse {}))
    }
}

/// Whom a USER's token stands for.
#[allow(clippy::result_large_err)] // tonic's own error type
fn subject(caller: &Caller) -> Result<&str, Status> {
    let missing = || status::status(Reason::NotOwnData, "the token stands for no subject");
    caller.subject.as_deref().ok_or_else(missing)
}
