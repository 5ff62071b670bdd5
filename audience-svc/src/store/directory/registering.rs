//! Changing the directory.

use std::collections::{BTreeMap, HashMap};

use identifiers::MatchKey;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};
use service_kit::clock::UnixMillis;

use super::{key, reading::read_counter};
use crate::{
    domain::NOBODY,
    error::Error,
    store::{
        MANY,
        columns::{big, number},
        entity::{
            directory_change as change, directory_counter as counter, directory_key as directory,
            directory_subject as subject,
        },
        failed,
    },
};

/// What a subject is to be found by from now on.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Whose.
    pub(crate) subject_id: String,
    /// In place of all earlier ones. None: the subject leaves the directory.
    pub(crate) keys: Vec<MatchKey>,
    /// Until when its consent holds, by the clock alone.
    pub(crate) valid_until: Option<UnixMillis>,
    /// The revision of its consent.
    pub(crate) revision: u64,
}

/// What is about to change.
#[derive(Default)]
struct Plan {
    /// Ordinals whose holders leave, or come back under others.
    leaving: Vec<u32>,
    /// Ordinals that had keys before and may have others now.
    before: Vec<u32>,
    /// Who is to be found by which key.
    wanted: BTreeMap<MatchKey, u32>,
    rows: Vec<subject::ActiveModel>,
}

/// Applies registrations, each subject once, and gives the number of the last change. A key that
/// someone else was found by moves: it finds whoever verified it last.
pub(crate) async fn put(
    tx: &DatabaseTransaction,
    entries: &[Entry],
    secret_version: u16,
    now: UnixMillis,
) -> Result<i64, Error> {
    let mut counter = lock_counter(tx).await?;
    let known = known(tx, entries).await?;
    let mut plan = Plan::default();
    for entry in entries {
        let held = known.get(&entry.subject_id);
        if let Some(row) = held {
            plan.before.push(number(row.ordinal)?);
        }
        let stays = held.filter(|row| row.valid_until.is_none_or(|until| now.get() < until));
        if let Some(row) = held
            && (entry.keys.is_empty() || stays.is_none())
        {
            plan.leaving.push(number(row.ordinal)?);
        }
        if entry.keys.is_empty() {
            continue;
        }
        // Whoever was gone, if only by the clock, comes back as somebody new: lists that were
        // made before do not find them again.
        let ordinal = match stays {
            Some(row) => number(row.ordinal)?,
            None => take_ordinal(&mut counter)?,
        };
        plan.wanted.extend(entry.keys.iter().map(|key| (*key, ordinal)));
        plan.rows.push(subject::ActiveModel {
            subject_id: Set(entry.subject_id.clone()),
            ordinal: Set(i64::from(ordinal)),
            valid_until: Set(entry.valid_until.map(UnixMillis::get)),
            revision: Set(big(entry.revision)),
            registered_at: Set(now.get()),
        });
    }
    apply(tx, plan, &mut counter, secret_version, now).await?;
    save_counter(tx, &counter).await?;
    Ok(counter.last_change)
}

/// Takes those of the ordinals out whose rows do not count any more.
pub(crate) async fn remove_expired(
    tx: &DatabaseTransaction,
    ordinals: &[u32],
    now: UnixMillis,
) -> Result<(), Error> {
    let mut counter = lock_counter(tx).await?;
    let still = subject::Entity::find()
        .filter(subject::Column::Ordinal.is_in(ordinals.iter().copied().map(i64::from)))
        .filter(subject::Column::ValidUntil.lte(now.get()))
        .all(tx)
        .await
        .map_err(failed)?;
    let leaving: Vec<u32> =
        still.iter().map(|row| number(row.ordinal)).collect::<Result<_, _>>()?;
    let plan = Plan { before: leaving.clone(), leaving, ..Plan::default() };
    apply(tx, plan, &mut counter, 0, now).await?;
    save_counter(tx, &counter).await
}

/// Forgets changes recorded before `before`; an index that has not seen them loads itself anew.
pub(crate) async fn prune_changes(
    tx: &DatabaseTransaction,
    before: UnixMillis,
) -> Result<(), Error> {
    let counter = lock_counter(tx).await?;
    let old = change::Column::RecordedAt.lt(before.get());
    let last = change::Entity::find().filter(old).order_by_desc(change::Column::Seq);
    let Some(last) = last.one(tx).await.map_err(failed)? else { return Ok(()) };
    let gone = change::Entity::delete_many().filter(change::Column::Seq.lte(last.seq));
    gone.exec(tx).await.map_err(failed)?;
    save_counter(tx, &counter::Model { pruned_change: last.seq, ..counter }).await
}

async fn lock_counter(tx: &DatabaseTransaction) -> Result<counter::Model, Error> {
    let unchanged = Expr::col(counter::Column::LastChange);
    counter::Entity::update_many()
        .col_expr(counter::Column::LastChange, unchanged)
        .filter(counter::Column::Id.eq(1))
        .exec(tx)
        .await
        .map_err(failed)?;
    read_counter(tx).await
}

