//! Applying an upload: all of it or nothing, and until then the old list serves.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;

use crate::{
    domain::{
        Audience, Batches, BusinessScope, Expression, Upload, UploadMode, UploadState, commit_step,
        day_of, read_record,
    },
    error::Error,
    pace::on_grid,
    service::Service,
    store::{RequestKey, Tx, audiences, directory, members, uploads},
    upload::MAX_MISSING,
};

/// What a commit answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) upload: Upload,
    pub(crate) audience: Audience,
    /// Whether `audience` has the release that this commit drew.
    sized: bool,
}

impl Service {
    /// Applies an upload that has exactly `batch_count` batches; answered at a point of a grid, so
    /// that its time tells nothing. Lists in memory follow afterwards: whoever looks somebody up
    /// asks first whether they have.
    pub(crate) async fn commit_upload(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        upload_id: &str,
        batch_count: u32,
    ) -> Result<Committed, Error> {
        // An upload that was refused is answered as one without rows.
        let rows = |done: &Result<Committed, Error>| {
            done.as_ref().map_or(0, |done| done.upload.counts.received)
        };
        let committed = self.commit_at_once(scope, request, upload_id, batch_count);
        on_grid(&self.clock, |done| commit_step(rows(done)), committed).await
    }

    async fn commit_at_once(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        upload_id: &str,
        batch_count: u32,
    ) -> Result<Committed, Error> {
        let now = self.now();
        let commit = |tx: Tx| async move {
            let upload = uploads::lock(&tx, scope, upload_id).await?.at(now);
            let upload = match upload.state {
                UploadState::Open => self.apply(&tx, scope, upload, batch_count, now).await?,
                UploadState::Committed if upload.batches.received == batch_count => upload,
                UploadState::Committed => {
                    return Err(Error::CommittedOtherwise(upload.batches.received));
                }
                state => return Err(Error::UploadState(state)),
            };
            let audience = audiences::find(&*tx, scope, &upload.audience_id).await?;
            let sized = upload.validate_only;
            Ok(Committed { upload, audience, sized })
        };
        let mut done = self.store.once_locking(request, now, commit).await?;
        if !done.sized {
            self.release_size(scope, request, &mut done).await;
        }
        Ok(done)
    }

    /// Draws the release that belongs to a commit. The commit is done: without a release (nobody
    /// answers at consent-svc, say, or the caller has gone) the audience keeps its last figure,
    /// cannot be targeted, and `EstimateReach` draws the missing one.
    async fn release_size(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        done: &mut Committed,
    ) {
        let expression = Expression::of_audience(&*done.audience.audience_id);
        if let Err(error) = self.released(scope, &expression).await {
            tracing::warn!(%error, "a list was applied, and its size not released");
            return;
        }
        // Read again: the release may be that of a list which was applied meanwhile.
        let audience_id = &done.audience.audience_id;
        match audiences::find(self.store.reads(), scope, audience_id).await {
            Ok(audience) => done.audience = audience,
            Err(error) => {
                tracing::warn!(%error, "an audience could not be read after its release");
                return;
            }
        }
        done.sized = true;
        if let Err(error) = self.store.amend(request, done).await {
            tracing::warn!(%error, "an answer could not be amended");
        }
    }

    async fn apply(
        &self,
        tx: &Tx,
        scope: &BusinessScope,
        mut upload: Upload,
        batch_count: u32,
        now: UnixMillis,
    ) -> Result<Upload, Error> {
        complete(tx, scope, &upload, batch_count).await?;
        let mut people = RoaringBitmap::new();
        if !upload.validate_only {
            let add = |record: &[u8]| Ok(read_record(record, &mut people)?);
            uploads::each_record(tx, scope, &upload.upload_id, add).await?;
        }
        uploads::drop_batches(tx, scope, &upload.upload_id).await?;
        upload.state = UploadState::Committed;
        uploads::save(tx, scope, &upload).await?;
        // Last: it takes a number in the sequence of changes, for which all others then wait.
        if !upload.validate_only {
            self.apply_members(tx, scope, &upload, &people, now).await?;
        }
        Ok(upload)
    }

    async fn apply_members(
        &self,
        tx: &Tx,
        scope: &BusinessScope,
        upload: &Upload,
        people: &RoaringBitmap,
        now: UnixMillis,
    ) -> Result<(), Error> {
        let mut audience = audiences::lock(tx, scope, &upload.audience_id).await?;
        let list = &*audience.audience_id;
        let (today, until) = (day_of(now), audience.lifetime.ends(now));
        let highest = directory::last_ordinal(&**tx).await?;
        let mut chunks = match upload.mode {
            UploadMode::Remove => {
                members::remove(tx, scope, list, people, today, until, highest).await?
            }
            UploadMode::Replace => members::clear(tx, scope, list).await?,
            UploadMode::Add => BTreeSet::new(),
        };
        if upload.mode != UploadMode::Remove {
            chunks.append(&mut members::add(tx, scope, list, people, today, until, highest).await?);
        }
        audience.last_upload = upload.counts.clone();
        audience.updated_at = now;
        audiences::save_list(tx, scope, audience, &chunks).await
    }
}

/// Whether exactly the batches 0 to `batch_count - 1` are there.
async fn complete(
    tx: &Tx,
    scope: &BusinessScope,
    upload: &Upload,
    batch_count: u32,
) -> Result<(), Error> {
    if let Some(last) = upload.batches.last.filter(|last| *last >= batch_count) {
        return Err(Error::BatchBeyond(last));
    }
    if upload.batches.received == batch_count {
        return Ok(());
    }
    let all = uploads::batch_numbers(&**tx, scope, &upload.upload_id).await?;
    let missing = Batches::missing(all.into_iter(), batch_count, MAX_MISSING);
    Err(Error::BatchMissing(missing))
}
