//! Uploads and their batches.

use identifiers::{Profile, Region};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use service_kit::clock::UnixMillis;

use super::{
    columns,
    entity::{upload as table, upload_batch as batch},
    failed,
};
use crate::{
    domain::{BatchReport, Batches, BusinessScope, Reading, Upload, UploadMode, UploadState},
    error::Error,
    seal::Sealed,
};

/// How many batches' members are in memory at once when an upload is applied: 40 KB each.
const PAGE: u64 = 64;

/// A batch, ready to be stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredBatch {
    /// Its number in the upload.
    pub(crate) number: u32,
    /// Keyed digest of what it was made from.
    pub(crate) content: Sealed,
    /// What is answered.
    pub(crate) report: BatchReport,
    /// Its record of members.
    pub(crate) members: Vec<u8>,
}

pub(crate) async fn insert(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload: &Upload,
    reading: Reading,
) -> Result<(), Error> {
    let mut row = row(scope, upload);
    row.profile = Set(reading.profile.name().to_owned());
    row.default_region = Set(reading.default_region.map(|region| region.to_string()));
    let insert = table::Entity::insert(row);
    insert.exec_without_returning(tx).await.map(drop).map_err(failed)
}

pub(crate) async fn find(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    upload_id: &str,
) -> Result<(Upload, Reading), Error> {
    let query = table::Entity::find().filter(own(scope, upload_id));
    let row = query.one(db).await.map_err(failed)?;
    read(row.ok_or(Error::UploadUnknown)?)
}

/// As [`find`]; until the transaction ends nobody else changes the upload.
pub(crate) async fn lock(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload_id: &str,
) -> Result<Upload, Error> {
    let query = table::Entity::find().filter(own(scope, upload_id)).lock_exclusive();
    let row = query.one(tx).await.map_err(failed)?;
    read(row.ok_or(Error::UploadUnknown)?).map(|(upload, _)| upload)
}

pub(crate) async fn save(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload: &Upload,
) -> Result<(), Error> {
    let update =
        table::Entity::update_many().set(row(scope, upload)).filter(own(scope, &upload.upload_id));
    update.exec(tx).await.map(drop).map_err(failed)
}

/// When the business's open uploads end, of at most `limit` of them, the earliest first.
pub(crate) async fn open_until(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    now: UnixMillis,
    limit: u64,
) -> Result<Vec<UnixMillis>, Error> {
    let ends: Vec<i64> = table::Entity::find()
        .select_only()
        .column(table::Column::ExpiresAt)
        .filter(table::Column::BusinessId.eq(scope.business_id()))
        .filter(table::Column::State.eq(state_code(UploadState::Open)))
        .filter(table::Column::ExpiresAt.gt(now.get()))
        .order_by_asc(table::Column::ExpiresAt)
        .limit(limit)
        .into_tuple()
        .all(tx)
        .await
        .map_err(failed)?;
    Ok(ends.into_iter().map(UnixMillis::new).collect())
}

/// What a batch was made from, by its keyed digest, and what was answered.
pub(crate) async fn find_batch(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload_id: &str,
    number: u32,
) -> Result<Option<(Vec<u8>, BatchReport)>, Error> {
    type Columns = (Vec<u8>, i64, i64, Vec<u8>, Vec<u8>);
    let known: Option<Columns> = batch::Entity::find()
        .select_only()
        .columns([
            batch::Column::Content,
            batch::Column::RowsReceived,
            batch::Column::RowsDuplicate,
            batch::Column::RowsRefused,
            batch::Column::Rejections,
        ])
        .filter(batches(scope, upload_id))
        .filter(batch::Column::BatchNumber.eq(i64::from(number)))
        .into_tuple()
        .one(tx)
        .await
        .map_err(failed)?;
    let Some((content, received, duplicate, refused, rejections)) = known else { return Ok(None) };
    let counts = columns::counts(received, duplicate, &refused)?;
    let rejections = columns::rejections_from(&rejections)?;
    Ok(Some((content, BatchReport { counts, rejections })))
}

