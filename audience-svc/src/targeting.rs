//! At serve time: which lists the person in front of an ad server is in. consent-svc is asked
//! within the call, always, and first.

use std::collections::HashSet;

use crate::{domain::day_of, error::Error, service::Service, store::serving};

impl Service {
    /// The targetable audiences that a person is in, as business and audience; those of one
    /// business, if one is named.
    pub(crate) async fn list_subject_audiences(
        &self,
        subject_id: &str,
        business_id: Option<&str>,
    ) -> Result<Vec<(String, String)>, Error> {
        let mut found = self.memberships(subject_id).await?;
        found.retain(|(business, _)| business_id.is_none_or(|named| named == business));
        Ok(found)
    }

    /// For each audience, whether it is targetable and has the person.
    pub(crate) async fn check_membership(
        &self,
        subject_id: &str,
        audience_ids: &[String],
    ) -> Result<Vec<bool>, Error> {
        let found = self.memberships(subject_id).await?;
        let found: HashSet<&str> = found.iter().map(|(_, audience)| audience.as_str()).collect();
        Ok(audience_ids.iter().map(|id| found.contains(id.as_str())).collect())
    }

    async fn memberships(&self, subject_id: &str) -> Result<Vec<(String, String)>, Error> {
        if !self.consent.allows_ads(subject_id).await? {
            return Ok(Vec::new());
        }
        let Some(person) = serving::person(self.store.look_ups(), subject_id).await? else {
            return Ok(Vec::new());
        };
        let now = self.now();
        if !person.agreed.may_stay(now) {
            self.untidy.notify_one();
            return Ok(Vec::new());
        }
        self.lists.reach(person.lists_at).await?;
        let mut found = self.lists.of(person.ordinal, day_of(now), true);
        found.retain(|(business, _)| !person.left.contains(business));
        Ok(found)
    }
}
