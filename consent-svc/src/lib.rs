//! Records what people chose and answers "may we?".
//!
//! From the outside in: `grpc` turns messages into domain types, one file a use case lets a rule
//! meet the store, `domain` holds the rules, `store` is all that knows the database.

pub mod config;
pub mod domain;
mod error;
mod grpc;
mod store;

mod check;
mod create_policy;
mod publish_policy;
mod put_subject;
mod record_decision;
mod record_notice_served;
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

use crate::{config::ConsentConfig, grpc::Handlers, store::Store};

/// The service: policies, decisions, checks.
#[derive(Debug)]
pub struct ConsentService;

impl Service for ConsentService {
    const NAME: &'static str = "consent-svc";

    type Config = ConsentConfig;

    async fn build(ctx: &Context, config: ConsentConfig) -> Result<App, BootError> {
        let retention = config.request_retention.get();
        let store = Store::open(ctx, &config.store, &config.writer, retention).await?;
        let secret = if config.page_token_secret.is_empty() {
            rand::random::<[u8; 32]>().to_vec()
        } else {
            config.page_token_secret.expose().as_bytes().to_vec()
        };
        let handlers = Handlers::new(ctx, store, PageTokens::new(&secret));
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