async fn save_counter(tx: &DatabaseTransaction, counter: &counter::Model) -> Result<(), Error> {
    counter::Entity::update_many()
        .set(counter::ActiveModel {
            next_ordinal: Set(counter.next_ordinal),
            last_change: Set(counter.last_change),
            pruned_change: Set(counter.pruned_change),
            ..Default::default()
        })
        .filter(counter::Column::Id.eq(1))
        .exec(tx)
        .await
        .map(drop)
        .map_err(failed)
}

fn take_ordinal(counter: &mut counter::Model) -> Result<u32, Error> {
    let ordinal = number(counter.next_ordinal)?;
    if ordinal == NOBODY {
        return Err(Error::Internal("all ordinals were given away"));
    }
    counter.next_ordinal += 1;
    Ok(ordinal)
}

async fn known(
    tx: &DatabaseTransaction,
    entries: &[Entry],
) -> Result<HashMap<String, subject::Model>, Error> {
    let mut known = HashMap::with_capacity(entries.len());
    for some in entries.chunks(MANY) {
        let ids = some.iter().map(|entry| entry.subject_id.as_str());
        let query = subject::Entity::find().filter(subject::Column::SubjectId.is_in(ids));
        let rows = query.all(tx).await.map_err(failed)?;
        known.extend(rows.into_iter().map(|row| (row.subject_id.clone(), row)));
    }
    Ok(known)
}

async fn apply(
    tx: &DatabaseTransaction,
    plan: Plan,
    counter: &mut counter::Model,
    secret_version: u16,
    now: UnixMillis,
) -> Result<(), Error> {
    let held = keys_of(tx, &plan.before).await?;
    let gone = held.keys().filter(|key| !plan.wanted.contains_key(key)).copied();
    let gone: Vec<MatchKey> = gone.collect();
    let new = plan.wanted.iter().filter(|(key, ordinal)| held.get(key) != Some(ordinal));
    let new: Vec<(MatchKey, u32)> = new.map(|(key, ordinal)| (*key, *ordinal)).collect();

    for some in plan.leaving.chunks(MANY) {
        let leaving = subject::Column::Ordinal.is_in(some.iter().copied().map(i64::from));
        let delete = subject::Entity::delete_many().filter(leaving);
        delete.exec(tx).await.map_err(failed)?;
    }
    for some in gone.chunks(MANY) {
        let keys = some.iter().map(|key| key.as_bytes().to_vec());
        let delete =
            directory::Entity::delete_many().filter(directory::Column::MatchKey.is_in(keys));
        delete.exec(tx).await.map_err(failed)?;
    }
    insert_subjects(tx, plan.rows).await?;
    insert_keys(tx, &new, secret_version).await?;

    let gone = gone.into_iter().map(|key| (key, None));
    let new = new.into_iter().map(|(key, ordinal)| (key, Some(ordinal)));
    record_changes(tx, gone.chain(new), counter, now).await
}

async fn keys_of(
    tx: &DatabaseTransaction,
    ordinals: &[u32],
) -> Result<HashMap<MatchKey, u32>, Error> {
    let mut keys = HashMap::new();
    for some in ordinals.chunks(MANY) {
        let these = directory::Column::Ordinal.is_in(some.iter().copied().map(i64::from));
        let rows = directory::Entity::find().filter(these).all(tx).await.map_err(failed)?;
        for row in rows {
            keys.insert(key(&row.match_key)?, number(row.ordinal)?);
        }
    }
    Ok(keys)
}

async fn insert_subjects(
    tx: &DatabaseTransaction,
    rows: Vec<subject::ActiveModel>,
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    // At most a thousand: one registration message.
    let known = OnConflict::column(subject::Column::SubjectId)
        .update_columns([
            subject::Column::ValidUntil,
            subject::Column::Revision,
            subject::Column::RegisteredAt,
        ])
        .to_owned();
    let insert = subject::Entity::insert_many(rows).on_conflict(known);
    insert.exec_without_returning(tx).await.map(drop).map_err(failed)
}

async fn insert_keys(
    tx: &DatabaseTransaction,
    new: &[(MatchKey, u32)],
    version: u16,
) -> Result<(), Error> {
    for some in new.chunks(MANY) {
        let rows = some.iter().map(|(key, ordinal)| directory::ActiveModel {
            match_key: Set(key.as_bytes().to_vec()),
            ordinal: Set(i64::from(*ordinal)),
            secret_version: Set(i32::from(version)),
        });
        let moved = OnConflict::column(directory::Column::MatchKey)
            .update_columns([directory::Column::Ordinal, directory::Column::SecretVersion])
            .to_owned();
        let insert = directory::Entity::insert_many(rows).on_conflict(moved);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}

async fn record_changes(
    tx: &DatabaseTransaction,
    changes: impl Iterator<Item = (MatchKey, Option<u32>)>,
    counter: &mut counter::Model,
    now: UnixMillis,
) -> Result<(), Error> {
    let rows: Vec<change::ActiveModel> = changes
        .map(|(key, ordinal)| {
            counter.last_change += 1;
            change::ActiveModel {
                seq: Set(counter.last_change),
                match_key: Set(key.as_bytes().to_vec()),
                ordinal: Set(ordinal.map(i64::from)),
                recorded_at: Set(now.get()),
            }
        })
        .collect();
    for some in rows.chunks(MANY) {
        let insert = change::Entity::insert_many(some.iter().cloned());
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}
