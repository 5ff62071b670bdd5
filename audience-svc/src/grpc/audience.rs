//! `AudienceService`.

use proto::audience::v1 as wire;
use proto::audience::v1::audience_service_server::AudienceService;
use service_kit::{
    clock::UnixMillis,
    grpc::{open, request_digest},
};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    Grpc, identifier, parse, shape,
    stream::{Answers, answer_each},
    upload::{Appending, caller},
};
use crate::{
    audiences::{AudienceChange, NewAudience},
    domain::{Lifetime, Reading},
    error::Error,
    store::audiences::After,
    upload::NewUpload,
};

#[async_trait]
impl AudienceService for Grpc {
    async fn create_audience(
        &self,
        request: Request<wire::CreateAudienceRequest>,
    ) -> Result<Response<wire::CreateAudienceResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let source = parse::source(message.customer_source(), &mut bad);
        let lifetime = parse::lifetime(message.membership_lifetime.as_ref(), &mut bad);
        bad.finish()?;
        let Some(source) = source else { return Err(unparsed()) };
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "create_audience", &message.request_id, &message);
        let new = NewAudience {
            display_name: message.display_name,
            description: message.description,
            source,
            lifetime: lifetime.unwrap_or(Lifetime::DEFAULT),
        };
        let made = self.service.create_audience(&scope, &key, new).await?;
        let audience = Some(shape::audience(made));
        Ok(Response::new(wire::CreateAudienceResponse { audience }))
    }

    async fn get_audience(
        &self,
        request: Request<wire::GetAudienceRequest>,
    ) -> Result<Response<wire::GetAudienceResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let found = self.service.get_audience(&scope, &message.audience_id).await?;
        let audience = Some(shape::audience(found));
        Ok(Response::new(wire::GetAudienceResponse { audience }))
    }

    async fn list_audiences(
        &self,
        request: Request<wire::ListAudiencesRequest>,
    ) -> Result<Response<wire::ListAudiencesResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let limit = match message.page_size {
            0 => 50,
            size => size.min(200),
        };
        // A page goes on in the list that it began in, not in another business's.
        let method = format!("ListAudiences/{}", scope.business_id());
        let arguments = request_digest(&message);
        let after = self.service.pages.open(&method, &arguments, &message.page_token)?;
        let after = after.as_deref().and_then(cursor_from);
        let (page, next) = self.service.list_audiences(&scope, after.as_ref(), limit).await?;
        let seal = |next: After| self.service.pages.seal(&method, &arguments, &cursor(&next));
        Ok(Response::new(wire::ListAudiencesResponse {
            audiences: page.into_iter().map(shape::audience).collect(),
            next_page_token: next.map(seal).unwrap_or_default(),
        }))
    }

    async fn update_audience(
        &self,
        request: Request<wire::UpdateAudienceRequest>,
    ) -> Result<Response<wire::UpdateAudienceResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let lifetime = parse::lifetime(message.membership_lifetime.as_ref(), &mut bad);
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "update_audience", &message.request_id, &message);
        let change = AudienceChange {
            audience_id: message.audience_id,
            display_name: Some(message.display_name).filter(|name| !name.is_empty()),
            description: message.description,
            lifetime,
        };
        let changed = self.service.update_audience(&scope, &key, change).await?;
        let audience = Some(shape::audience(changed));
        Ok(Response::new(wire::UpdateAudienceResponse { audience }))
    }

    async fn delete_audience(
        &self,
        request: Request<wire::DeleteAudienceRequest>,
    ) -> Result<Response<wire::DeleteAudienceResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "delete_audience", &message.request_id, &message);
        self.service.delete_audience(&scope, &key, &message.audience_id).await?;
        Ok(Response::new(wire::DeleteAudienceResponse {}))
    }

    async fn create_upload(
        &self,
        request: Request<wire::CreateUploadRequest>,
    ) -> Result<Response<wire::CreateUploadResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        if !message.may_use_list {
            bad.add("may_use_list", "the business must declare that it may use the list");
        }
        let mode = parse::mode(message.mode(), &mut bad);
        let at = || "default_region".to_owned();
        let default_region = parse::region(at, &message.default_region, &mut bad);
        bad.finish()?;
        let Some(mode) = mode else { return Err(unparsed()) };
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "create_upload", &message.request_id, &message);
        let profile = identifier::profile(message.profile());
        let new = NewUpload {
            audience_id: message.audience_id,
            mode,
            reading: Reading { profile, default_region },
            validate_only: message.validate_only,
        };
        let opened = self.service.create_upload(&scope, &key, new).await?;
        let upload = Some(shape::upload(opened, Vec::new()));
        Ok(Response::new(wire::CreateUploadResponse { upload }))
    }

    async fn append_upload(
        &self,
        request: Request<Streaming<wire::AppendUploadRequest>>,
    ) -> Result<Response<Answers<wire::AppendUploadResponse>>, Status> {
        let caller = caller(&request)?;
        let scope = self.service.scope(&caller).await?;
        // Whoever was registered before this stream began is found by all of it.
        self.service.directory.catch_up().await?;
        let appending = Appending { service: self.service.clone(), caller, scope, current: None };
        let answers = answer_each(request.into_inner(), self.shutdown.clone(), appending);
        Ok(Response::new(answers))
    }

    async fn commit_upload(
        &self,
        request: Request<wire::CommitUploadRequest>,
    ) -> Result<Response<wire::CommitUploadResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "commit_upload", &message.request_id, &message);
        let service = &self.service;
        let done =
            service.commit_upload(&scope, &key, &message.upload_id, message.batch_count).await?;
        Ok(Response::new(wire::CommitUploadResponse {
            upload: Some(shape::upload(done.upload, Vec::new())),
            audience: Some(shape::audience(done.audience)),
        }))
    }

    async fn abort_upload(
        &self,
        request: Request<wire::AbortUploadRequest>,
    ) -> Result<Response<wire::AbortUploadResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "abort_upload", &message.request_id, &message);
        let dropped = self.service.abort_upload(&scope, &key, &message.upload_id).await?;
        let upload = Some(shape::upload(dropped, Vec::new()));
        Ok(Response::new(wire::AbortUploadResponse { upload }))
    }

    async fn get_upload(
        &self,
        request: Request<wire::GetUploadRequest>,
    ) -> Result<Response<wire::GetUploadResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let scope = self.service.scope(&caller).await?;
        let (found, missing) = self.service.get_upload(&scope, &message.upload_id).await?;
        let upload = Some(shape::upload(found, missing));
        Ok(Response::new(wire::GetUploadResponse { upload }))
    }

    async fn estimate_reach(
        &self,
        request: Request<wire::EstimateReachRequest>,
    ) -> Result<Response<wire::EstimateReachResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        let expression = parse::expression(message.expression.as_ref(), bad)?;
        let scope = self.service.scope(&caller).await?;
        let key = self.service.request(&caller, "estimate_reach", &message.request_id, &message);
        let released = self.service.estimate_reach(&scope, &key, &expression).await?;
        let reach = Some(shape::reach(released));
        Ok(Response::new(wire::EstimateReachResponse { reach }))
    }
}

/// What the fields' checks have found already.
fn unparsed() -> Status {
    Error::Internal("a field was neither parsed nor refused").into()
}

/// Where a page ends, for its token: eight bytes of time and the audience's id.
fn cursor(after: &After) -> Vec<u8> {
    [&after.created_at.get().to_be_bytes()[..], after.audience_id.as_bytes()].concat()
}

fn cursor_from(bytes: &[u8]) -> Option<After> {
    let (created_at, audience_id) = bytes.split_first_chunk()?;
    Some(After {
        created_at: UnixMillis::new(i64::from_be_bytes(*created_at)),
        audience_id: String::from_utf8(audience_id.to_vec()).ok()?,
    })
}
