//! What every use case works with.

use std::sync::Arc;

use identifiers::MatchKeySecret;
use prost::{Message, Name};
use service_kit::{
    auth::Caller,
    boot::BootError,
    clock::{Clock, UnixMillis},
    context::Context,
    grpc::PageTokens,
};
use tokio::sync::Notify;

use crate::{
    config::AudienceConfig,
    consent::Consent,
    directory::Directory,
    domain::BusinessScope,
    error::Error,
    seal::{self, Seal},
    store::{RequestKey, Store, businesses},
};

/// The service: its use cases are its methods, each in the file that is named after it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) consent: Consent,
    pub(crate) secret: Arc<MatchKeySecret>,
    pub(crate) seal: Seal,
    pub(crate) pages: PageTokens,
    pub(crate) clock: Clock,
    pub(crate) config: AudienceConfig,
    /// Wakes the housekeeping: something that has ended was seen.
    pub(crate) untidy: Notify,
}

impl Service {
    /// Opens the store and loads the index.
    pub(crate) async fn open(ctx: &Context, config: &AudienceConfig) -> Result<Self, BootError> {
        let secret = config.match_keys.secret.expose().as_bytes();
        let keys = MatchKeySecret::new(config.match_keys.version, secret)
            .map_err(|error| BootError::other(format!("match_key.secret: {error}")))?;
        let store = Store::open(&config.store).await?;
        let directory = Directory::load(store.clone()).await.map_err(BootError::other)?;
        Ok(Self {
            consent: Consent::connect(ctx, config)?,
            secret: Arc::new(keys),
            seal: Seal::new(secret),
            pages: seal::page_tokens(secret),
            clock: ctx.clock.clone(),
            config: config.clone(),
            untidy: Notify::new(),
            store,
            directory,
        })
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Whose lists the caller may touch.
    pub(crate) async fn scope(&self, caller: &Caller) -> Result<BusinessScope, Error> {
        let (Some(business), Some(owner)) = (&caller.business, &caller.owner) else {
            return Err(Error::BusinessUnknown);
        };
        let known = businesses::find(self.store.reads(), business).await?;
        BusinessScope::of(known.ok_or(Error::BusinessUnknown)?, owner).ok_or(Error::OwnerMismatch)
    }

    /// Names a write of a caller: two callers never share a request id.
    pub(crate) fn request<M: Message + Name>(
        &self,
        caller: &Caller,
        method: &'static str,
        request_id: &str,
        message: &M,
    ) -> RequestKey {
        let who = caller.business.as_ref().unwrap_or(&caller.name);
        RequestKey {
            principal: format!("{}/{who}", caller.role.as_str_name()),
            request_id: request_id.to_owned(),
            content: self.seal.content(message),
            method,
        }
    }
}

/// A name for a new audience or upload that nobody can guess.
pub(crate) fn new_id(kind: &str) -> String {
    format!("{kind}-{}", hex::encode(rand::random::<[u8; 16]>()))
}
