//! For the person: who lists them, and the way out.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::timeout;

use crate::{
    consent::Consented,
    domain::{MemberDay, day_of},
    error::Error,
    service::Service,
    store::{RequestKey, Tx, businesses, departures, directory, members, serving},
};

/// How long consent-svc may take while everybody who changes the directory waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// A business that lists a person.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) business_id: String,
    pub(crate) display_name: String,
    pub(crate) since: MemberDay,
}

impl Service {
    /// The businesses whose lists a person is in, targetable or not, and the consent under which
    /// they are used; asked for with the person's own token.
    pub(crate) async fn explain_audiences(
        &self,
        subject_id: &str,
        token: &str,
    ) -> Result<(Vec<Listing>, Option<Consented>), Error> {
        let db = self.store.reads();
        let mut listings = Vec::new();
        for (business_id, since) in self.listed_since(subject_id).await? {
            // One that is gone lists nobody.
            let Some(business) = businesses::find(db, &business_id).await? else { continue };
            listings.push(Listing { business_id, display_name: business.display_name, since });
        }
        if listings.is_empty() {
            return Ok((listings, None));
        }
        let consented = self.consent.consented_to_ads(subject_id, token).await?;
        Ok((listings, consented))
    }

    /// Since when a person is in lists of businesses that they have not left.
    pub(crate) async fn listed_since(
        &self,
        subject_id: &str,
    ) -> Result<BTreeMap<String, MemberDay>, Error> {
        let (db, now) = (self.store.reads(), self.now());
        let person = serving::person(db, subject_id).await?;
        let Some(person) = person.filter(|person| person.agreed.may_stay(now)) else {
            return Ok(BTreeMap::new());
        };
        let (ordinal, today) = (person.ordinal, day_of(now));
        self.lists.reach(person.lists_at).await?;
        let found = self.lists.of(ordinal, today, false);
        let audiences: Vec<String> = found.into_iter().map(|(_, audience)| audience).collect();
        let mut since = members::listed_since(db, ordinal, &audiences, today).await?;
        since.retain(|business, _| !person.left.contains(business));
        Ok(since)
    }

    /// Takes a person out of all lists of a business, for good. Nothing is stored of somebody who
    /// was erased.
    ///
    /// consent-svc is asked while the directory is held: whoever is erased after its answer is
    /// forgotten by the follower of its feed, who waits until this is stored.
    pub(crate) async fn leave_business(
        &self,
        request: &RequestKey,
        subject_id: &str,
        business_id: &str,
    ) -> Result<(), Error> {
        let now = self.now();
        let leave = |tx: Tx| async move {
            businesses::find(&*tx, business_id).await?.ok_or(Error::BusinessUnknown)?;
            directory::begin(&tx).await?;
            let erased = timeout(PATIENCE, self.consent.is_erased(subject_id)).await;
            if erased.map_err(|_| Error::ConsentTimeout)?? {
                return Err(Error::SubjectErased);
            }
            departures::put(&tx, subject_id, business_id, now).await
        };
        self.store.once_locking(request, now, leave).await
    }
}
