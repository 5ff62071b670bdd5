//! What must not be lost, in SQLite or PostgreSQL: the only place that knows the ORM.
//!
//! Every write takes the row of `head` first, which gives it its sequence number and keeps other
//! writers out until it is committed: writes happen one after the other, sequence numbers have no
//! gaps, and what is visible is always everything up to some number. So the weaker isolation is
//! enough, and a replica follows by reading on from the number it has.

mod change;
mod columns;
mod entity;
mod erase;
mod erasures;
mod export;
mod feed;
mod feedback;
mod follow;
mod left_keys;
mod load;
mod look;
mod migration;
mod people;
mod personal;
mod quota;
mod ranges;
mod spam;
#[cfg(test)]
mod tests;
mod writing;

use opentelemetry::metrics::Meter;
use sea_orm::{EntityTrait, QueryFilter, QueryOrder, QuerySelect, prelude::*};
use service_kit::{
    clock::UnixMillis,
    store::{self, Pool, StoreConfig, StoreError},
};

use crate::{
    domain::{Settings, Subject},
    graph,
};
use entity::{block, change as changes, contact_settings, erased, head, request};
use look::Looking;
use migration::Migrator;

#[cfg(any(test, fuzzing))]
pub(crate) use change::fuzz;
pub(crate) use export::Held;
pub(crate) use feed::{Erased, Heard, Position};
pub(crate) use follow::{Delta, News};
pub(crate) use people::ordered;
pub(crate) use ranges::NumberRanges;
pub(crate) use spam::{Complaints, Review};
pub(crate) use writing::{Once, Writing};

/// Every statement here goes by an index. Left to itself, PostgreSQL plans for the statistics of the
/// moment, which of a new or fast growing table are those of a small one, and reads all of it; and
/// it would plan anew each time.
const BY_INDEX: &[(&str, &str)] =
    &[("enable_seqscan", "off"), ("plan_cache_mode", "force_generic_plan"), ("jit", "off")];

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Pool,
    looking: Looking,
}

impl Store {
    /// Opens the store, whose schema must be up to date.
    pub(crate) async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        let session = BY_INDEX.to_vec();
        let db = store::connect(&StoreConfig { session, ..config.clone() }).await?;
        store::check_schema::<Migrator>(&db).await?;
        Ok(Self { db, looking: Looking::default() })
    }

    /// Makes `meter` tell of the connections. Once.
    pub(crate) fn report(&self, meter: &Meter) {
        self.db.report(meter, "main");
    }

    /// Brings the schema up to date.
    pub(crate) async fn migrate(config: &StoreConfig) -> Result<(), StoreError> {
        let db = store::connect(config).await?;
        store::migrate::<Migrator>(&db).await
    }

    /// Whether the store answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        store::ping(&self.db).await
    }

    /// The last write that was acknowledged.
    pub(crate) async fn head(&self) -> Result<graph::Position, StoreError> {
        self.looking.look(&self.db).await
    }

    /// How many denials consent-svc's feed has brought so far.
    pub(crate) async fn denials(&self) -> Result<i64, StoreError> {
        Ok(head(&self.db).await?.denials)
    }

    /// Whether any of these people has a row.
    pub(crate) async fn has_any(&self, subjects: &[&Subject]) -> Result<bool, StoreError> {
        for chunk in subjects.chunks(columns::ROWS) {
            if !people::people_here(&self.db, chunk).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A person's settings, the default ones if they never changed them.
    pub(crate) async fn settings(&self, subject: &Subject) -> Result<Settings, StoreError> {
        let row = contact_settings::Entity::find_by_id(subject.as_str()).one(&self.db).await?;
        Ok(row.map(|row| columns::settings(&row)).transpose()?.unwrap_or_default())
    }

    /// Whom a person blocks, in ascending order from after `after` on.
    pub(crate) async fn blocked(
        &self,
        subject: &Subject,
        after: Option<&Subject>,
        at_most: u64,
    ) -> Result<Vec<Subject>, StoreError> {
        let mut query = block::Entity::find().filter(block::Column::Subject.eq(subject.as_str()));
        if let Some(after) = after {
            query = query.filter(block::Column::Blocked.gt(after.as_str()));
        }
        let rows = query.order_by_asc(block::Column::Blocked).limit(at_most).all(&self.db).await?;
        Ok(rows.into_iter().map(|row| row.blocked.into()).collect())
    }

    /// Forgets answers recorded before an instant, and changes up to the last one from before
    /// another. Clocks differ: going by each change's instant would leave holes between them.
    pub(crate) async fn prune(
        &self,
        changes_before: UnixMillis,
        requests_before: UnixMillis,
    ) -> Result<(), StoreError> {
        let last: Option<Option<i64>> = changes::Entity::find()
            .select_only()
            .column_as(changes::Column::Seq.max(), "last")
            .filter(changes::Column::At.lt(changes_before.get()))
            .into_tuple()
            .one(&self.db)
            .await?;
        if let Some(last) = last.flatten() {
            let old = changes::Entity::delete_many().filter(changes::Column::Seq.lte(last));
            old.exec(&self.db).await?;
        }
        request::Entity::delete_many()
            .filter(request::Column::At.lt(requests_before.get()))
            .exec(&self.db)
            .await?;
        // Whoever was erased as long ago has no token any more.
        let erased = erased::Entity::delete_many();
        erased.filter(erased::Column::At.lt(requests_before.get())).exec(&self.db).await?;
        Ok(())
    }
}

/// The last write, as far as it can be seen.
async fn position(db: &impl ConnectionTrait) -> Result<graph::Position, StoreError> {
    Ok(columns::position(&head(db).await?))
}

async fn head(db: &impl ConnectionTrait) -> Result<head::Model, StoreError> {
    let row = head::Entity::find_by_id(columns::HEAD).one(db).await?;
    row.ok_or_else(|| StoreError::Other("the head row is missing".to_owned()))
}
