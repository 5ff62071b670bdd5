//! suggest-svc: people a person may know, from address books and existing connections, and from
//! nothing that anyone involved did not agree to.
//!
//! ```text
//! grpc ──▶ use cases ──▶ domain (pure rules) ──▶ graph (pure, in memory)
//!              ├──▶ store (the record of truth)      ▲
//!              ├──▶ consents (consent-svc)           │ read whole at start, then
//!              └──▶ live ───────────────────────────-┘ moved on by the store's changes
//! ```

mod asking;
mod clearing;
pub mod config;
mod consents;
pub mod domain;
mod error;
mod explain;
mod export;
mod exposure;
mod feedback;
mod following;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
mod grpc;
mod live;
mod pace;
mod preferences;
mod put_connections;
mod put_identifiers;
mod ranges;
mod seal;
mod service;
mod sketch;
mod spam;
mod store;
mod suggest;
mod suggestion_id;
mod sync_contacts;

use std::{sync::atomic::Ordering, time::Duration};

use proto::suggest::v1::{
    contact_service_server::ContactServiceServer, graph_service_server::GraphServiceServer,
    spam_service_server::SpamServiceServer, suggestion_service_server::SuggestionServiceServer,
};
use service_kit::{
    boot::{App, BootError, Service},
    client,
    clock::UnixMillis,
    config::Span,
    context::Context,
};

use config::SuggestConfig;
use consents::Consents;
use following::Following;
use grpc::{ContactRpc, GraphRpc, SpamRpc, SuggestionRpc};
use live::Live;
use service::Suggest;
use store::Store;

/// How often what need not be remembered any longer is forgotten.
const PRUNE_INTERVAL: Duration = Duration::from_mins(1);

/// The service, for [`service_kit::boot`].
#[derive(Debug)]
pub struct SuggestService;

impl Service for SuggestService {
    const NAME: &'static str = "suggest-svc";
    type Config = SuggestConfig;

    async fn build(ctx: &Context, config: SuggestConfig) -> Result<App, BootError> {
        let upstream = client::connect(&config.consent, ctx.service_token.clone())
            .map_err(BootError::other)?;
        let store = Store::open(&config.store).await?;
        store.report(&ctx.meter);
        let probe = store.clone();
        ctx.readiness.require("store", move || {
            let store = probe.clone();
            async move { store.ping().await }
        });
        let live =
            Live::load(store.clone(), ctx.clock.clone(), config.graph.snapshot.clone()).await?;
        let consents = Consents::new(upstream, ctx.max_message_bytes);
        let following = Following::new(&ctx.meter);
        let suggest = Suggest::new(ctx.clock.clone(), store, live, consents, following, &config)
            .map_err(BootError::other)?;
        background(ctx, &suggest, &config);
        observe(ctx, &suggest);
        report(ctx, &suggest);
        let limit = ctx.max_message_bytes;
        let graph = GraphServiceServer::new(GraphRpc(suggest.clone()));
        let contact = ContactServiceServer::new(ContactRpc(suggest.clone()));
        let spam = SpamServiceServer::new(SpamRpc(suggest.clone()));
        let suggestion = SuggestionServiceServer::new(SuggestionRpc(suggest));
        Ok(App::new()
            .add(graph.max_decoding_message_size(limit))
            .add(contact.max_decoding_message_size(limit))
            .add(spam.max_decoding_message_size(limit))
            .add(suggestion.max_decoding_message_size(limit)))
    }

    async fn migrate(config: &SuggestConfig) -> Result<(), BootError> {
        Ok(Store::migrate(&config.store).await?)
    }
}

