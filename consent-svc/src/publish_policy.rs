//! Publishing a draft, and retiring what was published.

use std::sync::Arc;

use crate::{
    domain::{Policies, Policy, PolicyState, contradictions},
    error::Error,
    store::{Alteration, PolicyReply, RequestId, Store},
};

/// Publishes a draft, unless it contradicts itself or anything that was ever published.
pub(crate) async fn publish_policy(
    store: &Store,
    request: RequestId,
    policy_id: &str,
    version: u32,
) -> Result<(PolicyReply, Arc<Policies>), Error> {
    let rule = |policies: &Policies, now| {
        let draft = &policies.named(policy_id, version).ok_or(Error::PolicyUnknown)?.policy;
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
    store.alter_policies(request, rule).await
}

/// Ends a published version.
pub(crate) async fn retire_policy(
    store: &Store,
    request: RequestId,
    policy_id: &str,
    version: u32,
) -> Result<(PolicyReply, Arc<Policies>), Error> {
    let rule = |policies: &Policies, now| {
        let policy = &policies.named(policy_id, version).ok_or(Error::PolicyUnknown)?.policy;
        if policy.state != PolicyState::Published {
            return Err(Error::PolicyState("published"));
        }
        let state = PolicyState::Retired;
        Ok(Alteration::State(Policy { state, retired_at: Some(now), ..policy.clone() }))
    };
    store.alter_policies(request, rule).await
}
