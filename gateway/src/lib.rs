//! The edge of Assent: the one place where outside callers come in.
//!
//! Driven by the contract: every PUBLIC method has a route to the service of its package, and
//! INTERNAL ones do not exist. Who may call what is decided here by role; whether a caller may
//! touch this subject or that audience is decided by the service that owns it, which verifies the
//! same token again. The gateway keeps no store.

mod config;
mod derived_id;
mod edge;
mod erase_account;
mod error;
mod export_account;
mod grpc;
mod headers;
mod pages;
mod quota;
mod register_account;
mod relay;
mod routes;
mod upstream;
mod web;

use axum::Router;
use proto::gateway::v1::account_service_server::AccountServiceServer;
use service_kit::{
    boot::{App, BootError, Service},
    context::Context,
};

pub use config::{GatewayConfig, UpstreamConfig, Upstreams, WebConfig};
pub use pages::use_small_pages;
pub use quota::{QuotaConfig, Rate, RoleQuota};

use edge::Edge;
use grpc::AccountApi;
use quota::{Metered, Quotas};
use routes::{Routes, Services};

/// The body of a request on its way in, of an answer on its way out.
type Body = axum::body::Body;

/// The edge as a service of the kit.
#[derive(Debug)]
pub struct Gateway;

impl Service for Gateway {
    const NAME: &'static str = "gateway";

    type Config = GatewayConfig;

    async fn build(ctx: &Context, config: GatewayConfig) -> Result<App, BootError> {
        let services = Services::new(&config.upstreams, &ctx.meter)?;
        if ctx.service_token.is_none() && !config.upstreams.show_certificates() {
            return Err(BootError::other(
                "auth.service_key: needed to ask audience-svc and suggest-svc what they hold about \
                 a person, unless both have a certificate_file in upstreams",
            ));
        }
        // Shown, not required: while one service is down, the calls of the others go on.
        for (name, upstream) in routes::public_services(&services) {
            ctx.readiness.observe(name, move || upstream::probe(upstream.clone()));
        }
        let routes = Routes::of_contract(&services)?;
        let account =
            AccountServiceServer::new(AccountApi::new(services, ctx.service_token.clone()))
                .max_decoding_message_size(ctx.max_message_bytes);
        let edge = Edge::new(routes, account);
        let edge = match Quotas::open(ctx, &config.quota)? {
            Some(quotas) => {
                Router::new().fallback_service(Metered { inner: edge, quotas: quotas.into() })
            }
            None => Router::new().fallback_service(edge),
        };
        let app = App::proxy(edge, proto::PUBLIC_DESCRIPTOR_SET, routes::is_public);
        web::serve(app, &config.web)
    }

    /// The gateway has no store.
    async fn migrate(_: &GatewayConfig) -> Result<(), BootError> {
        Ok(())
    }
}