/// What operators see of ranges of numbers over their budget.
fn report(ctx: &Context, suggest: &Suggest) {
    let figures = suggest.ranges.figures();
    ctx.meter
        .u64_observable_gauge("suggest_ranges_over_budget")
        .with_description("Ranges of phone numbers in which nobody is newly found")
        .with_callback(move |gauge| gauge.observe(figures.closed.load(Ordering::Relaxed), &[]))
        .build();
    let figures = suggest.ranges.figures();
    ctx.meter
        .u64_observable_counter("suggest_syncs_not_counted")
        .with_description("Syncs whose finds were not counted in ranges: too many waited")
        .with_callback(move |count| count.observe(figures.uncounted.load(Ordering::Relaxed), &[]))
        .build();
}

/// Follows the store and forgets what is old, until the drain begins.
fn background(ctx: &Context, suggest: &Suggest, config: &SuggestConfig) {
    let changes = &config.changes;
    let (follower, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    let interval = changes.follow_interval.get();
    ctx.spawn("follow", async move {
        shutdown.run_until_cancelled(follower.live.follow(interval)).await;
    });
    let (reviewer, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    ctx.spawn("review", async move {
        shutdown.run_until_cancelled(reviewer.review()).await;
    });
    let (keeper, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    let interval = config.graph.snapshot_interval.get();
    ctx.spawn("graph", async move {
        shutdown.run_until_cancelled(keeper.live.keep(interval)).await;
    });
    let (finder, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    let interval = config.ranking.communities_interval.get();
    ctx.spawn("communities", async move {
        shutdown.run_until_cancelled(finder.live.find_communities(interval)).await;
    });
    let (follower, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    ctx.spawn("consent feed", async move {
        shutdown.run_until_cancelled(follower.follow_consent()).await;
    });
    let (counter, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    ctx.spawn("ranges", async move {
        shutdown.run_until_cancelled(counter.ranges.keep_counting(&counter.live)).await;
    });
    let (pruner, shutdown) = (suggest.clone(), ctx.shutdown.clone());
    let (keep, keep_requests) = (changes.keep, changes.keep_requests);
    ctx.spawn("prune", async move {
        shutdown.run_until_cancelled(prune(pruner, keep, keep_requests)).await;
    });
}

/// Shows how current what is known of people's consent is. Calls are answered without it: they
/// ask consent-svc.
fn observe(ctx: &Context, suggest: &Suggest) {
    let probe = suggest.clone();
    ctx.readiness.observe("consent feed", move || std::future::ready(probe.following.probe()));
}

async fn prune(suggest: Suggest, keep: Span, keep_requests: Span) {
    // What is kept for less than a minute is not kept for one.
    let pause = keep.get().clamp(Duration::from_secs(1), PRUNE_INTERVAL);
    let mut cleared: Option<UnixMillis> = None;
    loop {
        suggest.clock.sleep(pause).await;
        let now = suggest.clock.now();
        let (changes, requests) = (now.minus(keep.get()), now.minus(keep_requests.get()));
        if let Err(error) = suggest.store.prune(changes, requests).await {
            tracing::warn!(%error, "cannot forget what is old");
        }
        if let Err(error) = suggest.store.forget_empty_buckets(now).await {
            tracing::warn!(%error, "cannot forget empty buckets");
        }
        if let Err(error) = suggest.store.forget_empty_ranges(now).await {
            tracing::warn!(%error, "cannot forget empty ranges");
        }
        match suggest.store.forget_lapsed(now).await {
            Ok(()) => suggest.live.written(),
            Err(error) => tracing::warn!(%error, "cannot forget whose consent has ended"),
        }
        if let Err(error) = suggest.forget_feedback(now).await {
            tracing::warn!(%error, "cannot forget feedback that is over");
        }
        // As seldom as this: all books are read.
        if cleared.is_none_or(|cleared| now >= cleared.plus(keep.get())) {
            cleared = Some(now);
            if let Err(error) = suggest.clear_books().await {
                tracing::warn!(%error, "cannot clear address books of who has left");
            }
        }
        // After what names them was forgotten: that is what they wait for.
        if let Err(error) = suggest.acknowledge_erasures().await {
            tracing::warn!(%error, "erasures could not be acknowledged");
        }
    }
}
