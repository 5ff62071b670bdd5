//! `PolicyService`.

use prost::Message as _;
use proto::{
    FieldErrors,
    consent::v1::{self as pb, policy_service_server::PolicyService},
    errors::v1::Reason,
    status,
};
use service_kit::grpc::{open, request_digest};
use tonic::{Request, Response, Status};

use super::{Handlers, page_size, parsed, request_id, spec};
use crate::{
    create_policy::create_policy,
    domain::Policies,
    error::Error,
    publish_policy::{publish_policy, retire_policy},
    store::PolicyReply,
};

/// A page ends before it is larger than this, so that clients' default limit of 4 MiB holds.
const PAGE_BYTES: usize = 2 << 20;

#[tonic::async_trait]
impl PolicyService for Handlers {
    async fn create_policy(
        &self,
        request: Request<pb::CreatePolicyRequest>,
    ) -> Result<Response<pb::CreatePolicyResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let spec = message.spec.as_ref().and_then(|spec| spec::parse(spec, &mut bad));
        let spec = parsed(bad, spec)?;
        let id = request_id(&caller, &message.request_id, &message);
        let (reply, policies) = create_policy(&self.writer, id, &message.policy_id, &spec).await?;
        let policy = Some(replied(reply, &policies)?);
        Ok(Response::new(pb::CreatePolicyResponse { policy }))
    }

    async fn publish_policy(
        &self,
        request: Request<pb::PublishPolicyRequest>,
    ) -> Result<Response<pb::PublishPolicyResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        let (policy_id, version) = named(bad, message.policy.as_ref())?;
        let id = request_id(&caller, &message.request_id, &message);
        let (reply, policies) = publish_policy(&self.writer, id, policy_id, version).await?;
        let policy = Some(replied(reply, &policies)?);
        Ok(Response::new(pb::PublishPolicyResponse { policy }))
    }

    async fn retire_policy(
        &self,
        request: Request<pb::RetirePolicyRequest>,
    ) -> Result<Response<pb::RetirePolicyResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        let (policy_id, version) = named(bad, message.policy.as_ref())?;
        let id = request_id(&caller, &message.request_id, &message);
        let (reply, policies) = retire_policy(&self.writer, id, policy_id, version).await?;
        let policy = Some(replied(reply, &policies)?);
        Ok(Response::new(pb::RetirePolicyResponse { policy }))
    }

    async fn get_policy(
        &self,
        request: Request<pb::GetPolicyRequest>,
    ) -> Result<Response<pb::GetPolicyResponse>, Status> {
        let (_, message, bad) = open(request)?;
        let (policy_id, version) = named(bad, message.policy.as_ref())?;
        let policies = self.store.policies().await?;
        let policy = &policies.named(policy_id, version).ok_or(Error::PolicyUnknown)?.policy;
        let policy = Some(spec::write(policy, policy.state));
        Ok(Response::new(pb::GetPolicyResponse { policy }))
    }

    async fn list_policies(
        &self,
        request: Request<pb::ListPoliciesRequest>,
    ) -> Result<Response<pb::ListPoliciesResponse>, Status> {
        const METHOD: &str = "ListPolicies";
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let arguments = request_digest(&message);
        let cursor = self.pages.open(METHOD, &arguments, &message.page_token)?;
        let before = cursor.and_then(|cursor| Some(u32::from_be_bytes(cursor.try_into().ok()?)));
        let policies = self.store.policies().await?;
        let versions = policies.versions().iter().rev().map(|version| &version.policy);
        let mut rest = versions.filter(|policy| before.is_none_or(|at| policy.number.0 < at));
        let mut page = pb::ListPoliciesResponse::default();
        let (mut bytes, mut last) = (0, None);
        for policy in rest.by_ref() {
            let written = spec::write(policy, policy.state);
            bytes += written.encoded_len();
            page.policies.push(written);
            last = Some(policy.number.0);
            if page.policies.len() == page_size(message.page_size) as usize || bytes > PAGE_BYTES {
                break;
            }
        }
        if let (Some(last), Some(_)) = (last, rest.next()) {
            page.next_page_token = self.pages.seal(METHOD, &arguments, &last.to_be_bytes());
        }
        Ok(Response::new(page))
    }
}

#[allow(clippy::result_large_err)] // tonic's own error type
fn named(bad: FieldErrors, policy: Option<&pb::PolicyRef>) -> Result<(&str, u32), Status> {
    parsed(bad, policy.map(|policy| (policy.policy_id.as_str(), policy.version)))
}

#[allow(clippy::result_large_err)] // tonic's own error type
fn replied(reply: PolicyReply, policies: &Policies) -> Result<pb::Policy, Status> {
    let version = policies.version(reply.number);
    let version = version.ok_or_else(|| status::status(Reason::Internal, "internal error"))?;
    Ok(spec::write(&version.policy, reply.state))
}
