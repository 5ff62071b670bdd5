//! Audiences of a business.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use service_kit::clock::UnixMillis;

use super::{
    MANY, columns, entity::audience as table, failed, list_changes, members, releases, uploads,
};
use crate::{
    domain::{Audience, BusinessScope, CustomerSource, Lifetime},
    error::Error,
};

/// Where a page of audiences goes on: after this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct After {
    pub(crate) created_at: UnixMillis,
    pub(crate) audience_id: String,
}

pub(crate) async fn find(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    audience_id: &str,
) -> Result<Audience, Error> {
    let id = (scope.business_id().to_owned(), audience_id.to_owned());
    let row = table::Entity::find_by_id(id).one(db).await.map_err(failed)?;
    read(row.ok_or(Error::AudienceUnknown)?)
}

/// As [`find`]; until the transaction ends nobody else changes the audience.
pub(crate) async fn lock(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
) -> Result<Audience, Error> {
    let id = (scope.business_id().to_owned(), audience_id.to_owned());
    let query = table::Entity::find_by_id(id).lock_exclusive();
    read(query.one(tx).await.map_err(failed)?.ok_or(Error::AudienceUnknown)?)
}

/// The business's audiences, newest first.
pub(crate) async fn page(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    after: Option<&After>,
    limit: u64,
) -> Result<Vec<Audience>, Error> {
    let older = after.map(|after| {
        let at = after.created_at.get();
        let same = Condition::all()
            .add(table::Column::CreatedAt.eq(at))
            .add(table::Column::AudienceId.gt(&*after.audience_id));
        Condition::any().add(table::Column::CreatedAt.lt(at)).add(same)
    });
    let rows = table::Entity::find()
        .filter(table::Column::BusinessId.eq(scope.business_id()))
        .filter(older.unwrap_or_else(Condition::all))
        .order_by_desc(table::Column::CreatedAt)
        .order_by_asc(table::Column::AudienceId)
        .limit(limit)
        .all(db)
        .await
        .map_err(failed)?;
    rows.into_iter().map(read).collect()
}

/// The versions of the business's own audiences among these.
pub(crate) async fn versions(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    audience_ids: &[&str],
) -> Result<BTreeMap<String, u64>, Error> {
    let mut versions = BTreeMap::new();
    for some in audience_ids.chunks(MANY) {
        let rows: Vec<(String, i64)> = table::Entity::find()
            .select_only()
            .columns([table::Column::AudienceId, table::Column::Version])
            .filter(table::Column::BusinessId.eq(scope.business_id()))
            .filter(table::Column::AudienceId.is_in(some.iter().copied()))
            .into_tuple()
            .all(db)
            .await
            .map_err(failed)?;
        for (id, version) in rows {
            versions.insert(id, columns::number(version)?);
        }
    }
    Ok(versions)
}

pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience: &Audience,
) -> Result<(), Error> {
    let insert = table::Entity::insert(row(scope, audience)?);
    insert.exec_without_returning(tx).await.map(drop).map_err(failed)
}

pub(crate) async fn save(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    audience: &Audience,
) -> Result<(), Error> {
    let update =
        table::Entity::update_many().set(row(scope, audience)?).filter(own(scope, audience));
    update.exec(db).await.map(drop).map_err(failed)
}

/// As [`save`], after its list was changed: another version, without the release of the one before.
pub(crate) async fn save_list(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    mut audience: Audience,
    chunks: &BTreeSet<u16>,
) -> Result<(), Error> {
    releases::drop_of_list(tx, scope, &audience).await?;
    audience.version += 1;
    save(tx, scope, &audience).await?;
    list_changes::record(tx, &audience.audience_id, chunks, audience.updated_at).await
}

/// An audience as it may be targeted.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) audience_id: String,
    pub(crate) business_id: String,
    pub(crate) targetable: bool,
}

