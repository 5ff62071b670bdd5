//! Publishing a draft, and retiring what was published.

use std::sync::Arc;

use crate::{
    domain::{Policies, Policy, PolicyState, contradictions},
    error::Error,
    store::{Alteration, PolicyReply, RequestId},
    writer::Writer,
};

/// Publishes a draft, unless it contradicts itself or anything that was ever published.
pub(crate) async fn publish_policy(
    writer: &Writer,
    request: RequestId,
    policy_id: &str,
    version: u32,
) -> Result<(PolicyReply, Arc<Policies>), Error> {
    let policy_id = policy_id.to_owned();
    let rule = move |policies: &Policies, now| {
        let draft = &policies.named(&policy_id, version).ok_or(Error::PolicyUnknown)?.policy;
        if draft.state != PolicyState::Draft {
            return Err(Error::PolicyState("a draft"));
        }
        let versions = policies.versions().iter().map(|version| &version.policy);
        let published = versions.filter(|policy| policy.state != PolicyState::Draft);
        let found = contradictions(draft, published);
        if !found.is_empty() {
            return Err(Error::Contradictory(found));
        }
        let state = PolicyState::Published;
        Ok(Alteration::State(Policy { state, published_at: Some(now), ..draft.clone() }))
    };
    writer.change_policies(request, Box::new(rule)).await
}

/// Ends a published version.
pub(crate) async fn retire_policy(
    writer: &Writer,
    request: RequestId,
    policy_id: &str,
    version: u32,
) -> Result<(PolicyReply, Arc<Policies>), Error> {
    let policy_id = policy_id.to_owned();
    let rule = move |policies: &Policies, now| {
        let policy = &policies.named(&policy_id, version).ok_or(Error::PolicyUnknown)?.policy;
        if policy.state != PolicyState::Published {
            return Err(Error::PolicyState("published"));
        }
        let state = PolicyState::Retired;
        Ok(Alteration::State(Policy { state, retired_at: Some(now), ..policy.clone() }))
    };
    writer.change_policies(request, Box::new(rule)).await
}
