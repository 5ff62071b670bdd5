//! Records what people chose and answers "may we?".
//!
//! From the outside in: `grpc` turns messages into domain types, one file a use case lets a rule
//! meet the store, `domain` holds the rules, `store` is all that knows the database.

mod audit;
mod cache;
pub mod config;
pub mod domain;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
pub mod mutant;
pub mod receipt;
mod store;
mod upkeep;
mod writer;

mod check;
mod consent;
mod create_policy;
mod erase_subject;
mod get_receipt;
mod link_subjects;
mod past;
mod publish_policy;
mod put_subject;
mod record_decision;
mod record_notice_served;
mod set_guardian;
mod watch;
mod withdraw;

mod examples;

use proto::consent::v1::{
    consent_service_server::ConsentServiceServer, policy_service_server::PolicyServiceServer,
};
use service_kit::{
    boot::{App, BootError, Service},
    context::Context,
    grpc::PageTokens,
};

pub use examples::example_policies;

use std::sync::Arc;

use crate::{
    audit::Audit,
    cache::{Cache, Metrics},
    check::Checker,
    config::ConsentConfig,
    get_receipt::Registrar,
    grpc::Handlers,
    store::Store,
    writer::Writer,
};

/// The service: policies, decisions, checks.
#[derive(Debug)]
pub struct ConsentService;

impl Service for ConsentService {
    const NAME: &'static str = "consent-svc";

    type Config = ConsentConfig;

    async fn build(ctx: &Context, config: ConsentConfig) -> Result<App, BootError> {
        let store = Store::open(ctx, &config).await?;
        // From here on it is known what time it is for the database.
        store.pulse().await?;
        let metrics = Metrics::new(&ctx.meter);
        let cache = Arc::new(Cache::start(ctx, &store, &config.cache, metrics.clone()).await?);
        let writer = Writer::start(ctx, &store, &cache, metrics.clone(), &config);
        let (audit, samples) = Audit::new();
        let checker = Checker::new(&store, &cache, metrics.clone(), audit);
        let samples = (samples, config.cache.audits_per_second);
        audit::start(ctx, &checker, &store, &cache, metrics, samples);
        upkeep::start(ctx, &store, &cache, &config);
        let secret = if config.page_token_secret.is_empty() {
            rand::random::<[u8; 32]>().to_vec()
        } else {
            config.page_token_secret.expose().as_bytes().to_vec()
        };
        let registrar = Registrar::new(&store, config.receipts, ctx.clock.now());
        let handlers = Handlers {
            store,
            registrar,
            writer,
            checker,
            pages: PageTokens::new(&secret),
            feed: config.feed,
            shutdown: ctx.shutdown.clone(),
            max_message_bytes: ctx.max_message_bytes,
        };
        let largest = handlers.max_message_bytes;
        let policies = PolicyServiceServer::new(handlers.clone());
        let consent = ConsentServiceServer::new(handlers);
        Ok(App::new()
            .add(policies.max_decoding_message_size(largest))
            .add(consent.max_decoding_message_size(largest)))
    }

    async fn migrate(config: &ConsentConfig) -> Result<(), BootError> {
        Ok(Store::migrate(&config.store).await?)
    }
}