/// All audiences, or one, of whatever business: for the memory of who is where, which shows
/// nothing to anybody.
pub(crate) async fn targets(
    db: &impl ConnectionTrait,
    audience_id: Option<&str>,
) -> Result<Vec<Target>, Error> {
    type Columns = (String, String, bool, Option<i64>, i64);
    let one = audience_id.map(|id| table::Column::AudienceId.eq(id));
    let rows: Vec<Columns> = table::Entity::find()
        .select_only()
        .columns([
            table::Column::AudienceId,
            table::Column::BusinessId,
            table::Column::Targetable,
            table::Column::SizedVersion,
            table::Column::Version,
        ])
        .filter(one.map_or_else(Condition::all, |one| Condition::all().add(one)))
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)?;
    let target = |(audience_id, business_id, targetable, sized, version): Columns| {
        // The release of an earlier list says nothing about this one.
        let targetable = targetable && sized == Some(version);
        Target { audience_id, business_id, targetable }
    };
    Ok(rows.into_iter().map(target).collect())
}

/// Keeps the release of an audience's size, if the audience is still at the version that was
/// counted.
pub(crate) async fn keep_size(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience: &Audience,
    now: UnixMillis,
) -> Result<(), Error> {
    let all = row(scope, audience)?;
    table::Entity::update_many()
        .set(table::ActiveModel {
            size: all.size,
            sized_version: all.sized_version,
            targetable: all.targetable,
            ..Default::default()
        })
        .filter(own(scope, audience))
        .filter(table::Column::Version.eq(columns::big(audience.version)))
        .exec(tx)
        .await
        .map_err(failed)?;
    list_changes::record(tx, &audience.audience_id, &BTreeSet::new(), now).await
}

/// Deletes an audience with its members, uploads and release.
pub(crate) async fn delete(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
    now: UnixMillis,
) -> Result<(), Error> {
    let audience = lock(tx, scope, audience_id).await?;
    members::clear(tx, scope, audience_id).await?;
    releases::drop_of_list(tx, scope, &audience).await?;
    uploads::drop_of_audience(tx, scope, audience_id).await?;
    let delete = table::Entity::delete_many().filter(own(scope, &audience));
    delete.exec(tx).await.map_err(failed)?;
    list_changes::record(tx, audience_id, &BTreeSet::new(), now).await
}

fn own(scope: &BusinessScope, audience: &Audience) -> Condition {
    Condition::all()
        .add(table::Column::BusinessId.eq(scope.business_id()))
        .add(table::Column::AudienceId.eq(&*audience.audience_id))
}

fn row(scope: &BusinessScope, audience: &Audience) -> Result<table::ActiveModel, Error> {
    let milliseconds = u64::try_from(audience.lifetime.get().as_millis()).unwrap_or(u64::MAX);
    Ok(table::ActiveModel {
        business_id: Set(scope.business_id().to_owned()),
        audience_id: Set(audience.audience_id.clone()),
        display_name: Set(audience.display_name.clone()),
        description: Set(audience.description.clone()),
        source: Set(match audience.source {
            CustomerSource::UserProvided => 1,
            CustomerSource::PartnerProvided => 2,
            CustomerSource::Both => 3,
        }),
        lifetime_ms: Set(columns::big(milliseconds)),
        version: Set(columns::big(audience.version)),
        rows_received: Set(columns::big(audience.last_upload.received)),
        rows_duplicate: Set(columns::big(audience.last_upload.duplicate)),
        rows_refused: Set(columns::refused(&audience.last_upload)),
        size: Set(audience.size.map(releases::write).transpose()?),
        sized_version: Set(audience.sized_version.map(columns::big)),
        targetable: Set(audience.targetable()),
        created_at: Set(audience.created_at.get()),
        updated_at: Set(audience.updated_at.get()),
    })
}

fn read(row: table::Model) -> Result<Audience, Error> {
    let lifetime = Duration::from_millis(columns::number(row.lifetime_ms)?);
    let unreadable = |_| Error::Internal("a stored lifetime is out of range");
    Ok(Audience {
        audience_id: row.audience_id,
        display_name: row.display_name,
        description: row.description,
        source: match row.source {
            1 => CustomerSource::UserProvided,
            2 => CustomerSource::PartnerProvided,
            3 => CustomerSource::Both,
            _ => return Err(Error::Internal("a stored customer source is unknown")),
        },
        lifetime: Lifetime::new(lifetime).map_err(unreadable)?,
        version: columns::number(row.version)?,
        last_upload: columns::counts(row.rows_received, row.rows_duplicate, &row.rows_refused)?,
        size: row.size.as_deref().map(releases::read).transpose()?,
        sized_version: row.sized_version.map(columns::number).transpose()?,
        created_at: UnixMillis::new(row.created_at),
        updated_at: UnixMillis::new(row.updated_at),
    })
}
