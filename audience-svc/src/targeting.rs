//! At serve time: which lists the person in front of an ad server is in. consent-svc is asked
//! within the call, always, and first.

use std::collections::HashSet;

use crate::{
    domain::day_of,
    error::Error,
    service::Service,
    store::{
        directory,
        members::{self, Asked},
    },
};

impl Service {
    /// The targetable audiences that a person is in, as business and audience; those of one
    /// business, if one is named.
    pub(crate) async fn list_subject_audiences(
        &self,
        subject_id: &str,
        business_id: Option<&str>,
    ) -> Result<Vec<(String, String)>, Error> {
        let asked = business_id.map_or(Asked::All, Asked::Business);
        self.memberships(subject_id, asked).await
    }

    /// For each audience, whether it is targetable and has the person.
    pub(crate) async fn check_membership(
        &self,
        subject_id: &str,
        audience_ids: &[String],
    ) -> Result<Vec<bool>, Error> {
        let found = self.memberships(subject_id, Asked::Audiences(audience_ids)).await?;
        let found: HashSet<String> = found.into_iter().map(|(_, audience)| audience).collect();
        Ok(audience_ids.iter().map(|id| found.contains(id)).collect())
    }

    async fn memberships(
        &self,
        subject_id: &str,
        asked: Asked<'_>,
    ) -> Result<Vec<(String, String)>, Error> {
        if !self.consent.allows_ads(subject_id).await? {
            return Ok(Vec::new());
        }
        let now = self.now();
        let db = self.store.reads();
        let Some(found) = directory::find_subject(db, subject_id).await? else {
            return Ok(Vec::new());
        };
        if !found.found.agreed.may_stay(now) {
            self.untidy.notify_one();
            return Ok(Vec::new());
        }
        members::targetable_with(db, found.found.ordinal, asked, day_of(now)).await
    }
}
