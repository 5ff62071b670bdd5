//! At serve time: which lists the person in front of an ad server is in. consent-svc is asked
//! within the call, always, and first.

use std::collections::HashSet;

use crate::{
    domain::day_of,
    error::Error,
    service::Service,
    store::{departures, directory},
};

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
        let (now, db) = (self.now(), self.store.reads());
        let Some(person) = directory::find_subject(db, subject_id).await? else {
            return Ok(Vec::new());
        };
        if !person.found.agreed.may_stay(now) {
            self.untidy.notify_one();
            return Ok(Vec::new());
        }
        self.lists.look().await?;
        let mut found = self.lists.of(person.found.ordinal, day_of(now), true);
        if !found.is_empty() {
            let left = departures::of_subject(db, subject_id).await?;
            let left: HashSet<String> = left.into_iter().map(|(business, _)| business).collect();
            found.retain(|(business, _)| !left.contains(business));
        }
        Ok(found)
    }
}
