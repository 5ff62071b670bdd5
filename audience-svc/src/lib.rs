//! Customer lists, matched to people who agreed. A business learns about how many; an ad server
//! learns, at serve time, which lists the person in front of it is in; nobody learns of a row
//! whether it matched.
//!
//! `grpc` (contract to domain) → one file a use case → `domain` (rules), `store` (database),
//! `index` (who is found by a key, in memory), `consent` (what consent-svc says).

mod audiences;
mod business;
mod commit_upload;
mod config;
mod consent;
mod directory;
pub mod domain;
mod error;
mod export;
mod following;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod housekeeping;
pub mod index;
mod lists;
mod match_keys;
pub mod membership;
mod pace;
mod reach;
mod register;
mod seal;
mod service;
mod store;
mod targeting;
mod transparency;
mod upload;
mod usage;

use std::sync::Arc;

use proto::audience::v1::{
    audience_service_server::AudienceServiceServer, business_service_server::BusinessServiceServer,
    directory_service_server::DirectoryServiceServer,
    targeting_service_server::TargetingServiceServer,
    transparency_service_server::TransparencyServiceServer,
    usage_service_server::UsageServiceServer,
};
use service_kit::{
    boot::{App, BootError, Service as KitService},
    context::Context,
};

#[cfg(feature = "seeding")]
#[doc(hidden)]
pub use store::seeding;

pub use config::{
    AudienceConfig, DirectoryConfig, MatchKeyConfig, OlderSecret, PurposeConfig, ReleaseConfig,
    UploadConfig, UsageConfig,
};

use crate::{domain::FigureNoise, grpc::Grpc, service::Service, store::Store};

/// audience-svc, for `service_kit::boot`.
#[derive(Debug)]
pub struct AudienceService;

impl KitService for AudienceService {
    const NAME: &'static str = "audience-svc";
    type Config = AudienceConfig;

    async fn build(ctx: &Context, config: AudienceConfig) -> Result<App, BootError> {
        let noise = FigureNoise::for_apps(config.usage.apps.len());
        build(ctx, &config, noise).await
    }

    async fn migrate(config: &AudienceConfig) -> Result<(), BootError> {
        Ok(Store::migrate(&config.store).await?)
    }
}

/// As [`AudienceService`], with usage figures as they were counted: for tests, which cannot tell
/// what is counted under noise. No configuration leads here.
#[doc(hidden)]
#[derive(Debug)]
pub struct WithoutNoise;

impl KitService for WithoutNoise {
    const NAME: &'static str = AudienceService::NAME;
    type Config = AudienceConfig;

    async fn build(ctx: &Context, config: AudienceConfig) -> Result<App, BootError> {
        build(ctx, &config, FigureNoise::none()).await
    }

    async fn migrate(config: &AudienceConfig) -> Result<(), BootError> {
        AudienceService::migrate(config).await
    }
}

async fn build(
    ctx: &Context,
    config: &AudienceConfig,
    figure_noise: FigureNoise,
) -> Result<App, BootError> {
    let service = Arc::new(Service::open(ctx, config, figure_noise).await?);
    let pinged = service.store.clone();
    ctx.readiness.require("store", move || {
        let store = pinged.clone();
        async move { store.ping().await }
    });
    ctx.spawn("changes", service.clone().follow_changes(ctx.shutdown.clone()));
    ctx.spawn("directory snapshot", service.clone().keep_directory(ctx.drained.clone()));
    ctx.spawn("consent feed", service.clone().follow_consent(ctx.shutdown.clone()));
    ctx.spawn("presence", service.clone().keep_present(ctx.drained.clone()));
    ctx.spawn("housekeeping", service.clone().keep_house(ctx.shutdown.clone()));

    let grpc = Grpc::new(service, ctx.shutdown.clone());
    let max = ctx.max_message_bytes;
    Ok(App::new()
        .add(BusinessServiceServer::new(grpc.clone()).max_decoding_message_size(max))
        .add(DirectoryServiceServer::new(grpc.clone()).max_decoding_message_size(max))
        .add(AudienceServiceServer::new(grpc.clone()).max_decoding_message_size(max))
        .add(TargetingServiceServer::new(grpc.clone()).max_decoding_message_size(max))
        .add(TransparencyServiceServer::new(grpc.clone()).max_decoding_message_size(max))
        .add(UsageServiceServer::new(grpc).max_decoding_message_size(max)))
}
