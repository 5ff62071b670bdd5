//! What an operator sees of the upstreams.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use opentelemetry::{KeyValue, metrics::Meter};

use super::Upstream;

/// Counts of one upstream since the start. Plain atomics, which the meter reads when it is asked.
#[derive(Default)]
pub(super) struct Counts {
    /// Calls sent again.
    pub(super) retries: AtomicU64,
    /// Endpoints ejected.
    pub(super) ejections: AtomicU64,
}

/// Makes the meter report the counts of these upstreams.
pub(crate) fn report(meter: &Meter, upstreams: &[&Upstream]) {
    let all: Vec<_> = upstreams
        .iter()
        .map(|upstream| (upstream.counts.clone(), [KeyValue::new("upstream", upstream.name)]))
        .collect();
    let counter = |name, description, count: fn(&Counts) -> &AtomicU64| {
        let all: Vec<(Arc<Counts>, _)> = all.clone();
        meter
            .u64_observable_counter(name)
            .with_description(description)
            .with_callback(move |observer| {
                for (counts, upstream) in &all {
                    observer.observe(count(counts).load(Relaxed), upstream);
                }
            })
            .build();
    };
    counter("gateway_upstream_retries", "Calls sent again, by upstream", |counts| &counts.retries);
    counter(
        "gateway_upstream_ejections",
        "Endpoints that got no more calls because calls failed there, by upstream",
        |counts| &counts.ejections,
    );
}
