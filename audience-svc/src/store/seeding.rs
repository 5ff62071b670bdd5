//! For measurements: fills a store with more people and lists than can be sent to it in reasonable
//! time. Nobody else may use the store meanwhile.

use identifiers::MatchKey;
use roaring::RoaringBitmap;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, ExprTrait, TransactionTrait, sea_query::Expr,
};
use service_kit::{
    clock::UnixMillis,
    store::{StoreConfig, StoreError},
};

use super::{
    Store,
    entity::{
        audience, audience_member as member, business, directory_counter as counter,
        directory_subject as subject, list_counter,
    },
    failed, feed, members,
};
use crate::{
    domain::{Lifetime, Until, day_of},
    error::Error,
    index::Mark,
};

/// Rows of one statement: with eight columns each below the 32,766 values that SQLite binds.
const SOME: usize = 4_000;

/// Statements of one transaction.
const STATEMENTS: usize = 50;

/// Rows of members of one statement.
const SOME_MEMBERS: usize = 256;

/// A store to be filled.
#[derive(Debug)]
pub struct Seeding(Store);

impl Seeding {
    /// Opens a store whose schema is up to date.
    pub async fn open(config: &StoreConfig) -> Result<Self, StoreError> {
        Store::open(config).await.map(Self)
    }

    /// Whether a service on it follows consent-svc and has asked about everybody once: it does not
    /// ask about those who are put in beside it.
    pub async fn is_followed(&self) -> Result<bool, Error> {
        let position = feed::position(self.0.reads()).await?;
        Ok(position.swept_at.get() > 0 && position.sweep.is_none())
    }

    /// Puts people in who agreed to everything, with the keys of the first version. The first one
    /// gets the ordinal 0, the next one 1 and so on.
    pub async fn people(
        &self,
        people: impl Iterator<Item = (String, Vec<MatchKey>)>,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let mut rows = (0_i64..).zip(people).map(|(ordinal, (subject_id, keys))| {
            let match_keys: Vec<u8> = keys.iter().flat_map(|key| *key.as_bytes()).collect();
            subject::ActiveModel {
                subject_id: Set(subject_id),
                ordinal: Set(ordinal),
                valid_until: Set(Until::NEVER.column()),
                ads_until: Set(Until::NEVER.column()),
                revision: Set(1),
                registered_at: Set(now.get()),
                secret_version: Set(1),
                match_keys: Set(match_keys),
            }
        });
        let (mut count, mut more) = (0, true);
        while more {
            let tx = self.0.reads().begin().await.map_err(failed)?;
            for _ in 0..STATEMENTS {
                let some: Vec<_> = rows.by_ref().take(SOME).collect();
                count += some.len();
                more = some.len() == SOME;
                if !some.is_empty() {
                    let insert = subject::Entity::insert_many(some);
                    insert.exec_without_returning(&tx).await.map_err(failed)?;
                }
                if !more {
                    break;
                }
            }
            tx.commit().await.map_err(failed)?;
        }
        // As one change that is not kept any more: whoever knew the store before reads it anew.
        let one_more = |column: counter::Column| Expr::col(column).add(1);
        counter::Entity::update_many()
            .set(counter::ActiveModel {
                next_ordinal: Set(i64::try_from(count).unwrap_or(i64::MAX)),
                last_mark: Set(rand::random::<Mark>().to_vec()),
                ..Default::default()
            })
            .col_expr(counter::Column::LastChange, one_more(counter::Column::LastChange))
            .col_expr(counter::Column::PrunedChange, one_more(counter::Column::LastChange))
            .exec(self.0.reads())
            .await
            .map(drop)
            .map_err(failed)
    }

    /// Puts a business in with audiences that may be targeted.
    pub async fn lists(
        &self,
        business_id: &str,
        lists: impl Iterator<Item = (String, RoaringBitmap)>,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let db = self.0.reads();
        let business = business::ActiveModel {
            business_id: Set(business_id.to_owned()),
            display_name: Set(business_id.to_owned()),
            owner_id: Set(business_id.to_owned()),
            created_at: Set(now.get()),
        };
        business::Entity::insert(business).exec_without_returning(db).await.map_err(failed)?;
        for (audience_id, people) in lists {
            let tx = db.begin().await.map_err(failed)?;
            let row = listed(business_id, &audience_id, now);
            audience::Entity::insert(row).exec_without_returning(&tx).await.map_err(failed)?;
            put(&tx, business_id, &audience_id, &people, now).await?;
            tx.commit().await.map_err(failed)?;
        }
        let last = list_counter::Column::LastChange;
        list_counter::Entity::update_many()
            .col_expr(last, Expr::col(last).add(1))
            .col_expr(list_counter::Column::PrunedChange, Expr::col(last).add(1))
            .exec(db)
            .await
            .map(drop)
            .map_err(failed)
    }
}

fn listed(business_id: &str, audience_id: &str, now: UnixMillis) -> audience::ActiveModel {
    audience::ActiveModel {
        business_id: Set(business_id.to_owned()),
        audience_id: Set(audience_id.to_owned()),
        display_name: Set(audience_id.to_owned()),
        description: Set(String::new()),
        source: Set(1),
        lifetime_ms: Set(i64::try_from(Lifetime::DEFAULT.get().as_millis()).unwrap_or(i64::MAX)),
        version: Set(1),
        rows_received: Set(0),
        rows_duplicate: Set(0),
        rows_refused: Set(Vec::new()),
        size: Set(None),
        sized_version: Set(Some(1)),
        targetable: Set(true),
        created_at: Set(now.get()),
        updated_at: Set(now.get()),
    }
}

async fn put(
    tx: &impl ConnectionTrait,
    business_id: &str,
    audience_id: &str,
    people: &RoaringBitmap,
    now: UnixMillis,
) -> Result<(), Error> {
    let mut rows = Vec::new();
    for (chunk, people) in members::chunked(people) {
        rows.push(member::ActiveModel {
            chunk: Set(chunk.into()),
            audience_id: Set(audience_id.to_owned()),
            expires_on: Set(Lifetime::DEFAULT.ends(now)),
            business_id: Set(business_id.to_owned()),
            listed_on: Set(day_of(now)),
            members: Set(members::write(&people)?),
        });
    }
    while !rows.is_empty() {
        let some = rows.split_off(rows.len().saturating_sub(SOME_MEMBERS));
        let insert = member::Entity::insert_many(some);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}
