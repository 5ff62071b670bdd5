//! What consent-svc says. Every answer is asked for when it is needed and kept nowhere.

use proto::consent::v1::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, Outcome,
    consent_service_client::ConsentServiceClient,
};
use service_kit::{
    boot::BootError,
    client::{self, Upstream},
    clock::UnixMillis,
    context::Context,
};

use crate::{
    config::{AudienceConfig, PurposeConfig},
    error::Error,
};

/// The most subjects of one `BatchCheck`.
pub(crate) const MAX_SUBJECTS: usize = 10_000;

/// A consent in force.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant {
    /// When it ends by the clock alone.
    pub(crate) valid_until: Option<UnixMillis>,
    /// The subject's revision.
    pub(crate) revision: u64,
}

/// consent-svc.
#[derive(Debug, Clone)]
pub(crate) struct Consent {
    client: ConsentServiceClient<Upstream>,
    purposes: PurposeConfig,
}

impl Consent {
    pub(crate) fn connect(ctx: &Context, config: &AudienceConfig) -> Result<Self, BootError> {
        let upstream = client::connect(&config.consent, ctx.service_token.clone())
            .map_err(|error| BootError::other(format!("consent: {error}")))?;
        let client = ConsentServiceClient::new(upstream);
        Ok(Self { client, purposes: config.purposes.clone() })
    }

    /// For each subject, whether its data may be kept here.
    pub(crate) async fn transfers(
        &self,
        subject_ids: Vec<String>,
    ) -> Result<Vec<Option<Grant>>, Error> {
        let answer = self.batch(&self.purposes.transfer, subject_ids, true).await?;
        let details = answer.revisions.iter().zip(&answer.valid_until_ms);
        Ok(answer
            .outcomes
            .iter()
            .zip(details)
            .map(|(outcome, (revision, until))| {
                let valid_until = (*until != 0).then_some(UnixMillis::new(*until));
                is_granted(*outcome).then_some(Grant { valid_until, revision: *revision })
            })
            .collect())
    }

    /// How many of the subjects may be shown ads by lists.
    pub(crate) async fn count_ads(&self, subject_ids: Vec<String>) -> Result<u64, Error> {
        let answer = self.batch(&self.purposes.ads, subject_ids, false).await?;
        Ok(answer.outcomes.iter().filter(|outcome| is_granted(**outcome)).count() as u64)
    }

    /// Whether the subject may be shown ads by lists, now.
    pub(crate) async fn allows_ads(&self, subject_id: &str) -> Result<bool, Error> {
        let request = CheckRequest {
            subject_id: subject_id.to_owned(),
            purpose_id: self.purposes.ads.clone(),
        };
        let answer = self.client.clone().check(request).await.map_err(|status| failed(&status))?;
        Ok(is_granted(answer.into_inner().outcome))
    }

    async fn batch(
        &self,
        purpose: &str,
        subject_ids: Vec<String>,
        with_details: bool,
    ) -> Result<BatchCheckResponse, Error> {
        let asked = subject_ids.len();
        let purpose_id = purpose.to_owned();
        let request = BatchCheckRequest { purpose_id, subject_ids, with_details };
        let answer = self.client.clone().batch_check(request).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        let details = if with_details { asked } else { 0 };
        let complete = answer.outcomes.len() == asked
            && answer.revisions.len() >= details
            && answer.valid_until_ms.len() >= details;
        complete.then_some(answer).ok_or(Error::Internal("consent-svc left out an answer"))
    }
}

/// Whatever is not a plain yes is a no.
fn is_granted(outcome: i32) -> bool {
    outcome == Outcome::Granted as i32
}

fn failed(status: &tonic::Status) -> Error {
    Error::Consent(Box::new(client::failed("consent-svc", status)))
}
