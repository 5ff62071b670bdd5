//! Who is in an audience: bitmaps of ordinals, 65,536 a row.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait as _, OnConflict},
};

use super::{
    MANY,
    entity::{audience, audience_member as table},
    failed,
};
use crate::{
    domain::{BusinessScope, MemberDay},
    error::Error,
};

/// Adds members who stay until `expires_on`.
pub(crate) async fn add(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    people: &RoaringBitmap,
    expires_on: MemberDay,
) -> Result<(), Error> {
    for (chunk, mut people) in chunked(people) {
        let id = (chunk, audience_id.to_owned(), expires_on);
        if let Some(row) = table::Entity::find_by_id(id).one(tx).await.map_err(failed)? {
            people |= read(&row.members)?;
        }
        let row = table::ActiveModel {
            chunk: Set(chunk),
            audience_id: Set(audience_id.to_owned()),
            expires_on: Set(expires_on),
            business_id: Set(scope.business_id().to_owned()),
            members: Set(write(&people)?),
        };
        let columns = [table::Column::Chunk, table::Column::AudienceId, table::Column::ExpiresOn];
        let more = OnConflict::columns(columns).update_column(table::Column::Members).to_owned();
        let insert = table::Entity::insert(row).on_conflict(more);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}

/// Removes members, whenever they were added.
pub(crate) async fn remove(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    people: &RoaringBitmap,
) -> Result<(), Error> {
    for (chunk, people) in chunked(people) {
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
    Ok(())
}

/// Removes all members.
pub(crate) async fn clear(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
) -> Result<(), Error> {
    let delete = table::Entity::delete_many().filter(list(scope, &[audience_id]));
    delete.exec(tx).await.map(drop).map_err(failed)
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

/// Which audiences are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// All.
    All,
    /// Those of one business.
    Business(&'a str),
    /// These.
    Audiences(&'a [String]),
}

/// The targetable audiences, as business and audience, that have this member today.
pub(crate) async fn targetable_with(
    db: &impl ConnectionTrait,
    ordinal: u32,
    asked: Asked<'_>,
    today: MemberDay,
) -> Result<Vec<(String, String)>, Error> {
    let mut query = table::Entity::find()
        .filter(table::Column::Chunk.eq(chunk_of(ordinal)))
        .filter(table::Column::ExpiresOn.gt(today));
    match asked {
        Asked::All => {}
        Asked::Business(business) => query = query.filter(table::Column::BusinessId.eq(business)),
        Asked::Audiences(ids) => {
            query = query.filter(table::Column::AudienceId.is_in(ids.iter().map(String::as_str)));
        }
    }
    let mut with = BTreeMap::new();
    for row in query.all(db).await.map_err(failed)? {
        if read(&row.members)?.contains(ordinal) {
            with.insert(row.audience_id, row.business_id);
        }
    }
    let targetable = targetable(db, with.keys().map(String::as_str).collect()).await?;
    with.retain(|audience, _| targetable.contains(audience));
    Ok(with.into_iter().map(|(audience, business)| (business, audience)).collect())
}

async fn targetable(
    db: &impl ConnectionTrait,
    audience_ids: Vec<&str>,
) -> Result<Vec<String>, Error> {
    let mut targetable = Vec::new();
    for some in audience_ids.chunks(MANY) {
        let ids: Vec<String> = audience::Entity::find()
            .select_only()
            .column(audience::Column::AudienceId)
            .filter(audience::Column::AudienceId.is_in(some.iter().copied()))
            .filter(audience::Column::Targetable.eq(true))
            // The release of an earlier list says nothing about this one.
            .filter(
                Expr::col(audience::Column::SizedVersion).eq(Expr::col(audience::Column::Version)),
            )
            .into_tuple()
            .all(db)
            .await
            .map_err(failed)?;
        targetable.extend(ids);
    }
    Ok(targetable)
}

fn list(scope: &BusinessScope, audience_ids: &[&str]) -> Condition {
    Condition::all()
        .add(table::Column::BusinessId.eq(scope.business_id()))
        .add(table::Column::AudienceId.is_in(audience_ids.iter().copied()))
}

/// The chunk of an ordinal: its upper 16 bits.
pub(super) fn chunk_of(ordinal: u32) -> i32 {
    // Sixteen bits fit.
    i32::try_from(ordinal >> 16).unwrap_or(i32::MAX)
}

pub(super) fn chunked(people: &RoaringBitmap) -> impl Iterator<Item = (i32, RoaringBitmap)> {
    let mut rest = people.iter().peekable();
    std::iter::from_fn(move || {
        let chunk = chunk_of(*rest.peek()?);
        let mut members = RoaringBitmap::new();
        while let Some(ordinal) = rest.next_if(|ordinal| chunk_of(*ordinal) == chunk) {
            members.insert(ordinal);
        }
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
