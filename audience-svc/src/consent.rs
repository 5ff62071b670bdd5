//! What consent-svc says. Every answer is asked for when it is needed and kept nowhere.

use futures::try_join;
use proto::consent::v1::{
    AcknowledgeErasureRequest, BatchCheckRequest, BatchCheckResponse, ChangeEvent, CheckRequest,
    DecisionReason, EventKind, GetConsentRequest, Outcome, WatchChangesRequest,
    consent_service_client::ConsentServiceClient,
};
use service_kit::{
    boot::BootError,
    client::{self, Upstream},
    clock::UnixMillis,
    context::Context,
};
use tonic::{Code, Request, Status};

use crate::{
    config::{AudienceConfig, PurposeConfig},
    domain::{Agreed, AgreedToCount, Until},
    error::Error,
    following::Steps,
    service::new_id,
};

/// The largest step of the feed.
const LARGEST_STEP: usize = 8 << 20;
/// Our name among those who follow the feed.
const FOLLOWER: &str = "audience-svc";

/// Under which policy somebody agrees.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consented {
    pub(crate) policy_id: String,
    pub(crate) policy_version: u32,
}

/// What was heard of somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    /// Of the directory.
    pub(crate) agreed: Agreed,
    /// Of usage metrics.
    pub(crate) counted: AgreedToCount,
    /// Nothing is to be kept of them anywhere.
    pub(crate) erased: bool,
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

    /// What each of the subjects has agreed to.
    pub(crate) async fn agreed(&self, subject_ids: Vec<String>) -> Result<Vec<Agreed>, Error> {
        let (transfer, ads) = try_join!(
            self.batch(&self.purposes.transfer, subject_ids.clone(), true),
            self.batch(&self.purposes.ads, subject_ids, true),
        )?;
        Ok(agreed(&transfer, &ads).collect())
    }

    /// Whether each of the subjects may be counted in usage metrics, now.
    pub(crate) async fn counted(&self, subject_ids: Vec<String>) -> Result<Vec<bool>, Error> {
        let outcomes = self.batch(&self.purposes.usage, subject_ids, false).await?.outcomes;
        Ok(outcomes.into_iter().map(is_granted).collect())
    }

    /// Until when each of them may be.
    pub(crate) async fn agreed_to_count(
        &self,
        subject_ids: Vec<String>,
    ) -> Result<Vec<AgreedToCount>, Error> {
        let usage = self.batch(&self.purposes.usage, subject_ids, true).await?;
        Ok(agreed_to_count(&usage).collect())
    }

    /// All that matters here of each of the subjects.
    pub(crate) async fn heard(&self, subject_ids: Vec<String>) -> Result<Vec<Heard>, Error> {
        let (transfer, ads, usage) = try_join!(
            self.batch(&self.purposes.transfer, subject_ids.clone(), true),
            self.batch(&self.purposes.ads, subject_ids.clone(), true),
            self.batch(&self.purposes.usage, subject_ids, true),
        )?;
        let erased = transfer.reasons.iter().map(|reason| is_erased(*reason));
        let all = agreed(&transfer, &ads).zip(agreed_to_count(&usage)).zip(erased);
        Ok(all.map(|((agreed, counted), erased)| Heard { agreed, counted, erased }).collect())
    }

    /// Whether the subject was erased, for good.
    pub(crate) async fn is_erased(&self, subject_id: &str) -> Result<bool, Error> {
        let request = CheckRequest {
            subject_id: subject_id.to_owned(),
            purpose_id: self.purposes.transfer.clone(),
        };
        let answer = self.client.clone().check(request).await.map_err(|status| failed(&status))?;
        Ok(is_erased(answer.into_inner().reason))
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

    /// Everything that changes an answer about one of our purposes, after a position.
    pub(crate) async fn changes(&self, cursor: Vec<u8>) -> Result<Steps, Status> {
        let PurposeConfig { transfer, ads, usage } = self.purposes.clone();
        let purpose_ids = vec![transfer, ads, usage];
        let client = self.client.clone().max_decoding_message_size(LARGEST_STEP);
        let request = WatchChangesRequest { cursor, purpose_ids };
        Ok({ client }.watch_changes(request).await?.into_inner())
    }

    /// The policy under which the subject agrees to be shown ads by lists; asked for with the
    /// subject's own token. None: the subject does not agree.
    pub(crate) async fn consented_to_ads(
        &self,
        subject_id: &str,
        token: &str,
    ) -> Result<Option<Consented>, Error> {
        let mut request =
            Request::new(GetConsentRequest { subject_id: subject_id.to_owned(), as_of: None });
        if let Ok(token) = token.parse() {
            request.metadata_mut().insert("authorization", token);
        }
        let answer = self.client.clone().get_consent(request).await;
        let answer = answer.map_err(|status| failed(&status))?.into_inner();
        let ads = answer.purposes.into_iter().find(|one| {
            one.purpose.as_ref().is_some_and(|purpose| purpose.purpose_id == self.purposes.ads)
        });
        let granted = ads.filter(|ads| is_granted(ads.outcome)).and_then(|ads| ads.policy);
        Ok(granted.map(|policy| Consented {
            policy_id: policy.policy_id,
            policy_version: policy.version,
        }))
    }

    /// What an event of the feed says that its subject has agreed to.
    pub(crate) fn told(&self, event: &ChangeEvent) -> Result<Heard, Error> {
        let until = |purpose: &str| {
            let answer = event.answers.iter().find(|answer| answer.purpose_id == purpose);
            let Some(answer) = answer.filter(|answer| is_granted(answer.outcome)) else {
                return Ok(Until::OVER);
            };
            let end = answer.valid_until.map(UnixMillis::try_from).transpose();
            let unreadable = |_| Error::Internal("consent-svc told of an instant that is none");
            end.map(Until::new).map_err(unreadable)
        };
        let revision = event.revision;
        let (transfer, ads) = (until(&self.purposes.transfer)?, until(&self.purposes.ads)?);
        let counted = AgreedToCount { until: until(&self.purposes.usage)?, revision };
        let erased = event.kind() == EventKind::Erased;
        Ok(Heard { agreed: Agreed { transfer, ads, revision }, counted, erased })
    }

    /// Says that everything about a subject is erased here.
    pub(crate) async fn acknowledge_erasure(&self, subject_id: &str) -> Result<(), Error> {
        let request = AcknowledgeErasureRequest {
            request_id: new_id("erased"),
            subject_id: subject_id.to_owned(),
            follower: FOLLOWER.to_owned(),
        };
        match self.client.clone().acknowledge_erasure(request).await {
            // Nobody waits for it: the erasure is not known there any more, or not of this follower.
            Err(status) if status.code() == Code::NotFound => Ok(()),
            answer => answer.map(drop).map_err(|status| failed(&status)),
        }
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
            && answer.reasons.len() >= details
            && answer.revisions.len() == details
            && answer.valid_until_ms.len() == details;
        complete.then_some(answer).ok_or(Error::Internal("consent-svc left out an answer"))
    }
}

