//! What people did: a bitmap of ordinals for each app and day, in rows of 65,536.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, OnConflict},
};
use service_kit::clock::UnixMillis;

use super::people::known;
use crate::{
    domain::Day,
    error::Error,
    store::{
        MANY,
        columns::number,
        entity::{
            usage_activity as table, usage_calendar as calendar_table, usage_day as app_day,
            usage_person as person,
        },
        failed,
        members::{chunk_of, chunked, read, write},
    },
};

/// Which days are closed and which have their figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    /// Days before this one take no more activity.
    pub(crate) closed_before: Day,
    /// The first day without figures.
    pub(crate) next_day: Day,
}

impl Calendar {
    fn of(row: Option<calendar_table::Model>) -> Result<Self, Error> {
        let row = row.ok_or(Error::Internal("usage has no calendar"))?;
        let closed_before = Day::stored(row.closed_before);
        Ok(Self { closed_before, next_day: Day::stored(row.next_day) })
    }
}

/// Has figures begin with `first`, unless they have begun.
pub(crate) async fn begin(db: &impl ConnectionTrait, first: Day) -> Result<(), Error> {
    let row = calendar_table::ActiveModel {
        id: Set(1),
        closed_before: Set(first.number()),
        next_day: Set(first.number()),
    };
    let first = OnConflict::column(calendar_table::Column::Id).do_nothing().to_owned();
    let insert = calendar_table::Entity::insert(row).on_conflict(first);
    insert.exec_without_returning(db).await.map(drop).map_err(failed)
}

/// How far the days are.
pub(crate) async fn calendar(db: &impl ConnectionTrait) -> Result<Calendar, Error> {
    Calendar::of(calendar_table::Entity::find_by_id(1).one(db).await.map_err(failed)?)
}

/// The same, and nobody else moves it until the transaction ends.
pub(super) async fn locked_calendar(tx: &DatabaseTransaction) -> Result<Calendar, Error> {
    let query = calendar_table::Entity::find_by_id(1).lock_exclusive();
    Calendar::of(query.one(tx).await.map_err(failed)?)
}

/// Closes a day: waits for those who add to it, and nobody does any more.
pub(crate) async fn close(tx: &DatabaseTransaction, day: Day) -> Result<(), Error> {
    if locked_calendar(tx).await?.closed_before > day {
        return Ok(());
    }
    let open = Expr::value(day.plus(1).number());
    let update = calendar_table::Entity::update_many()
        .col_expr(calendar_table::Column::ClosedBefore, open)
        .filter(calendar_table::Column::Id.eq(1));
    update.exec(tx).await.map(drop).map_err(failed)
}

/// Adds people who used an app on a day.
///
/// # Errors
/// The day is closed.
pub(crate) async fn add(
    tx: &DatabaseTransaction,
    app_id: &str,
    day: Day,
    people: &RoaringBitmap,
) -> Result<(), Error> {
    // Shared: whoever closes the day waits, others who add do not.
    let calendar = calendar_table::Entity::find_by_id(1).lock_shared();
    if Calendar::of(calendar.one(tx).await.map_err(failed)?)?.closed_before > day {
        return Err(Error::DayClosed);
    }
    // Only one at a time adds to the day of an app: bitmaps are read, changed and written.
    let row = app_day::ActiveModel { day: Set(day.number()), app_id: Set(app_id.to_owned()) };
    let columns = [app_day::Column::Day, app_day::Column::AppId];
    let lock = OnConflict::columns(columns).update_column(app_day::Column::Day).to_owned();
    let insert = app_day::Entity::insert(row).on_conflict(lock);
    insert.exec_without_returning(tx).await.map_err(failed)?;

    let chunks = chunked(people).map(|(chunk, people)| (i32::from(chunk), people));
    let mut chunks: BTreeMap<i32, RoaringBitmap> = chunks.collect();
    let rows = table::Entity::find()
        .filter(table::Column::Chunk.is_in(chunks.keys().copied()))
        .filter(table::Column::AppId.eq(app_id))
        .filter(table::Column::Day.eq(day.number()));
    for row in rows.all(tx).await.map_err(failed)? {
        let before = read(&row.people)?;
        if let Some(people) = chunks.get_mut(&row.chunk) {
            *people |= &before;
            if *people == before {
                chunks.remove(&row.chunk);
            }
        }
    }
    let row = |(chunk, people): (&i32, &RoaringBitmap)| {
        Ok(table::ActiveModel {
            chunk: Set(*chunk),
            app_id: Set(app_id.to_owned()),
            day: Set(day.number()),
            people: Set(write(people)?),
        })
    };
    let rows = chunks.iter().map(row).collect::<Result<Vec<_>, Error>>()?;
    for some in rows.chunks(MANY) {
        let columns = [table::Column::Chunk, table::Column::AppId, table::Column::Day];
        let more = OnConflict::columns(columns).update_column(table::Column::People).to_owned();
        let insert = table::Entity::insert_many(some.iter().cloned()).on_conflict(more);
        insert.exec_without_returning(tx).await.map_err(failed)?;
    }
    Ok(())
}

