//! The size of an expression: counted over people who agreed, released once, given again.

use std::collections::BTreeMap;

use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use service_kit::store::StoreError;

use crate::{
    config::ReleaseConfig,
    domain::{Budget, BusinessScope, Expression, MaskedCount, Noise, Released, day_of, reach_step},
    error::Error,
    pace::on_grid,
    service::Service,
    store::{
        Database, RequestKey, Tx, audiences, departures, directory, members,
        releases::{self, Spent},
    },
};

/// How often a count is begun anew because a list changed while it was counted.
const ATTEMPTS: usize = 3;

/// How sizes are released.
#[derive(Debug)]
pub(crate) struct Releaser {
    budget: Budget,
    noise: Noise,
}

impl Releaser {
    pub(crate) fn new(config: &ReleaseConfig) -> Self {
        let budget = Budget::new(config.per_window, config.ever);
        Self { budget, noise: Noise::for_releases(config.per_window) }
    }
}

impl Service {
    /// The released size of an expression over the business's own audiences; at a point of a grid,
    /// so that its time tells nothing.
    pub(crate) async fn estimate_reach(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        expression: &Expression,
    ) -> Result<Released, Error> {
        let step = reach_step(expression.audiences()?.len());
        let answer = async {
            if let Some(answer) = self.store.answered(request).await? {
                return Ok(answer);
            }
            let released = self.released(scope, expression).await?;
            self.store.once(request, self.now(), |_: Tx| async move { Ok(released) }).await
        };
        on_grid(&self.clock, |_| step, answer).await
    }

    /// The release of an expression: the one that is kept, or else a fresh one, which is kept.
    pub(crate) async fn released(
        &self,
        scope: &BusinessScope,
        expression: &Expression,
    ) -> Result<Released, Error> {
        for _ in 0..ATTEMPTS {
            let versions = self.versions(self.store.reads(), scope, expression).await?;
            let key = expression.release_key(&versions);
            let mut released = releases::find(self.store.reads(), scope, &key).await?;
            if released.is_none() {
                released = self.draw(scope, expression, &versions, &key).await?;
            }
            let Some(released) = released else { continue };
            if let Some(audience_id) = expression.single() {
                let mut audience = audiences::find(self.store.reads(), scope, audience_id).await?;
                if versions.get(audience_id) == Some(&audience.version)
                    && (audience.size != Some(released) || !audience.size_is_current())
                {
                    audience.size = Some(released);
                    audience.sized_version = Some(audience.version);
                    let (audience, now) = (&audience, self.now());
                    let keep = |tx: Tx| async move {
                        audiences::keep_size(&tx, scope, audience, now).await
                    };
                    self.store.locking("keep_size", keep).await?;
                }
            }
            return Ok(released);
        }
        let text = "lists changed while they were counted".to_owned();
        Err(StoreError::Conflict(text).into())
    }

    /// Draws a release and keeps it, unless another call has done so meanwhile. None: a list was
    /// changed since the versions were read.
    async fn draw(
        &self,
        scope: &BusinessScope,
        expression: &Expression,
        versions: &BTreeMap<String, u64>,
        key: &[u8; 32],
    ) -> Result<Option<Released>, Error> {
        // Before anything is counted: what an owner without a budget is told, and when, must not
        // depend on who is counted.
        let now = self.now();
        let spent = releases::spent(self.store.reads(), scope.owner_id()).await?;
        let allows = |spent: &Spent| {
            let allowed = self.releaser.budget.allows(now, &spent.drawn, spent.ever);
            allowed.map_err(|exhausted| Error::Budget { exhausted, now })
        };
        allows(&spent)?;
        let count = self.count(scope, expression).await?;
        let rng = StdRng::try_from_rng(&mut SysRng);
        let mut rng = rng.map_err(|_| Error::Internal("the system gives no randomness"))?;
        // Nobody learns of it unless it is kept.
        let released = Released::draw(count, &self.releaser.noise, &mut rng, now);
        let allows = &allows;
        let draw = |tx: Tx| async move {
            let spent = releases::lock_spent(&tx, scope.owner_id()).await?;
            if self.versions(&*tx, scope, expression).await? != *versions {
                return Ok(None);
            }
            if let Some(kept) = releases::find(&*tx, scope, key).await? {
                return Ok(Some(kept));
            }
            allows(&spent)?;
            releases::keep(&tx, scope, key, released, spent).await?;
            Ok(Some(released))
        };
        self.store.locking("draw_release", draw).await
    }

    async fn versions(
        &self,
        db: &impl Database,
        scope: &BusinessScope,
        expression: &Expression,
    ) -> Result<BTreeMap<String, u64>, Error> {
        let named: Vec<&str> = expression.audiences()?.into_iter().collect();
        let versions = audiences::versions(db, scope, &named).await?;
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
        let left = departures::of_business(db, scope).await?;
        let mut count = MaskedCount::of(expression);
        // As many statements as the directory needs, whoever is in these lists.
        for span in members::spans(directory::last_ordinal(db).await?) {
            let chunks = members::of_span(db, scope, &named, span, today).await?;
            for members in chunks.values() {
                let people = expression.evaluate(members) - &left;
                count.add(people.intersection_len(&countable));
            }
        }
        Ok(count)
    }
}