pub(crate) async fn insert_batch(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload_id: &str,
    stored: &StoredBatch,
) -> Result<(), Error> {
    let counts = &stored.report.counts;
    let row = batch::ActiveModel {
        business_id: Set(scope.business_id().to_owned()),
        upload_id: Set(upload_id.to_owned()),
        batch_number: Set(i64::from(stored.number)),
        content: Set(stored.content.kept()),
        rows_received: Set(columns::big(counts.received)),
        rows_duplicate: Set(columns::big(counts.duplicate)),
        rows_refused: Set(columns::refused(counts)),
        rejections: Set(columns::rejections(&stored.report)),
        members: Set(stored.members.clone()),
    };
    batch::Entity::insert(row).exec_without_returning(tx).await.map(drop).map_err(failed)
}

/// The numbers of an upload's batches, ascending.
pub(crate) async fn batch_numbers(
    db: &impl ConnectionTrait,
    scope: &BusinessScope,
    upload_id: &str,
) -> Result<Vec<u32>, Error> {
    let numbers: Vec<i64> = batch::Entity::find()
        .select_only()
        .column(batch::Column::BatchNumber)
        .filter(batches(scope, upload_id))
        .order_by_asc(batch::Column::BatchNumber)
        .into_tuple()
        .all(db)
        .await
        .map_err(failed)?;
    numbers.into_iter().map(columns::number).collect()
}

/// Gives each batch's record of members to `each`, a few in memory at once.
pub(crate) async fn each_record(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload_id: &str,
    mut each: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = -1;
    loop {
        let page: Vec<(i64, Vec<u8>)> = batch::Entity::find()
            .select_only()
            .columns([batch::Column::BatchNumber, batch::Column::Members])
            .filter(batches(scope, upload_id))
            .filter(batch::Column::BatchNumber.gt(after))
            .order_by_asc(batch::Column::BatchNumber)
            .limit(PAGE)
            .into_tuple()
            .all(tx)
            .await
            .map_err(failed)?;
        for (_, members) in &page {
            each(members)?;
        }
        match page.last() {
            Some((last, _)) => after = *last,
            None => return Ok(()),
        }
    }
}

/// Drops the batches of an upload that has ended.
pub(crate) async fn drop_batches(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    upload_id: &str,
) -> Result<(), Error> {
    let delete = batch::Entity::delete_many().filter(batches(scope, upload_id));
    delete.exec(tx).await.map(drop).map_err(failed)
}

/// Drops the uploads to an audience, with their batches.
pub(crate) async fn drop_of_audience(
    tx: &DatabaseTransaction,
    scope: &BusinessScope,
    audience_id: &str,
) -> Result<(), Error> {
    let these = Condition::all()
        .add(table::Column::BusinessId.eq(scope.business_id()))
        .add(table::Column::AudienceId.eq(audience_id));
    let uploads = table::Entity::find().filter(these.clone()).all(tx).await.map_err(failed)?;
    for upload in &uploads {
        drop_batches(tx, scope, &upload.upload_id).await?;
    }
    table::Entity::delete_many().filter(these).exec(tx).await.map(drop).map_err(failed)
}

/// Drops up to `limit` batches of an upload, of whatever business, to which nothing came for too
/// long, and ends it when none is left. Until then it counts as ended by the clock. Gives whether
/// there may be more. Like [`forget`] without a business: it shows nothing to anybody.
pub(crate) async fn expire(
    tx: &DatabaseTransaction,
    now: UnixMillis,
    limit: u64,
) -> Result<bool, Error> {
    let late = table::Entity::find()
        .filter(table::Column::State.eq(state_code(UploadState::Open)))
        .filter(table::Column::ExpiresAt.lte(now.get()))
        .order_by_asc(table::Column::ExpiresAt)
        .lock_exclusive();
    let Some(upload) = late.one(tx).await.map_err(failed)? else { return Ok(false) };
    let batches = Condition::all()
        .add(batch::Column::BusinessId.eq(&*upload.business_id))
        .add(batch::Column::UploadId.eq(&*upload.upload_id));
    // The number of the last batch of this portion, if there is a whole one.
    let last: Option<i64> = batch::Entity::find()
        .select_only()
        .column(batch::Column::BatchNumber)
        .filter(batches.clone())
        .order_by_asc(batch::Column::BatchNumber)
        .offset(limit.saturating_sub(1))
        .into_tuple()
        .one(tx)
        .await
        .map_err(failed)?;
    let portion = last.map(|last| batch::Column::BatchNumber.lte(last));
    let portion = portion.map_or(batches.clone(), |portion| batches.add(portion));
    batch::Entity::delete_many().filter(portion).exec(tx).await.map_err(failed)?;
    if last.is_none() {
        let ended = Set(state_code(UploadState::Expired));
        table::Entity::update_many()
            .set(table::ActiveModel { state: ended, ..Default::default() })
            .filter(table::Column::BusinessId.eq(&*upload.business_id))
            .filter(table::Column::UploadId.eq(&*upload.upload_id))
            .exec(tx)
            .await
            .map_err(failed)?;
    }
    Ok(true)
}

