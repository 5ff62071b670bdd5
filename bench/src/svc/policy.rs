//! What people are asked, and what they answer.

use std::time::Duration;

use proto::consent::v1::{
    AgeBand, Choice, CreatePolicyRequest, Evidence, Mechanism, PolicyRef, PolicySpec,
    PublishPolicyRequest, PutSubjectRequest, RecordDecisionRequest, RecordNoticeServedRequest,
    WithdrawRequest, policy_service_client::PolicyServiceClient,
};
use service_kit::clock::{Clock, UnixMillis};
use tonic::transport::Channel;

use super::Keys;
use crate::Result;

/// The purpose that every other one of the example policies requires.
pub const SHARE: &str = "messenger.share_phone";
/// A purpose that requires it.
pub const ADS: &str = "social.ads";

/// How long publishing may take: the cache is closed for it first.
const PATIENCE: Duration = Duration::from_mins(1);
const YEAR: Duration = Duration::from_hours(24 * 365);

/// A published policy version.
#[derive(Debug, Clone)]
pub struct Announced {
    /// Its name.
    pub policy: PolicyRef,
    /// A jurisdiction that it covers.
    pub jurisdiction: &'static str,
    /// What it says.
    pub spec: PolicySpec,
    notice_sha256: Vec<u8>,
    choosable: Vec<String>,
}

/// Publishes the example policies: for Germany, where silence is a no, and for the United
/// States.
pub async fn announce_examples(channel: &Channel, keys: &Keys) -> Result<[Announced; 2]> {
    let mut all = Vec::new();
    for (policy_id, spec) in consent_svc::example_policies() {
        let jurisdiction = if policy_id.ends_with("opt-in") { "DE" } else { "US" };
        all.push(announce(channel, keys, &policy_id, spec, jurisdiction).await?);
    }
    all.sort_by_key(|announced| announced.jurisdiction);
    all.try_into().map_err(|_| "there are not two example policies".into())
}

/// Creates and publishes a version, in force at once.
pub async fn announce(
    channel: &Channel,
    keys: &Keys,
    policy_id: &str,
    spec: PolicySpec,
    jurisdiction: &'static str,
) -> Result<Announced> {
    let mut client = PolicyServiceClient::new(channel.clone());
    let spec = PolicySpec { effective_at: Some(Clock::system().now().into()), ..spec };
    let request_id = request_id("create");
    let message =
        CreatePolicyRequest { request_id, policy_id: policy_id.to_owned(), spec: Some(spec) };
    let created = client.create_policy(keys.admin(message, PATIENCE)).await?;
    let draft = created.into_inner().policy.and_then(|policy| policy.r#ref);
    let message = PublishPolicyRequest { request_id: self::request_id("publish"), policy: draft };
    let published = client.publish_policy(keys.admin(message, PATIENCE)).await?;
    let policy = published.into_inner().policy.ok_or("no policy was published")?;
    let spec = policy.spec.ok_or("a policy without a content")?;
    let asked = spec.purposes.iter().filter(|asked| asked.mechanism() != Mechanism::NoticeOnly);
    Ok(Announced {
        policy: policy.r#ref.ok_or("a policy without a name")?,
        jurisdiction,
        notice_sha256: spec.notices.first().map(|notice| notice.sha256.clone()).unwrap_or_default(),
        choosable: asked.map(|purpose| purpose.purpose_id.clone()).collect(),
        spec,
    })
}

/// A request id that nobody else has.
pub fn request_id(what: &str) -> String {
    format!("{what}-{:016x}", rand::random::<u64>())
}

impl Announced {
    /// Another version that says the same.
    #[must_use]
    pub fn again(&self, version: u32) -> Self {
        let policy = PolicyRef { version, ..self.policy.clone() };
        Self { policy, ..self.clone() }
    }

    /// An adult of two years' standing with accounts in both apps.
    pub fn subject(&self, subject_id: &str) -> PutSubjectRequest {
        PutSubjectRequest {
            request_id: request_id("put"),
            subject_id: subject_id.to_owned(),
            jurisdiction: self.jurisdiction.to_owned(),
            age_band: AgeBand::Adult as i32,
            account_created_at: Some(past(YEAR * 2)),
            apps: vec!["messenger".to_owned(), "social".to_owned()],
        }
    }

    /// The notice is shown.
    pub fn notice(&self, subject_id: &str) -> RecordNoticeServedRequest {
        RecordNoticeServedRequest {
            request_id: request_id("notice"),
            subject_id: subject_id.to_owned(),
            policy: Some(self.policy.clone()),
            notice_sha256: self.notice_sha256.clone(),
            served_at: None,
        }
    }

    /// The person agrees to everything.
    pub fn grant(&self, subject_id: &str) -> RecordDecisionRequest {
        let yes = |purpose_id: &String| Choice { purpose_id: purpose_id.clone(), granted: true };
        RecordDecisionRequest {
            request_id: request_id("grant"),
            subject_id: subject_id.to_owned(),
            policy: Some(self.policy.clone()),
            choices: self.choosable.iter().map(yes).collect(),
            evidence: Some(Evidence {
                method: "dialog".to_owned(),
                locale: "en".to_owned(),
                notice_sha256: self.notice_sha256.clone(),
                client: "messenger 7.1".to_owned(),
                decided_at: None,
            }),
            decided_by: String::new(),
        }
    }
}

/// The person no longer agrees to sharing, nor to anything that requires it.
pub fn withdrawal(subject_id: &str) -> WithdrawRequest {
    WithdrawRequest {
        request_id: request_id("withdraw"),
        subject_id: subject_id.to_owned(),
        purpose_ids: vec![SHARE.to_owned()],
    }
}

fn past(span: Duration) -> prost_types::Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(0);
    UnixMillis::new(Clock::system().now().get() - millis).into()
}
