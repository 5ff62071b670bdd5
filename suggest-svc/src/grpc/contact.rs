//! `ContactService`.

use identifiers::Region;
use proto::{
    At, FieldErrors,
    errors::v1::Reason,
    status,
    suggest::v1::{
        DeleteContactsRequest, DeleteContactsResponse, GetContactSettingsRequest,
        GetContactSettingsResponse, SyncContactsRequest, SyncContactsResponse, SyncMode,
        UpdateContactSettingsRequest, UpdateContactSettingsResponse,
        contact_service_server::ContactService,
    },
};
use service_kit::{
    auth::Caller,
    compute::compute,
    grpc::{open, open_message, request_digest},
};
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status, Streaming};

use super::{caller, convert, once, own_subject};
use crate::{
    domain::{
        address_book::{Contact, Received},
        pace::sync_step,
        uploaded::Marker,
    },
    pace::on_grid,
    service::Suggest,
    sync_contacts::Mode,
};

/// Answers people's apps about contacts.
pub(crate) struct ContactRpc(pub(crate) Suggest);

#[tonic::async_trait]
impl ContactService for ContactRpc {
    async fn sync_contacts(
        &self,
        request: Request<Streaming<SyncContactsRequest>>,
    ) -> Result<Response<SyncContactsResponse>, Status> {
        let (caller, mut messages) = caller(request)?;
        let subject = own_subject(&caller)?;
        let first = next(&mut messages).await?;
        let first = first.ok_or_else(|| incomplete("the stream was empty"))?;
        let mut sync = Sync::begin(&first, self.0.contact_seal.marker(&subject));
        let first = sync.check(&self.0, &caller, first)?;
        // Nobody's contacts are read who has not agreed. Asked again when they are stored.
        self.0.transfer_consent(&subject).await?;
        sync.take(&self.0, first).await?;
        while let Some(message) = next(&mut messages).await? {
            let message = sync.check(&self.0, &caller, message)?;
            sync.take(&self.0, message).await?;
        }
        let once = once(&self.0, &caller, &sync.first.request_id, sync.digest());
        let mode = sync.mode();
        let answer = |token: &str| sync.answer(token);
        let work = self.0.sync_contacts(&once, &subject, &mode, &sync.received, answer);
        let answer = on_grid(&self.0.clock, sync_step(sync.received.seen), work).await?;
        Ok(Response::new(answer))
    }

    async fn delete_contacts(
        &self,
        request: Request<DeleteContactsRequest>,
    ) -> Result<Response<DeleteContactsResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let subject = own_subject(&caller)?;
        let once = once(&self.0, &caller, &message.request_id, request_digest(&message));
        let answer = || DeleteContactsResponse {};
        Ok(Response::new(self.0.delete_contacts(&once, &subject, answer).await?))
    }

    async fn get_contact_settings(
        &self,
        request: Request<GetContactSettingsRequest>,
    ) -> Result<Response<GetContactSettingsResponse>, Status> {
        let (caller, _, bad) = open(request)?;
        bad.finish()?;
        let settings = self.0.store.settings(&own_subject(&caller)?).await?;
        let settings = Some(convert::contact_settings(settings));
        Ok(Response::new(GetContactSettingsResponse { settings }))
    }

    async fn update_contact_settings(
        &self,
        request: Request<UpdateContactSettingsRequest>,
    ) -> Result<Response<UpdateContactSettingsResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let subject = own_subject(&caller)?;
        let once = once(&self.0, &caller, &message.request_id, request_digest(&message));
        let settings = convert::settings(message.settings);
        let answer = || UpdateContactSettingsResponse {
            settings: Some(convert::contact_settings(settings)),
        };
        Ok(Response::new(self.0.update_settings(&once, &subject, settings, answer).await?))
    }
}

/// A sync as its messages come in. Of the contacts only match keys stay.
struct Sync {
    /// What the first message says beside contacts: the others say the same.
    first: SyncContactsRequest,
    digest: Sha256,
    marker: Marker,
    received: Received,
}

