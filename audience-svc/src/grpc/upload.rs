//! The batches of `AudienceService.AppendUpload`.

use std::{mem, sync::Arc};

use proto::{
    FieldErrors,
    audience::v1::{AppendUploadRequest, AppendUploadResponse},
    errors::v1::Reason,
    status,
};
use service_kit::{auth::Caller, grpc::open_message};
use tonic::{Request, Status};

use super::{
    identifier::{self, PACKED},
    shape,
    stream::Conversation,
};
use crate::{
    domain::{BusinessScope, MAX_ROWS, Reading, key_rows, record},
    service::Service,
    store::uploads::StoredBatch,
};

/// Who calls, of a request whose messages come later.
#[allow(clippy::result_large_err)] // tonic's own error type
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    // The layer refuses such calls itself. If it is ever left out, nobody gets in.
    caller.ok_or_else(|| status::status(Reason::TokenMissing, "the caller is not known"))
}

/// One stream of batches, usually of one upload.
pub(super) struct Appending {
    pub(super) service: Arc<Service>,
    pub(super) caller: Caller,
    pub(super) scope: BusinessScope,
    /// The upload of the last message. What is kept of it never changes.
    pub(super) current: Option<(String, Reading, bool)>,
}

impl Conversation for Appending {
    type Message = AppendUploadRequest;
    type Answer = AppendUploadResponse;

    async fn answer(
        &mut self,
        mut message: AppendUploadRequest,
    ) -> Result<AppendUploadResponse, Status> {
        // A row with something wrong is refused by its number, not with the whole batch.
        let (rows, packed) = (mem::take(&mut message.rows), mem::take(&mut message.packed_sha256));
        let (mut message, mut bad) = open_message(&self.caller, message)?;
        check(rows.len(), packed.len(), &mut bad);
        if message.batch_number >= self.service.config.uploads.max_batches {
            bad.add("batch_number", "more batches than an upload may have");
        }
        bad.finish()?;
        let (reading, validate_only) = self.reading(&message.upload_id).await?;

        (message.rows, message.packed_sha256) = (rows, packed);
        let (upload_id, number) = (message.upload_id.clone(), message.batch_number);
        let service = self.service.clone();
        let matched = move || match_batch(&service, &message, reading, validate_only);
        let batch = Service::compute(matched).await?;
        let report = self.service.append_batch(&self.scope, &upload_id, &batch).await?;
        Ok(shape::batch(number, report))
    }
}

impl Appending {
    async fn reading(&mut self, upload_id: &str) -> Result<(Reading, bool), Status> {
        if let Some((current, reading, validate_only)) = &self.current
            && current == upload_id
        {
            return Ok((*reading, *validate_only));
        }
        let (reading, validate_only) = self.service.upload_reading(&self.scope, upload_id).await?;
        self.current = Some((upload_id.to_owned(), reading, validate_only));
        Ok((reading, validate_only))
    }
}

fn check(rows: usize, packed: usize, bad: &mut FieldErrors) {
    if !packed.is_multiple_of(PACKED) {
        bad.add("packed_sha256", "not a multiple of 32 bytes");
    }
    let all = rows + packed / PACKED;
    if all > MAX_ROWS {
        let field = if rows > MAX_ROWS { "rows" } else { "packed_sha256" };
        bad.add(field, format!("{all} rows in all, more than {MAX_ROWS}"));
    }
    if all == 0 {
        bad.add("rows", "a batch needs at least one row");
    }
}

/// From a batch's rows to what is stored of it: the same work and the same size whoever matches.
fn match_batch(
    service: &Service,
    message: &AppendUploadRequest,
    reading: Reading,
    validate_only: bool,
) -> StoredBatch {
    let packed_kind = identifier::kind(message.packed_kind);
    let rows = identifier::rows(&message.rows, &message.packed_sha256, packed_kind);
    let all = message.rows.len() + message.packed_sha256.len() / PACKED;
    let keyed = key_rows(rows, reading, &service.secrets);
    let members = if validate_only {
        Vec::new()
    } else {
        let index = service.directory.index();
        let found = keyed.found(|keys, found| index.probe_many(keys, found));
        record(&found, all, rand::random)
    };
    StoredBatch {
        number: message.batch_number,
        content: service.seal.content(message),
        report: keyed.report,
        members,
    }
}