/// Forgets uploads, of whatever business, that have ended, and would have ended by themselves
/// before `before`. Their batches are gone already.
pub(crate) async fn forget(db: &impl ConnectionTrait, before: UnixMillis) -> Result<u64, Error> {
    let ended = [UploadState::Committed, UploadState::Aborted, UploadState::Expired];
    table::Entity::delete_many()
        .filter(table::Column::State.is_in(ended.map(state_code)))
        .filter(table::Column::ExpiresAt.lt(before.get()))
        .exec(db)
        .await
        .map(|done| done.rows_affected)
        .map_err(failed)
}

fn own(scope: &BusinessScope, upload_id: &str) -> Condition {
    Condition::all()
        .add(table::Column::BusinessId.eq(scope.business_id()))
        .add(table::Column::UploadId.eq(upload_id))
}

fn batches(scope: &BusinessScope, upload_id: &str) -> Condition {
    Condition::all()
        .add(batch::Column::BusinessId.eq(scope.business_id()))
        .add(batch::Column::UploadId.eq(upload_id))
}

const fn state_code(state: UploadState) -> i32 {
    match state {
        UploadState::Open => 1,
        UploadState::Committed => 2,
        UploadState::Aborted => 3,
        UploadState::Expired => 4,
    }
}

/// All columns but those of the reading, which never change.
fn row(scope: &BusinessScope, upload: &Upload) -> table::ActiveModel {
    table::ActiveModel {
        business_id: Set(scope.business_id().to_owned()),
        upload_id: Set(upload.upload_id.clone()),
        audience_id: Set(upload.audience_id.clone()),
        mode: Set(match upload.mode {
            UploadMode::Add => 1,
            UploadMode::Remove => 2,
            UploadMode::Replace => 3,
        }),
        validate_only: Set(upload.validate_only),
        state: Set(state_code(upload.state)),
        rows_received: Set(columns::big(upload.counts.received)),
        rows_duplicate: Set(columns::big(upload.counts.duplicate)),
        rows_refused: Set(columns::refused(&upload.counts)),
        batches_received: Set(i64::from(upload.batches.received)),
        last_batch: Set(upload.batches.last.map(i64::from)),
        expires_at: Set(upload.expires_at.get()),
        created_at: Set(upload.created_at.get()),
        ..Default::default()
    }
}

fn read(row: table::Model) -> Result<(Upload, Reading), Error> {
    let unknown = Error::Internal("a stored upload cannot be read");
    let counts = columns::counts(row.rows_received, row.rows_duplicate, &row.rows_refused)?;
    let region = row.default_region.map(|code| code.parse::<Region>()).transpose();
    let (Some(profile), Ok(default_region)) = (Profile::from_name(&row.profile), region) else {
        return Err(unknown);
    };
    let mode = match row.mode {
        1 => UploadMode::Add,
        2 => UploadMode::Remove,
        3 => UploadMode::Replace,
        _ => return Err(unknown),
    };
    let state = match row.state {
        1 => UploadState::Open,
        2 => UploadState::Committed,
        3 => UploadState::Aborted,
        4 => UploadState::Expired,
        _ => return Err(unknown),
    };
    let batches = Batches {
        received: columns::number(row.batches_received)?,
        last: row.last_batch.map(columns::number).transpose()?,
    };
    let upload = Upload {
        upload_id: row.upload_id,
        audience_id: row.audience_id,
        mode,
        validate_only: row.validate_only,
        state,
        counts,
        batches,
        expires_at: UnixMillis::new(row.expires_at),
        created_at: UnixMillis::new(row.created_at),
    };
    Ok((upload, Reading { profile, default_region }))
}