/// Who used an app on a day, of one chunk.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) app_id: String,
    pub(crate) day: Day,
    pub(crate) people: RoaringBitmap,
}

/// All activity from one day to another of the first chunk from `from` on that has any.
pub(crate) async fn next_chunk(
    db: &impl ConnectionTrait,
    from: i32,
    first: Day,
    last: Day,
) -> Result<Option<(i32, Vec<Active>)>, Error> {
    let chunk: Option<i32> = table::Entity::find()
        .select_only()
        .column(table::Column::Chunk)
        .filter(table::Column::Chunk.gte(from))
        .order_by_asc(table::Column::Chunk)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
        .map_err(failed)?;
    let Some(chunk) = chunk else { return Ok(None) };
    let rows = table::Entity::find()
        .filter(table::Column::Chunk.eq(chunk))
        .filter(table::Column::Day.between(first.number(), last.number()));
    let active = |row: table::Model| {
        let people = read(&row.people)?;
        Ok(Active { app_id: row.app_id, day: Day::stored(row.day), people })
    };
    let rows = rows.all(db).await.map_err(failed)?;
    let rows = rows.into_iter().map(active).collect::<Result<_, Error>>()?;
    Ok(Some((chunk, rows)))
}

/// The apps that a subject used and on which days, as far as both are kept.
pub(crate) async fn days_of(
    db: &impl ConnectionTrait,
    subject_id: &str,
) -> Result<Vec<(String, Day)>, Error> {
    let Some(held) = known(db, [subject_id]).await?.remove(subject_id) else {
        return Ok(Vec::new());
    };
    let rows = table::Entity::find()
        .filter(table::Column::Chunk.eq(i32::from(chunk_of(held.ordinal))))
        .order_by_asc(table::Column::AppId)
        .order_by_asc(table::Column::Day);
    let mut days = Vec::new();
    for row in rows.all(db).await.map_err(failed)? {
        if read(&row.people)?.contains(held.ordinal) {
            days.push((row.app_id, Day::stored(row.day)));
        }
    }
    Ok(days)
}

/// The ordinals of a chunk that somebody has who is counted now.
pub(crate) async fn live(
    db: &impl ConnectionTrait,
    chunk: i32,
    now: UnixMillis,
) -> Result<RoaringBitmap, Error> {
    let first = i64::from(chunk) << 16;
    let ordinals: Vec<i64> = person::Entity::find()
        .select_only()
        .column(person::Column::Ordinal)
        .filter(person::Column::Ordinal.between(first, first + 0xFFFF))
        .filter(person::Column::ValidUntil.gt(now.get()))
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)?;
    ordinals.into_iter().map(number::<u32>).collect()
}

/// Drops all activity of days before this one.
pub(crate) async fn forget_activity(db: &impl ConnectionTrait, before: Day) -> Result<(), Error> {
    let old = table::Column::Day.lt(before.number());
    table::Entity::delete_many().filter(old).exec(db).await.map_err(failed)?;
    let old = app_day::Column::Day.lt(before.number());
    app_day::Entity::delete_many().filter(old).exec(db).await.map(drop).map_err(failed)
}
