//! What keeps the cache up: leases are renewed, connections made, and a cache that was closed, or
//! whose primary is another server now, is opened in a new generation.

use std::sync::Arc;

use opentelemetry::KeyValue;
use service_kit::context::Context;
use tokio::time::{Duration, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Fault, Node, Redis};
use crate::store::Store;

/// Starts the tasks.
pub(in crate::cache) fn keep(ctx: &Context, store: &Store, redis: &Arc<Redis>) {
    let age = Arc::downgrade(redis);
    ctx.meter
        .f64_observable_gauge("consent_lease_age_seconds")
        .with_description("How long ago the oldest lease in use began")
        .with_callback(move |gauge| {
            if let Some(age) = age.upgrade().and_then(|redis| redis.leases.age()) {
                gauge.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
    let primaries = Arc::downgrade(redis);
    ctx.meter
        .u64_observable_gauge("consent_redis_up")
        .with_description("Whether a Redis primary is connected (1) or not (0), by its place")
        .with_callback(move |gauge| {
            let Some(redis) = primaries.upgrade() else { return };
            for (at, node) in redis.nodes.iter().enumerate() {
                let place = KeyValue::new("primary", i64::try_from(at).unwrap_or(i64::MAX));
                gauge.observe(node.primary.is_connected().into(), &[place]);
            }
        })
        .build();
    ctx.spawn("leases", renew(store.clone(), redis.clone(), ctx.drained.clone()));
    for at in 0..redis.nodes.len() {
        ctx.spawn("redis", tend(store.clone(), redis.clone(), at, ctx.drained.clone()));
    }
}

async fn renew(store: Store, redis: Arc<Redis>, drained: CancellationToken) {
    let mut ticks = interval(redis.terms.renewal());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = drained.cancelled() => return,
        }
        match store.pulse().await {
            Ok(pulse) => {
                redis.leases.learn(pulse.asked, pulse.answered, pulse.rows);
            }
            // The leases run out.
            Err(error) => tracing::warn!(%error, "the cache's leases could not be renewed"),
        }
    }
}

async fn tend(store: Store, redis: Arc<Redis>, at: usize, drained: CancellationToken) {
    let mut ticks = interval(redis.terms.renewal().min(Duration::from_millis(500)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = drained.cancelled() => return,
        }
        let fault = look_after(&store, &redis, &redis.nodes[at], at).await.err();
        match (&fault, well) {
            (Some(fault), true) => {
                tracing::warn!(primary = at, %fault, "Redis is of no use: checks read the database");
            }
            (None, false) => tracing::info!(primary = at, "Redis is back"),
            _ => {}
        }
        well = fault.is_none();
    }
}

async fn look_after(store: &Store, redis: &Redis, node: &Node, at: usize) -> Result<(), Fault> {
    if !node.primary.is_connected() {
        node.primary.connect().await?;
    }
    let identity = node.primary.identity().await?;
    let latest = redis.leases.latest();
    let Some(lease) = latest.get(at) else { return Ok(()) };
    let row = &lease.row;
    if row.primaries != redis.nodes.len() || (row.open && row.identity == identity) {
        return Ok(());
    }
    match store.open_generation(row, &identity).await {
        Ok(true) => {
            redis.metrics.generation("opened");
            tracing::info!(primary = at, "the cache is open, in a new generation");
        }
        // Somebody else was first, or it is to stay closed for a while.
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, primary = at, "the cache could not be opened"),
    }
    Ok(())
}
