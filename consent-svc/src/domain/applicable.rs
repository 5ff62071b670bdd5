//! Does a policy version ask this person?

use super::{Moment, Policies, PolicyState, Subject, Version};

/// Whether a person may be served a version's notice and decide on it: it is published, covers
/// the person's jurisdiction, asks accounts as old as theirs, and decides about at least one of
/// its purposes, now or, if it is only announced, when it takes effect. Otherwise says why not.
pub fn applicable(
    policies: &Policies,
    version: &Version,
    subject: &Subject,
    now: Moment,
) -> Result<(), &'static str> {
    let (policy, attributes) = (&version.policy, &subject.attributes);
    match policy.state {
        PolicyState::Draft => return Err("it is a draft"),
        PolicyState::Retired => return Err("it is retired"),
        PolicyState::Published => {}
    }
    if version.covers(&attributes.jurisdiction).is_none() {
        return Err("it is for other jurisdictions");
    }
    if !policy.spec.asks(attributes.account_created_at) {
        return Err("it is for older accounts");
    }
    let then = now.max(policy.spec.effective_at);
    let decides = version.offers().any(|offer| {
        let (deciding, _) = policies.deciding(offer.slot(), &attributes.jurisdiction, then);
        deciding.is_some_and(|deciding| deciding.version.policy.number == policy.number)
    });
    if decides { Ok(()) } else { Err("another version has taken its place") }
}
