//! Uploads: opened, filled batch by batch, looked at, dropped. `commit_upload` applies them.

use service_kit::clock::UnixMillis;

use crate::{
    domain::{
        BatchReport, Batches, BusinessScope, Reading, RowCounts, Upload, UploadMode, UploadState,
    },
    error::Error,
    service::{Service, new_id},
    store::{
        RequestKey, Tx, audiences,
        uploads::{self, StoredBatch},
    },
};

/// How many missing batches are named.
pub(crate) const MAX_MISSING: usize = 100;

/// What a business says of a new upload.
#[derive(Debug, Clone)]
pub(crate) struct NewUpload {
    pub(crate) audience_id: String,
    pub(crate) mode: UploadMode,
    pub(crate) reading: Reading,
    pub(crate) validate_only: bool,
}

impl Service {
    /// Opens an upload.
    pub(crate) async fn create_upload(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        new: NewUpload,
    ) -> Result<Upload, Error> {
        let now = self.now();
        let upload = Upload {
            upload_id: new_id("upl"),
            audience_id: new.audience_id,
            mode: new.mode,
            validate_only: new.validate_only,
            state: UploadState::Open,
            counts: RowCounts::default(),
            batches: Batches::default(),
            expires_at: self.upload_ends(now, now),
            created_at: now,
        };
        let (upload, reading) = (&upload, new.reading);
        let most = u64::from(self.config.uploads.max_open);
        let create = |tx: Tx| async move {
            audiences::find(&*tx, scope, &upload.audience_id).await?;
            let open = uploads::open_until(&tx, scope, now, most).await?;
            if open.len() as u64 >= most {
                let first = open.first().copied().unwrap_or(now);
                return Err(Error::UploadsOpen { most, wait: first.since(now) });
            }
            uploads::insert(&tx, scope, upload, reading).await?;
            Ok(upload.clone())
        };
        self.store.once(request, now, create).await
    }

    /// When an upload ends to which nothing comes after `now`.
    fn upload_ends(&self, created_at: UnixMillis, now: UnixMillis) -> UnixMillis {
        let limits = &self.config.uploads;
        now.plus(limits.idle_timeout.get()).min(created_at.plus(limits.max_age.get()))
    }

    /// How the rows of an upload are read, and whether it only checks.
    pub(crate) async fn upload_reading(
        &self,
        scope: &BusinessScope,
        upload_id: &str,
    ) -> Result<(Reading, bool), Error> {
        let (upload, reading) = uploads::find(self.store.reads(), scope, upload_id).await?;
        Ok((reading, upload.validate_only))
    }

    /// Stores a batch for good, or finds that it was stored before.
    pub(crate) async fn append_batch(
        &self,
        scope: &BusinessScope,
        upload_id: &str,
        batch: &StoredBatch,
    ) -> Result<BatchReport, Error> {
        let now = self.now();
        let append = |tx: Tx| async move {
            // Holds the upload until the end: neither a commit nor the same batch comes between.
            let mut upload = uploads::lock(&tx, scope, upload_id).await?.at(now);
            if upload.state != UploadState::Open {
                return Err(Error::UploadState(upload.state));
            }
            match uploads::find_batch(&tx, scope, upload_id, batch.number).await? {
                Some((content, report)) if batch.content.is(&content) => return Ok(report),
                Some(_) => return Err(Error::BatchConflict(batch.number)),
                None => {}
            }
            uploads::insert_batch(&tx, scope, upload_id, batch).await?;
            upload.counts.add(&batch.report.counts);
            upload.batches.received += 1;
            upload.batches.last = upload.batches.last.max(Some(batch.number));
            upload.expires_at = self.upload_ends(upload.created_at, now);
            uploads::save(&tx, scope, &upload).await?;
            Ok(batch.report.clone())
        };
        self.store.locking("append_batch", append).await
    }

    /// How far an upload has come, and the first batches that are missing.
    pub(crate) async fn get_upload(
        &self,
        scope: &BusinessScope,
        upload_id: &str,
    ) -> Result<(Upload, Vec<u32>), Error> {
        let (upload, _) = uploads::find(self.store.reads(), scope, upload_id).await?;
        let upload = upload.at(self.now());
        let missing = match upload.batches.last {
            Some(last) if upload.state == UploadState::Open && upload.batches.has_gaps() => {
                let all = uploads::batch_numbers(self.store.reads(), scope, upload_id).await?;
                Batches::missing(all.into_iter(), last, MAX_MISSING)
            }
            _ => Vec::new(),
        };
        Ok((upload, missing))
    }

    /// Drops an upload that was not applied.
    pub(crate) async fn abort_upload(
        &self,
        scope: &BusinessScope,
        request: &RequestKey,
        upload_id: &str,
    ) -> Result<Upload, Error> {
        let now = self.now();
        let abort = |tx: Tx| async move {
            let mut upload = uploads::lock(&tx, scope, upload_id).await?.at(now);
            match upload.state {
                UploadState::Open | UploadState::Expired => {}
                UploadState::Aborted => return Ok(upload),
                UploadState::Committed => return Err(Error::UploadState(upload.state)),
            }
            upload.state = UploadState::Aborted;
            uploads::drop_batches(&tx, scope, upload_id).await?;
            uploads::save(&tx, scope, &upload).await?;
            Ok(upload)
        };
        self.store.once(request, now, abort).await
    }
}
