//! Who is in an audience: bitmaps of ordinals, 65,536 a row.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect, sea_query::OnConflict,
};

use super::{entity::audience_member as table, failed};
use crate::{
    domain::{BusinessScope, MemberDay},
    error::Error,
};

/// How many rows are written at once: of at most 8 KB each.
const SOME: usize = 64;

/// Adds members who stay until `expires_on`; gives the chunks that they are in.
pub(crate) async fn add(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    people: &RoaringBitmap,
    today: MemberDay,
    expires_on: MemberDay,
) -> Result<BTreeSet<u16>, Error> {
    let same_day = list(scope, &[audience_id]).add(table::Column::ExpiresOn.eq(expires_on));
    let before = table::Entity::find().filter(same_day).all(tx).await.map_err(failed)?;
    let before: BTreeMap<i32, table::Model> =
        before.into_iter().map(|row| (row.chunk, row)).collect();
    let (mut chunks, mut rows) = (BTreeSet::new(), Vec::new());
    for (chunk, mut people) in chunked(people) {
        chunks.insert(chunk);
        let (chunk, mut listed_on) = (i32::from(chunk), today);
        if let Some(row) = before.get(&chunk) {
            people |= read(&row.members)?;
            listed_on = listed_on.min(row.listed_on);
        }
        rows.push(table::ActiveModel {
            chunk: Set(chunk),
            audience_id: Set(audience_id.to_owned()),
            expires_on: Set(expires_on),
            business_id: Set(scope.business_id().to_owned()),
            listed_on: Set(listed_on),
            members: Set(write(&people)?),
        });
    }
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let columns = [table::Column::Chunk, table::Column::AudienceId, table::Column::ExpiresOn];
        let more = OnConflict::columns(columns)
            .update_columns([table::Column::ListedOn, table::Column::Members])
            .to_owned();
        let insert = table::Entity::insert_many(rows.by_ref().take(SOME)).on_conflict(more);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(chunks)
}

/// Removes members, whenever they were added; gives the chunks that they were in.
pub(crate) async fn remove(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    people: &RoaringBitmap,
) -> Result<BTreeSet<u16>, Error> {
    let mut chunks = BTreeSet::new();
    for (chunk, people) in chunked(people) {
        chunks.insert(chunk);
        let chunk = i32::from(chunk);
        let query = table::Entity::find()
            .filter(list(scope, &[audience_id]))
            .filter(table::Column::Chunk.eq(chunk));
        for row in query.all(tx).await.map_err(failed)? {
            let left = read(&row.members)? - &people;
            let this = Condition::all()
                .add(table::Column::Chunk.eq(chunk))
                .add(table::Column::AudienceId.eq(audience_id))
                .add(table::Column::ExpiresOn.eq(row.expires_on));
            if left.is_empty() {
                table::Entity::delete_many().filter(this).exec(tx).await.map_err(failed)?;
                continue;
            }
            let members = Set(write(&left)?);
            let left = table::ActiveModel { members, ..Default::default() };
            let update = table::Entity::update_many().set(left).filter(this);
            update.exec(tx).await.map_err(failed)?;
        }
    }
    Ok(chunks)
}

/// Removes all members; gives the chunks that they were in.
pub(crate) async fn clear(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
) -> Result<BTreeSet<u16>, Error> {
    let all = list(scope, &[audience_id]);
    let chunks: Vec<i32> = table::Entity::find()
        .select_only()
        .column(table::Column::Chunk)
        .distinct()
        .filter(all.clone())
        .into_tuple()
        .all(tx)
        .await
        .map_err(failed)?;
    table::Entity::delete_many().filter(all).exec(tx).await.map_err(failed)?;
    chunks.into_iter().map(chunk_number).collect()
}

/// Drops rows whose memberships have ended.
pub(crate) async fn drop_ended(db: &impl ConnectionTrait, today: MemberDay) -> Result<u64, Error> {
    let delete = table::Entity::delete_many().filter(table::Column::ExpiresOn.lte(today));
    delete.exec(db).await.map(|done| done.rows_affected).map_err(failed)
}

/// The members of these audiences in the first chunk from `from` on in which any has members.
pub(crate) async fn next_chunk(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    audience_ids: &[&str],
    from: i32,
    today: MemberDay,
) -> Result<Option<(i32, BTreeMap<String, RoaringBitmap>)>, Error> {
    let current = list(scope, audience_ids).add(table::Column::ExpiresOn.gt(today));
    let first: Option<i32> = table::Entity::find()
        .select_only()
        .column(table::Column::Chunk)
        .filter(current.clone())
        .filter(table::Column::Chunk.gte(from))
        .order_by_asc(table::Column::Chunk)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
        .map_err(failed)?;
    let Some(chunk) = first else { return Ok(None) };
    let query = table::Entity::find().filter(current).filter(table::Column::Chunk.eq(chunk));
    let mut members: BTreeMap<String, RoaringBitmap> = BTreeMap::new();
    for row in query.all(db).await.map_err(failed)? {
        *members.entry(row.audience_id).or_default() |= read(&row.members)?;
    }
    Ok(Some((chunk, members)))
}

