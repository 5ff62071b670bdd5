//! Making businesses known.

use crate::{
    domain::Business,
    error::Error,
    service::Service,
    store::{RequestKey, Tx, businesses},
};

impl Service {
    /// Makes a business known, or changes its name and owner.
    pub(crate) async fn put_business(
        &self,
        request: &RequestKey,
        business: Business,
    ) -> Result<Business, Error> {
        let business = &business;
        let put = |tx: Tx| async move {
            let mut business = business.clone();
            if let Some(known) = businesses::find(&*tx, &business.business_id).await? {
                business.created_at = known.created_at;
            }
            businesses::put(&tx, &business).await?;
            Ok(business)
        };
        self.store.once(request, self.now(), put).await
    }

    /// One business.
    pub(crate) async fn get_business(&self, business_id: &str) -> Result<Business, Error> {
        let found = businesses::find(self.store.reads(), business_id).await?;
        found.ok_or(Error::BusinessUnknown)
    }
}
