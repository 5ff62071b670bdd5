use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;

/// A business that may upload lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Business {
    /// Chosen by the platform.
    pub business_id: String,
    /// Shown to people whose data it lists.
    pub display_name: String,
    /// The legal entity behind it.
    pub owner_id: String,
    /// When it became known.
    pub created_at: UnixMillis,
}

/// Whose lists a call may touch. The store's methods take one, so that no query can be written
/// without the business; only a caller's verified claims, checked against the business as
/// registered, become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessScope {
    business_id: String,
    owner_id: String,
}

impl BusinessScope {
    /// The scope of a caller that claims to act for `business` as it is registered, or nothing
    /// when the owner has changed since the claim was made: releases are budgeted by owner, so a
    /// call must not be charged to the wrong one.
    pub(crate) fn of(business: Business, claimed_owner: &str) -> Option<Self> {
        let Business { business_id, owner_id, .. } = business;
        (owner_id == claimed_owner).then_some(Self { business_id, owner_id })
    }

    /// The business.
    pub fn business_id(&self) -> &str {
        &self.business_id
    }

    /// Its legal owner, who has one budget for all of its businesses.
    pub fn owner_id(&self) -> &str {
        &self.owner_id
    }
}
