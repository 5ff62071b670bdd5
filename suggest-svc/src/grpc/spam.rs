//! `SpamService`.

use proto::suggest::v1::{
    GetSpamRiskRequest, GetSpamRiskResponse, ReportSpamRequest, ReportSpamResponse,
    spam_service_server::SpamService,
};
use service_kit::grpc::{open, request_digest};
use tonic::{Request, Response, Status};

use super::{convert, once, own_subject};
use crate::{domain::Subject, service::Suggest};

/// Answers people's apps and the platform about spam.
pub(crate) struct SpamRpc(pub(crate) Suggest);

#[tonic::async_trait]
impl SpamService for SpamRpc {
    async fn report_spam(
        &self,
        request: Request<ReportSpamRequest>,
    ) -> Result<Response<ReportSpamResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let subject = own_subject(&caller)?;
        let reported = Subject::from(message.reported_subject_id.as_str());
        if reported == subject {
            bad.add("reported_subject_id", "the caller's own");
        }
        bad.finish()?;
        let once = once(&self.0, &caller, &message.request_id, request_digest(&message));
        let answer = || ReportSpamResponse {};
        Ok(Response::new(self.0.report_spam(&once, &subject, &reported, answer).await?))
    }

    async fn get_spam_risk(
        &self,
        request: Request<GetSpamRiskRequest>,
    ) -> Result<Response<GetSpamRiskResponse>, Status> {
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let account = Subject::from(message.subject_id.as_str());
        let (risk, computed_at) = self.0.spam_risk(&account).await?;
        Ok(Response::new(GetSpamRiskResponse {
            score: risk.score,
            reasons: risk.reasons.into_iter().map(|one| convert::spam_reason(one).into()).collect(),
            computed_at: Some(computed_at.into()),
        }))
    }
}
