//! Storing a draft: the next version of its policy.

use std::sync::Arc;

use crate::{
    domain::{Policies, Policy, PolicyNumber, PolicyState, Spec},
    error::Error,
    store::{Alteration, PolicyReply, RequestId},
    writer::Writer,
};

/// Stores a draft. It may contradict itself: that is found when it is to be published.
pub(crate) async fn create_policy(
    writer: &Writer,
    request: RequestId,
    policy_id: &str,
    spec: &Spec,
) -> Result<(PolicyReply, Arc<Policies>), Error> {
    let (policy_id, spec) = (policy_id.to_owned(), spec.clone());
    let rule = move |policies: &Policies, now| {
        let versions = policies.versions().iter().map(|version| &version.policy);
        let versions = versions.filter(|policy| policy.id == policy_id);
        let highest = versions.map(|policy| policy.version).max().unwrap_or(0);
        Ok(Alteration::Draft(Policy {
            // The store's to give.
            number: PolicyNumber(0),
            id: policy_id.clone(),
            version: highest + 1,
            state: PolicyState::Draft,
            created_at: now,
            published_at: None,
            retired_at: None,
            spec: spec.clone(),
        }))
    };
    writer.draft_policy(request, Box::new(rule)).await
}
