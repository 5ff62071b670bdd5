//! Reading the directory.

use identifiers::MatchKey;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use service_kit::clock::UnixMillis;

use super::{Changes, Position, keys};
use crate::{
    domain::{Agreed, Until},
    error::Error,
    store::{
        columns::number,
        entity::{
            directory_change as change, directory_counter as counter, directory_subject as subject,
        },
        failed,
    },
};

/// How many subjects are read at once when all are.
const PAGE: u64 = 10_000;

/// A subject as the directory has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Stands for the subject in lists.
    pub(crate) ordinal: u32,
    /// What it has agreed to, as last heard.
    pub(crate) agreed: Agreed,
    /// When its identifiers came.
    pub(crate) registered_at: UnixMillis,
}

/// A subject with its keys.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject_id: String,
    pub(crate) found: Found,
    /// The version of the secret that made the keys.
    pub(crate) secret_version: u16,
    pub(crate) keys: Vec<MatchKey>,
}

impl Stored {
    pub(super) fn of(row: subject::Model) -> Result<Self, Error> {
        let agreed = Agreed {
            transfer: Until::stored(row.valid_until),
            ads: Until::stored(row.ads_until),
            revision: number(row.revision)?,
        };
        let registered_at = UnixMillis::new(row.registered_at);
        Ok(Self {
            subject_id: row.subject_id,
            found: Found { ordinal: number(row.ordinal)?, agreed, registered_at },
            secret_version: number(row.secret_version.into())?,
            keys: keys(&row.match_keys)?,
        })
    }
}

/// A subject, whether or not its row still counts.
pub(crate) async fn find_subject(
    db: &impl ConnectionTrait,
    subject_id: &str,
) -> Result<Option<Stored>, Error> {
    let found = subject::Entity::find_by_id(subject_id).one(db).await.map_err(failed)?;
    found.map(Stored::of).transpose()
}

/// Some subjects whose rows do not count any more.
pub(crate) async fn expired(
    db: &impl ConnectionTrait,
    now: UnixMillis,
    limit: u64,
) -> Result<Vec<String>, Error> {
    subject::Entity::find()
        .select_only()
        .column(subject::Column::SubjectId)
        .filter(subject::Column::ValidUntil.lte(now.get()))
        .limit(limit)
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)
}

/// The last change.
pub(crate) async fn last_change(db: &impl ConnectionTrait) -> Result<Position, Error> {
    let counter = read_counter(db).await?;
    Position::stored(counter.last_change, &counter.last_mark)
}

/// Whether this change is one of this database's, as far as it can still be told.
pub(crate) async fn has(db: &impl ConnectionTrait, position: Position) -> Result<bool, Error> {
    if last_change(db).await? == position {
        return Ok(true);
    }
    let kept = change::Entity::find_by_id(position.seq)
        .select_only()
        .column(change::Column::Mark)
        .into_tuple::<Vec<u8>>()
        .one(db)
        .await
        .map_err(failed)?;
    Ok(kept.is_some_and(|mark| mark == position.mark))
}

/// The number of the last change that is not kept any more.
pub(crate) async fn pruned_change(db: &impl ConnectionTrait) -> Result<i64, Error> {
    Ok(read_counter(db).await?.pruned_change)
}

/// The largest ordinal that anybody may have had so far.
pub(crate) async fn last_ordinal(db: &impl ConnectionTrait) -> Result<u32, Error> {
    number((read_counter(db).await?.next_ordinal - 1).max(0))
}

pub(super) async fn read_counter(db: &impl ConnectionTrait) -> Result<counter::Model, Error> {
    let row = counter::Entity::find_by_id(1).one(db).await.map_err(failed)?;
    row.ok_or(Error::Internal("the directory has no counter"))
}

/// A page of the directory after a subject, in the order of their ids.
pub(crate) async fn page_of(
    db: &impl ConnectionTrait,
    after: &str,
    limit: u64,
) -> Result<Vec<Stored>, Error> {
    let rows = subject::Entity::find()
        .filter(subject::Column::SubjectId.gt(after))
        .order_by_asc(subject::Column::SubjectId)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    rows.into_iter().map(Stored::of).collect()
}

/// Reads everybody. What changes meanwhile may be in it or not: changes after the one given back
/// must be applied.
pub(crate) async fn load(
    db: &impl ConnectionTrait,
    mut each: impl FnMut(&[Stored]),
) -> Result<Position, Error> {
    let position = last_change(db).await?;
    let mut after = String::new();
    loop {
        let page = page_of(db, &after, PAGE).await?;
        each(&page);
        match page.into_iter().next_back() {
            Some(last) => after = last.subject_id,
            None => return Ok(position),
        }
    }
}

/// What changed after a position.
#[derive(Debug)]
pub(crate) enum Tail {
    /// These, in order, up to this position; nothing when there is no more.
    Changes(Vec<Changes>, Position),
    /// Some are not kept any more: load everything.
    Gone,
}

/// Reads the changes of up to `limit` transactions after a position.
pub(crate) async fn changes_after(
    db: &impl ConnectionTrait,
    position: Position,
    limit: u64,
) -> Result<Tail, Error> {
    let rows = change::Entity::find()
        .filter(change::Column::Seq.gt(position.seq))
        .order_by_asc(change::Column::Seq)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    // Asked after the changes were read: what was pruned before that is known by now.
    if read_counter(db).await?.pruned_change > position.seq {
        return Ok(Tail::Gone);
    }
    let last = rows.last().map(|row| Position::stored(row.seq, &row.mark));
    let reached = last.unwrap_or(Ok(position))?;
    let changes = rows.iter().map(|row| Changes::read(&row.changes));
    Ok(Tail::Changes(changes.collect::<Result<_, Error>>()?, reached))
}
