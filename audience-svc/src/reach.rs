//! The size of an expression: counted over people who agreed, released once, given again.

use std::collections::BTreeMap;

use service_kit::store::StoreError;

use crate::{
    domain::{BusinessScope, Expression, MaskedCount, Released, day_of},
    error::Error,
    service::Service,
    store::{RequestKey, Tx, audiences, members, releases},
};

/// How often a count is begun anew because a list changed while it was counted.
const ATTEMPTS: usize = 3;

impl Service {
    /// The released size of an expression over the business's own audiences.
    pub(crate) async fn estimate_reach(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        expression: &Expression,
    ) -> Result<Released, Error> {
        if let Some(answer) = self.store.answered(request).await? {
            return Ok(answer);
        }
        let released = self.released(scope, expression).await?;
        self.store.once(request, self.now(), |_: Tx| async move { Ok(released) }).await
    }

    /// The release of an expression: the one that is kept, or else a new one, which is kept.
    pub(crate) async fn released(
        &self,
        scope: &BusinessScope,
        expression: &Expression,
    ) -> Result<Released, Error> {
        for _ in 0..ATTEMPTS {
            let versions = self.versions(scope, expression).await?;
            let key = expression.release_key(&versions);
            let mut released = releases::find(self.store.reads(), scope, &key).await?;
            if released.is_none() {
                let count = self.count(scope, expression).await?;
                if self.versions(scope, expression).await? != versions {
                    continue;
                }
                let drawn = Released::draw(&count, self.now());
                released = releases::keep(self.store.reads(), scope, &key, drawn).await?;
            }
            let Some(released) = released else { continue };
            if let Some(audience_id) = expression.single() {
                let mut audience = audiences::find(self.store.reads(), scope, audience_id).await?;
                if versions.get(audience_id) == Some(&audience.version)
                    && (audience.size != Some(released) || !audience.size_is_current())
                {
                    audience.size = Some(released);
                    audience.sized_version = Some(audience.version);
                    audiences::keep_size(self.store.reads(), scope, &audience).await?;
                }
            }
            return Ok(released);
        }
        let text = "lists changed while they were counted".to_owned();
        Err(StoreError::Conflict(text).into())
    }

    async fn versions(
        &self,
        scope: &BusinessScope,
        expression: &Expression,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let named: Vec<&str> = expression.audiences()?.into_iter().collect();
        let versions = audiences::versions(self.store.reads(), scope, &named).await?;
        (versions.len() == named.len()).then_some(versions).ok_or(Error::AudienceUnknown)
    }

    /// Counts those who are in the directory and agreed to the use, chunk by chunk.
    async fn count(
        &self,
        scope: &BusinessScope,
        expression: &Expression,
    ) -> Result<MaskedCount, Error> {
        self.following.fresh().await?;
        self.directory.catch_up().await?;
        let named: Vec<&str> = expression.audiences()?.into_iter().collect();
        let (db, today) = (self.store.reads(), day_of(self.now()));
        let countable = self.directory.countable();
        let mut count = MaskedCount::default();
        let mut from = 0;
        while let Some((chunk, members)) =
            members::next_chunk(db, scope, &named, from, today).await?
        {
            count.add(expression.evaluate(&members).intersection_len(&countable));
            from = chunk + 1;
        }
        Ok(count)
    }
}
