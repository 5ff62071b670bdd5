//! Reading the directory.

use identifiers::MatchKey;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use service_kit::clock::UnixMillis;

use super::key;
use crate::{
    error::Error,
    index::Change,
    store::{
        MANY,
        columns::number,
        entity::{
            directory_change as change, directory_counter as counter, directory_key as directory,
            directory_subject as subject,
        },
        failed,
    },
};

/// How many keys are read at once when an index is loaded.
const PAGE: u64 = 50_000;

/// A subject as the directory has it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Whose.
    pub(crate) subject_id: String,
    /// Stands for the subject in lists.
    pub(crate) ordinal: u32,
    /// Until when the consent holds that was there at the registration.
    valid_until: Option<i64>,
}

impl Found {
    fn of(row: subject::Model) -> Result<Self, Error> {
        let ordinal = number(row.ordinal)?;
        Ok(Self { subject_id: row.subject_id, ordinal, valid_until: row.valid_until })
    }

    /// Whether the row still counts. One that does not is as good as gone.
    pub(crate) fn counts_at(&self, now: UnixMillis) -> bool {
        self.valid_until.is_none_or(|until| now.get() < until)
    }
}

/// A subject, whether or not its row still counts.
pub(crate) async fn find_subject(
    db: &impl ConnectionTrait,
    subject_id: &str,
) -> Result<Option<Found>, Error> {
    let found = subject::Entity::find_by_id(subject_id).one(db).await.map_err(failed)?;
    found.map(Found::of).transpose()
}

/// Whether any of these subjects has a row, whether or not it still counts.
pub(crate) async fn has_any(
    db: &impl ConnectionTrait,
    subject_ids: &[&str],
) -> Result<bool, Error> {
    for some in subject_ids.chunks(MANY) {
        let these = some.iter().copied();
        let query = subject::Entity::find().filter(subject::Column::SubjectId.is_in(these));
        if query.one(db).await.map_err(failed)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of the ordinals that have a holder, whether or not the row still counts.
pub(crate) async fn subjects(
    db: &impl ConnectionTrait,
    ordinals: &[u32],
) -> Result<Vec<Found>, Error> {
    let mut found = Vec::with_capacity(ordinals.len());
    for some in ordinals.chunks(MANY) {
        let these = some.iter().copied().map(i64::from);
        let query = subject::Entity::find().filter(subject::Column::Ordinal.is_in(these));
        for row in query.all(db).await.map_err(failed)? {
            found.push(Found::of(row)?);
        }
    }
    Ok(found)
}

/// Some ordinals whose rows do not count any more.
pub(crate) async fn expired(
    db: &impl ConnectionTrait,
    now: UnixMillis,
    limit: u64,
) -> Result<Vec<u32>, Error> {
    let rows: Vec<i64> = subject::Entity::find()
        .select_only()
        .column(subject::Column::Ordinal)
        .filter(subject::Column::ValidUntil.lte(now.get()))
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)?;
    rows.into_iter().map(number).collect()
}

/// The number of the last change.
pub(crate) async fn last_change(db: &impl ConnectionTrait) -> Result<i64, Error> {
    Ok(read_counter(db).await?.last_change)
}

pub(super) async fn read_counter(db: &impl ConnectionTrait) -> Result<counter::Model, Error> {
    let row = counter::Entity::find_by_id(1).one(db).await.map_err(failed)?;
    row.ok_or(Error::Internal("the directory has no counter"))
}

/// Reads every key. What changes meanwhile may be in it or not: changes after the number given
/// back must be applied.
pub(crate) async fn load(
    db: &impl ConnectionTrait,
    mut each: impl FnMut(MatchKey, u32),
) -> Result<i64, Error> {
    let position = last_change(db).await?;
    let mut after = Vec::new();
    loop {
        let page: Vec<(Vec<u8>, i64)> = directory::Entity::find()
            .select_only()
            .columns([directory::Column::MatchKey, directory::Column::Ordinal])
            .filter(directory::Column::MatchKey.gt(after))
            .order_by_asc(directory::Column::MatchKey)
            .limit(PAGE)
            .into_tuple()
            .all(db)
            .await
            .map_err(failed)?;
        for (stored, ordinal) in &page {
            each(key(stored)?, number(*ordinal)?);
        }
        match page.into_iter().next_back() {
            Some((last, _)) => after = last,
            None => return Ok(position),
        }
    }
}

/// What changed after a position.
#[derive(Debug)]
pub(crate) enum Tail {
    /// These, in order, up to this position; nothing when there is no more.
    Changes(Vec<Change>, i64),
    /// Some are not kept any more: load everything.
    Gone,
}

/// Reads up to `limit` changes after a position.
pub(crate) async fn changes_after(
    db: &impl ConnectionTrait,
    position: i64,
    limit: u64,
) -> Result<Tail, Error> {
    let rows = change::Entity::find()
        .filter(change::Column::Seq.gt(position))
        .order_by_asc(change::Column::Seq)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    // Asked after the changes were read: what was pruned before that is known by now.
    if read_counter(db).await?.pruned_change > position {
        return Ok(Tail::Gone);
    }
    let reached = rows.last().map_or(position, |row| row.seq);
    let changes = rows.iter().map(|row| {
        let ordinal = row.ordinal.map(number).transpose()?;
        Ok(Change { key: key(&row.match_key)?, ordinal })
    });
    Ok(Tail::Changes(changes.collect::<Result<_, Error>>()?, reached))
}
