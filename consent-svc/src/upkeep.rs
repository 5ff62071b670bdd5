//! What a service does beside its calls: it forgets what is old, clears fences whose owners died,
//! and tells the feed of deadlines that have passed.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use opentelemetry::KeyValue;
use service_kit::{clock::Clock, context::Context, store::StoreError};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::Cache,
    config::ConsentConfig,
    store::{Pending, Store},
};

/// How often old requests and entries are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);
/// How often fences are looked at, and the database is asked for the time.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// Looks every minute for erasures that followers have not acknowledged, and tells of them.
fn watch_erasures(ctx: &Context, store: &Store) {
    let pending: Arc<ArcSwap<Vec<Pending>>> = Arc::default();
    let seen = pending.clone();
    every(ctx, "pending erasures", FORGET_EVERY, store, move |store| {
        let seen = seen.clone();
        async move {
            seen.store(Arc::new(store.pending_erasures().await?));
            Ok(())
        }
    });
    let label = |of: &Pending| [KeyValue::new("follower", of.follower.clone())];
    let seen = pending.clone();
    ctx.meter
        .i64_observable_gauge("consent_erasures_pending")
        .with_description("Erasures that a follower has not acknowledged")
        .with_callback(move |gauge| {
            for of in seen.load().iter() {
                gauge.observe(of.count, &label(of));
            }
        })
        .build();
    ctx.meter
        .f64_observable_gauge("consent_erasure_pending_age")
        .with_unit("s")
        .with_description("How long a follower has not acknowledged the oldest of its erasures")
        .with_callback(move |gauge| {
            for of in pending.load().iter() {
                gauge.observe(of.age.as_secs_f64(), &label(of));
            }
        })
        .build();
}

/// Starts the tasks.
pub(crate) fn start(ctx: &Context, store: &Store, cache: &Arc<Cache>, config: &ConsentConfig) {
    let (requests, feed) = (config.request_retention.get(), config.feed.retention.get());
    watch_erasures(ctx, store);
    every(ctx, "forgetting requests", FORGET_EVERY, store, move |store| async move {
        store.forget_requests(requests).await
    });
    every(ctx, "forgetting entries", FORGET_EVERY, store, move |store| async move {
        store.forget_feed(feed).await
    });
    every(
        ctx,
        "deadlines",
        config.feed.poll.get().max(Duration::from_millis(20)) * 5,
        store,
        |store| async move {
            while store.feed_due().await? {}
            while store.scan_due().await? {}
            Ok(())
        },
    );
    if store.is_shared() && !matches!(**cache, Cache::Redis(_)) {
        // With Redis, leases are renewed more often than that.
        every(ctx, "time", TIDY_EVERY, store, |store| async move { store.pulse().await.map(drop) });
    }
    if matches!(**cache, Cache::Redis(_)) {
        every(
            ctx,
            "fences",
            TIDY_EVERY,
            store,
            |store| async move { store.clear_stale_fences().await },
        );
    }
}

/// Does something again and again, until draining begins.
fn every<F, Fut>(ctx: &Context, name: &'static str, pause: Duration, store: &Store, work: F)
where
    F: Fn(Store) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), StoreError>> + Send,
{
    let (store, clock): (Store, Clock) = (store.clone(), ctx.clock.clone());
    let shutdown: CancellationToken = ctx.shutdown.clone();
    ctx.spawn(name, async move {
        loop {
            if let Err(error) = work(store.clone()).await {
                tracing::warn!(task = name, %error, "could not be done; it will be tried again");
            }
            tokio::select! {
                () = clock.sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    });
}
