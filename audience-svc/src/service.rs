//! What every use case works with.

use std::{collections::BTreeSet, sync::Arc};

use identifiers::MatchKeySecret;
use prost::{Message, Name};
use service_kit::{
    auth::Caller,
    boot::BootError,
    clock::{Clock, UnixMillis},
    config::Secret,
    context::Context,
    grpc::PageTokens,
};
use tokio::sync::{Mutex, Notify};

use crate::{
    config::{AudienceConfig, DirectoryConfig, MatchKeyConfig},
    consent::Consent,
    directory::Directory,
    domain::{BusinessScope, Day, FigureNoise, Secrets, first_open},
    error::Error,
    following::Following,
    lists::Lists,
    match_keys::Presence,
    reach::Releaser,
    seal::{self, Seal},
    store::{RequestKey, Store, businesses, usage},
};

/// The service: its use cases are its methods, each in the file that is named after it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) directory: Directory,
    pub(crate) lists: Lists,
    /// Held by who registers.
    pub(crate) registering: Mutex<()>,
    pub(crate) consent: Consent,
    pub(crate) following: Following,
    pub(crate) releaser: Releaser,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) presence: Presence,
    pub(crate) seal: Seal,
    pub(crate) pages: PageTokens,
    pub(crate) clock: Clock,
    pub(crate) config: AudienceConfig,
    pub(crate) figure_noise: FigureNoise,
    /// Wakes the housekeeping: something that has ended was seen.
    pub(crate) untidy: Notify,
}

impl Service {
    /// Opens the store and loads the index.
    pub(crate) async fn open(
        ctx: &Context,
        config: &AudienceConfig,
        figure_noise: FigureNoise,
    ) -> Result<Self, BootError> {
        let secrets = secrets(&config.match_keys)?;
        check_apps(&config.usage.apps)?;
        check_directory(&config.directory)?;
        // Page tokens are sealed under the oldest secret: they stay good while a newer one is brought
        // in.
        let oldest = config.match_keys.older.iter().min_by_key(|older| older.version);
        let sealing = oldest.map_or(&config.match_keys.secret, |older| &older.secret);
        let sealing = sealing.expose().as_bytes();
        let store = Store::open(&config.store).await?;
        store.report(&ctx.meter);
        let clock = ctx.clock.clone();
        let presence = Presence::begin(store.clone(), clock.clone(), secrets.versions());
        let presence = presence.await.map_err(BootError::other)?;
        let snapshot = config.directory.snapshot.clone();
        let directory = Directory::load(store.clone(), clock.clone(), snapshot);
        let directory = directory.await.map_err(BootError::other)?;
        let lists = Lists::load(store.clone()).await.map_err(BootError::other)?;
        let today = Day::of(clock.now());
        usage::begin(store.reads(), first_open(today)).await.map_err(BootError::other)?;
        Ok(Self {
            consent: Consent::connect(ctx, config)?,
            following: Following::new(&ctx.meter),
            releaser: Releaser::new(&config.releases),
            secrets: Arc::new(secrets),
            presence,
            seal: Seal::new(sealed_under(&config.match_keys)),
            pages: seal::page_tokens(sealing),
            clock,
            config: config.clone(),
            figure_noise,
            untidy: Notify::new(),
            store,
            directory,
            lists,
            registering: Mutex::new(()),
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
        RequestKey {
            principal: self.seal.principal(caller),
            request_id: request_id.to_owned(),
            content: self.seal.content(message),
            method,
        }
    }
}

fn secrets(config: &MatchKeyConfig) -> Result<Secrets, BootError> {
    let open = |name: String, version, secret: &Secret| {
        MatchKeySecret::new(version, secret.expose().as_bytes())
            .map_err(|error| BootError::other(format!("{name}: {error}")))
    };
    let newest = open("match_keys.secret".to_owned(), config.version, &config.secret)?;
    if config.version == 0 {
        return Err(BootError::other("match_keys.version: versions begin with 1"));
    }
    let mut versions = BTreeSet::from([config.version]);
    let mut older = Vec::new();
    for (index, one) in config.older.iter().enumerate() {
        let name = format!("match_keys.older[{index}]");
        if one.version == 0 || one.version > config.version || !versions.insert(one.version) {
            let why = "versions must differ, begin with 1, and be lower than match_keys.version";
            return Err(BootError::other(format!("{name}.version: {why}")));
        }
        older.push(open(format!("{name}.secret"), one.version, &one.secret)?);
    }
    Ok(Secrets::new(newest, older))
}

/// Every version, and its secret.
fn sealed_under(config: &MatchKeyConfig) -> impl Iterator<Item = (u16, &[u8])> {
    let older = config.older.iter().map(|one| (one.version, &one.secret));
    let all = older.chain([(config.version, &config.secret)]);
    all.map(|(version, secret)| (version, secret.expose().as_bytes()))
}

fn check_apps(apps: &[String]) -> Result<(), BootError> {
    let mut named = BTreeSet::new();
    match apps.iter().position(|app| app.is_empty() || !named.insert(app)) {
        Some(index) => {
            let text = format!("usage.apps[{index}]: no name, or named twice");
            Err(BootError::other(text))
        }
        None => Ok(()),
    }
}

fn check_directory(config: &DirectoryConfig) -> Result<(), BootError> {
    // An erasure is acknowledged when it is out of the log of changes: files must follow before.
    if config.snapshot.is_some() && config.snapshot_interval.get() >= config.change_retention.get()
    {
        let why = "must be shorter than directory.change_retention";
        return Err(BootError::other(format!("directory.snapshot_interval: {why}")));
    }
    Ok(())
}

/// A name for a new audience or upload that nobody can guess.
pub(crate) fn new_id(kind: &str) -> String {
    format!("{kind}-{}", hex::encode(rand::random::<[u8; 16]>()))
}
