//! Who is in an audience: bitmaps of ordinals, 65,536 a row.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{OnConflict, SimpleExpr},
};

use super::{entity::audience_member as table, failed};
use crate::{
    domain::{BusinessScope, MemberDay},
    error::Error,
};

/// How many rows are read or written at once: of at most 8 KB each.
const SOME: usize = 64;

/// How many chunks are read and written together. A list is read, and written, in every span that
/// the directory has, whoever is in it: the number of statements tells nothing about who matched.
const SPAN: u16 = 32;

/// The first chunks of all spans of a directory.
pub(crate) fn spans(last_ordinal: u32) -> impl Iterator<Item = u16> {
    (0..=chunk_of(last_ordinal)).step_by(SPAN.into())
}

/// Adds members who stay until `expires_on`; gives the chunks that they are in. The directory has
/// ordinals up to `last_ordinal`.
pub(crate) async fn add(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    people: &RoaringBitmap,
    today: MemberDay,
    expires_on: MemberDay,
    last_ordinal: u32,
) -> Result<BTreeSet<u16>, Error> {
    let row = |chunk, listed_on, members: &RoaringBitmap| {
        row(scope, audience_id, chunk, expires_on, listed_on, members)
    };
    let mut chunks = BTreeSet::new();
    let people = in_spans(people, last_ordinal);
    for (span, people) in people {
        let same_day = list(scope, &[audience_id])
            .add(table::Column::ExpiresOn.eq(expires_on))
            .add(within(span));
        let before = table::Entity::find().filter(same_day).all(tx).await.map_err(failed)?;
        let mut rows = Vec::new();
        for (chunk, mut people) in or_nobody(people, span) {
            if !people.is_empty() {
                chunks.insert(chunk);
            }
            let mut listed_on = today;
            if let Some(before) = before.iter().find(|row| row.chunk == i32::from(chunk)) {
                people |= read(&before.members)?;
                listed_on = listed_on.min(before.listed_on);
            }
            rows.push(row(chunk.into(), listed_on, &people)?);
        }
        put(tx, rows).await?;
    }
    Ok(chunks)
}

/// Removes members, whenever they were added; gives the chunks that they were in. What is added
/// today stays until `expires_on`, and the directory has ordinals up to `last_ordinal`.
pub(crate) async fn remove(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    people: &RoaringBitmap,
    today: MemberDay,
    expires_on: MemberDay,
    last_ordinal: u32,
) -> Result<BTreeSet<u16>, Error> {
    let row = |chunk, expires_on, listed_on, members: &RoaringBitmap| {
        row(scope, audience_id, chunk, expires_on, listed_on, members)
    };
    let mut chunks = BTreeSet::new();
    let people = in_spans(people, last_ordinal);
    for (span, people) in people {
        let all = list(scope, &[audience_id]).add(within(span));
        let before = table::Entity::find().filter(all).all(tx).await.map_err(failed)?;
        let mut rows = Vec::new();
        for (chunk, people) in people {
            chunks.insert(chunk);
            for before in before.iter().filter(|row| row.chunk == i32::from(chunk)) {
                let left = read(&before.members)? - &people;
                rows.push(row(before.chunk, before.expires_on, before.listed_on, &left)?);
            }
        }
        if rows.is_empty() {
            // As it is: where nobody is to be removed, something is written too.
            let first = i32::from(span);
            let same = before.iter().find(|row| (row.chunk, row.expires_on) == (first, expires_on));
            let members = same.map_or(Ok(RoaringBitmap::new()), |row| read(&row.members))?;
            let listed_on = same.map_or(today, |row| row.listed_on);
            rows.push(row(first, expires_on, listed_on, &members)?);
        }
        put(tx, rows).await?;
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

/// The members of these audiences in a span, by chunk.
pub(crate) async fn of_span(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    audience_ids: &[&str],
    span: u16,
    today: MemberDay,
) -> Result<BTreeMap<i32, BTreeMap<String, RoaringBitmap>>, Error> {
    let current =
        list(scope, audience_ids).add(table::Column::ExpiresOn.gt(today)).add(within(span));
    let mut chunks: BTreeMap<i32, BTreeMap<String, RoaringBitmap>> = BTreeMap::new();
    for row in table::Entity::find().filter(current).all(db).await.map_err(failed)? {
        let members = chunks.entry(row.chunk).or_default();
        *members.entry(row.audience_id).or_default() |= read(&row.members)?;
    }
    Ok(chunks)
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

fn row(
    scope: &BusinessScope,
    audience_id: &str,
    chunk: i32,
    expires_on: MemberDay,
    listed_on: MemberDay,
    members: &RoaringBitmap,
) -> Result<table::ActiveModel, Error> {
    Ok(table::ActiveModel {
        chunk: Set(chunk),
        audience_id: Set(audience_id.to_owned()),
        expires_on: Set(expires_on),
        business_id: Set(scope.business_id().to_owned()),
        listed_on: Set(listed_on),
        members: Set(write(members)?),
    })
}

/// Writes rows in the place of those that stood there.
async fn put(tx: &DatabaseTransaction, rows: Vec<table::ActiveModel>) -> Result<(), Error> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let columns = [table::Column::Chunk, table::Column::AudienceId, table::Column::ExpiresOn];
        let again = OnConflict::columns(columns)
            .update_columns([table::Column::ListedOn, table::Column::Members])
            .to_owned();
        let insert = table::Entity::insert_many(rows.by_ref().take(SOME)).on_conflict(again);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}

/// People by chunk, in every span of the directory.
fn in_spans(
    people: &RoaringBitmap,
    last_ordinal: u32,
) -> impl Iterator<Item = (u16, Vec<(u16, RoaringBitmap)>)> {
    // Whoever is in a list is in the directory, or was: nobody is left over.
    let last = last_ordinal.max(people.max().unwrap_or(0));
    let mut chunks = chunked(people).peekable();
    spans(last).map(move |span| {
        let here = |(chunk, _): &(u16, RoaringBitmap)| chunk - span < SPAN;
        (span, std::iter::from_fn(|| chunks.next_if(here)).collect())
    })
}

/// The same, or nobody in the span's first chunk: there is something to write always.
fn or_nobody(mut people: Vec<(u16, RoaringBitmap)>, span: u16) -> Vec<(u16, RoaringBitmap)> {
    if people.is_empty() {
        people.push((span, RoaringBitmap::new()));
    }
    people
}

fn within(span: u16) -> SimpleExpr {
    let first = i32::from(span);
    table::Column::Chunk.between(first, first + i32::from(SPAN) - 1)
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