impl Sync {
    fn begin(first: &SyncContactsRequest, marker: Marker) -> Self {
        let first = SyncContactsRequest {
            request_id: first.request_id.clone(),
            mode: first.mode,
            sync_token: first.sync_token.clone(),
            ..SyncContactsRequest::default()
        };
        Self { first, digest: Sha256::new(), marker, received: Received::default() }
    }

    /// The next message and the region of its phone numbers, or all that is wrong with it.
    fn check(
        &self,
        suggest: &Suggest,
        caller: &Caller,
        message: SyncContactsRequest,
    ) -> Result<(SyncContactsRequest, Option<Region>), Status> {
        let (message, mut bad) = open_message(caller, message)?;
        self.agrees(&message, &mut bad);
        let count = self.received.seen + message.added.len() + message.removed.len();
        if count > suggest.max_contacts {
            let field = if message.added.is_empty() { "removed" } else { "added" };
            bad.add(field, format!("more than {} contacts in one sync", suggest.max_contacts));
        }
        let region = convert::region(&At::Root, &message.default_region, &mut bad);
        bad.finish()?;
        Ok((message, region))
    }

    /// Takes in a message that is right.
    async fn take(
        &mut self,
        suggest: &Suggest,
        (message, region): (SyncContactsRequest, Option<Region>),
    ) -> Result<(), Status> {
        self.digest.update(request_digest(&message));
        let (secret, marker) = (suggest.secret.clone(), self.marker.clone());
        // Parsing phone numbers takes long enough to be done beside the calls.
        let parsed = compute(move || {
            let forms = |one| convert::keys(&secret, one, region);
            let contact = |one| forms(one).map(|forms| Contact::new(forms, &marker));
            let added: Vec<_> = message.added.iter().map(contact).collect();
            (added, message.removed.iter().map(forms).collect())
        });
        let (added, removed) = parsed.await.map_err(|_| convert::failed())?;
        self.received.take(added, removed);
        Ok(())
    }

    fn agrees(&self, message: &SyncContactsRequest, bad: &mut FieldErrors) {
        let other = "not that of the first message";
        if message.request_id != self.first.request_id {
            bad.add("request_id", other);
        }
        if message.mode != self.first.mode {
            bad.add("mode", other);
        }
        if message.sync_token != self.first.sync_token {
            bad.add("sync_token", other);
        }
        match (message.mode(), message.sync_token.is_empty()) {
            (SyncMode::Full, false) => bad.add("sync_token", "only with DELTA"),
            (SyncMode::Delta, true) => bad.add("sync_token", "required with DELTA"),
            _ => {}
        }
        if message.mode() == SyncMode::Full && !message.removed.is_empty() {
            bad.add("removed", "only with DELTA: a full sync replaces all contacts");
        }
    }

    fn digest(&self) -> [u8; 32] {
        self.digest.clone().finalize().into()
    }

    fn mode(&self) -> Mode {
        match self.first.mode() {
            SyncMode::Delta => Mode::Delta(self.first.sync_token.clone()),
            SyncMode::Full | SyncMode::Unspecified => Mode::Full,
        }
    }

    fn answer(&self, token: &str) -> SyncContactsResponse {
        let refused = self.received.refused.iter();
        SyncContactsResponse {
            // No more than the contacts of one sync.
            accepted: u32::try_from(self.received.accepted()).unwrap_or(u32::MAX),
            rejections: refused.map(|(index, why)| convert::rejection(*index, *why)).collect(),
            sync_token: token.to_owned(),
        }
    }
}

/// The next message; nothing at the end of the stream. A stream that breaks off is none that ended.
async fn next(
    messages: &mut Streaming<SyncContactsRequest>,
) -> Result<Option<SyncContactsRequest>, Status> {
    messages.message().await.map_err(|error| match error.code() {
        tonic::Code::Cancelled | tonic::Code::Unknown | tonic::Code::Unavailable => {
            incomplete("the stream broke off")
        }
        _ => error,
    })
}

fn incomplete(why: &str) -> Status {
    status::status(Reason::StreamIncomplete, format!("{why}; nothing was stored"))
}