/// The members of an audience in one chunk who leave on one day.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) audience_id: String,
    pub(crate) expires_on: MemberDay,
    pub(crate) members: RoaringBitmap,
}

impl Row {
    fn of(row: table::Model) -> Result<Self, Error> {
        let table::Model { audience_id, expires_on, members, .. } = row;
        Ok(Self { audience_id, expires_on, members: read(&members)? })
    }
}

/// All rows of the first chunk from `from` on that has any, of whatever business: for the memory
/// of who is where, which shows nothing to anybody.
pub(crate) async fn whole_chunk(
    db: &impl ConnectionTrait,
    from: i32,
) -> Result<Option<(u16, Vec<Row>)>, Error> {
    let first = table::Entity::find()
        .select_only()
        .column(table::Column::Chunk)
        .filter(table::Column::Chunk.gte(from))
        .order_by_asc(table::Column::Chunk)
        .limit(1);
    let first: Option<i32> = first.into_tuple().one(db).await.map_err(failed)?;
    let Some(chunk) = first else { return Ok(None) };
    let query = table::Entity::find().filter(table::Column::Chunk.eq(chunk));
    let rows = query.all(db).await.map_err(failed)?;
    let rows = rows.into_iter().map(Row::of).collect::<Result<_, _>>()?;
    Ok(Some((chunk_number(chunk)?, rows)))
}

/// The rows of one audience in these chunks; as [`whole_chunk`].
pub(crate) async fn of_chunks(
    db: &impl ConnectionTrait,
    audience_id: &str,
    chunks: &BTreeSet<u16>,
) -> Result<BTreeMap<u16, Vec<Row>>, Error> {
    let mut found: BTreeMap<u16, Vec<Row>> =
        chunks.iter().map(|chunk| (*chunk, Vec::new())).collect();
    let all: Vec<u16> = chunks.iter().copied().collect();
    for some in all.chunks(SOME) {
        let query = table::Entity::find()
            .filter(table::Column::Chunk.is_in(some.iter().copied().map(i32::from)))
            .filter(table::Column::AudienceId.eq(audience_id));
        for row in query.all(db).await.map_err(failed)? {
            found.entry(chunk_number(row.chunk)?).or_default().push(Row::of(row)?);
        }
    }
    Ok(found)
}

/// Since when a person is in lists of each business, by the day of the earliest upload that still
/// counts.
pub(crate) async fn listed_since(
    db: &impl ConnectionTrait,
    ordinal: u32,
    audience_ids: &[String],
    today: MemberDay,
) -> Result<BTreeMap<String, MemberDay>, Error> {
    let mut since = BTreeMap::new();
    for some in audience_ids.chunks(SOME) {
        let query = table::Entity::find()
            .filter(table::Column::Chunk.eq(i32::from(chunk_of(ordinal))))
            .filter(table::Column::AudienceId.is_in(some.iter().map(String::as_str)))
            .filter(table::Column::ExpiresOn.gt(today));
        for row in query.all(db).await.map_err(failed)? {
            if read(&row.members)?.contains(ordinal) {
                let day = since.entry(row.business_id).or_insert(row.listed_on);
                *day = row.listed_on.min(*day);
            }
        }
    }
    Ok(since)
}

fn list(scope: &BusinessScope, audience_ids: &[&str]) -> Condition {
    Condition::all()
        .add(table::Column::BusinessId.eq(scope.business_id()))
        .add(table::Column::AudienceId.is_in(audience_ids.iter().copied()))
}

/// The chunk of an ordinal: its upper 16 bits.
pub(super) const fn chunk_of(ordinal: u32) -> u16 {
    let [high, low, ..] = ordinal.to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn chunk_number(stored: i32) -> Result<u16, Error> {
    u16::try_from(stored).map_err(|_| Error::Internal("a stored chunk is out of range"))
}

pub(super) fn chunked(people: &RoaringBitmap) -> impl Iterator<Item = (u16, RoaringBitmap)> {
    let mut rest = people.iter().peekable();
    std::iter::from_fn(move || {
        let chunk = chunk_of(*rest.peek()?);
        let same = |ordinal: &u32| chunk_of(*ordinal) == chunk;
        let mut members = RoaringBitmap::new();
        members.extend(std::iter::from_fn(|| rest.next_if(same)));
        Some((chunk, members))
    })
}

pub(super) fn write(members: &RoaringBitmap) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(members.serialized_size());
    let written = members.serialize_into(&mut bytes);
    written.map(|()| bytes).map_err(|_| Error::Internal("a bitmap cannot be written"))
}

pub(super) fn read(bytes: &[u8]) -> Result<RoaringBitmap, Error> {
    RoaringBitmap::deserialize_from(bytes)
        .map_err(|_| Error::Internal("a stored bitmap cannot be read"))
}