/// Until when each answer of a batch is a yes.
fn untils(answer: &BatchCheckResponse) -> impl Iterator<Item = Until> {
    answer.outcomes.iter().zip(&answer.valid_until_ms).map(|(outcome, until)| {
        let end = (*until != 0).then_some(UnixMillis::new(*until));
        if is_granted(*outcome) { Until::new(end) } else { Until::OVER }
    })
}

/// What each of the subjects has agreed to.
fn agreed<'a>(
    transfer: &'a BatchCheckResponse,
    ads: &'a BatchCheckResponse,
) -> impl Iterator<Item = Agreed> + 'a {
    let revisions = transfer.revisions.iter().zip(&ads.revisions);
    // Answered one after the other, perhaps: no more is claimed than both have seen.
    untils(transfer).zip(untils(ads)).zip(revisions).map(|((transfer, ads), (one, other))| Agreed {
        transfer,
        ads,
        revision: *one.min(other),
    })
}

fn agreed_to_count(usage: &BatchCheckResponse) -> impl Iterator<Item = AgreedToCount> {
    let agreed = untils(usage).zip(&usage.revisions);
    agreed.map(|(until, revision)| AgreedToCount { until, revision: *revision })
}

fn is_erased(reason: i32) -> bool {
    reason == DecisionReason::Erased as i32
}

/// Whatever is not a plain yes is a no.
fn is_granted(outcome: i32) -> bool {
    outcome == Outcome::Granted as i32
}

fn failed(status: &Status) -> Error {
    Error::Consent(Box::new(client::failed("consent-svc", status)))
}
