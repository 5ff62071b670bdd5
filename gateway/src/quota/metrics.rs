//! What quotas count.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use opentelemetry::{
    KeyValue,
    metrics::{Meter, ObservableCounter},
};
use proto::options::v1::{QuotaClass, Role};

use super::{CLASSES, refusal::Refusal, refusal::class_name, shared::Shared, table::Table};

/// Roles, the unspecified one included, by their number.
const ROLES: usize = 7;
/// What a call may have been refused for: its class's rate, or calls in progress.
const LIMITS: usize = CLASSES + 1;

/// Plain atomics, which the meter reads when it is asked: a refusal must be cheap.
#[derive(Default)]
pub(super) struct Metrics {
    refused: [[AtomicU64; LIMITS]; ROLES],
    by_share: AtomicU64,
}

impl Metrics {
    /// Counts reported by `meter`.
    pub(super) fn register(
        meter: &Meter,
        table: &Arc<Table>,
        shared: Option<&Arc<Shared>>,
    ) -> Arc<Self> {
        let metrics = Arc::new(Self::default());
        let counted = metrics.clone();
        meter
            .u64_observable_counter("gateway_quota_refused")
            .with_description("Calls refused, by role and by limit: a class, or IN_PROGRESS")
            .with_callback(move |observer| {
                // Zeros too: alarms and rates need series before anything has happened. But nobody
                // who was let in is of no role.
                for (role, limits) in counted.refused.iter().enumerate().skip(1) {
                    for (limit, count) in limits.iter().enumerate() {
                        let count = count.load(Ordering::Relaxed);
                        observer.observe(count, &[role_label(role), limit_label(limit)]);
                    }
                }
            })
            .build();
        let kept = table.clone();
        meter
            .u64_observable_gauge("gateway_quota_principals")
            .with_description("Principals kept in memory")
            .with_callback(move |observer| observer.observe(kept.len() as u64, &[]))
            .build();
        let kept = table.clone();
        counter(meter, "gateway_quota_forgotten", "Principals forgotten at max_principals", {
            move || kept.forgotten()
        });
        if let Some(shared) = shared {
            let counted = metrics.clone();
            let what = "Calls counted by this replica's own share, because Redis did not answer";
            counter(meter, "gateway_quota_by_share", what, move || {
                counted.by_share.load(Ordering::Relaxed)
            });
            let shared = shared.clone();
            meter
                .u64_observable_gauge("gateway_quota_redis_up")
                .with_description("Whether Redis counts the calls: 1, or 0")
                .with_callback(move |observer| observer.observe(shared.is_up().into(), &[]))
                .build();
        }
        metrics
    }

    pub(super) fn refused(&self, role: Role, class: usize, refusal: Refusal) {
        let limit = match refusal {
            Refusal::Rate(_) => class,
            Refusal::InProgress => CLASSES,
        };
        self.refused[role as usize % ROLES][limit].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn by_share(&self) {
        self.by_share.fetch_add(1, Ordering::Relaxed);
    }
}

fn counter(
    meter: &Meter,
    name: &'static str,
    description: &'static str,
    count: impl Fn() -> u64 + Send + Sync + 'static,
) -> ObservableCounter<u64> {
    meter
        .u64_observable_counter(name)
        .with_description(description)
        .with_callback(move |observer| observer.observe(count(), &[]))
        .build()
}

fn role_label(role: usize) -> KeyValue {
    let role = i32::try_from(role).ok().and_then(|role| Role::try_from(role).ok());
    let name = role.unwrap_or_default().as_str_name();
    KeyValue::new("role", name.trim_start_matches("ROLE_"))
}

fn limit_label(limit: usize) -> KeyValue {
    // As `index` in mod.rs orders them.
    let classes = [QuotaClass::Check, QuotaClass::Read, QuotaClass::Write, QuotaClass::Bulk];
    KeyValue::new("limit", classes.get(limit).map_or("IN_PROGRESS", |class| class_name(*class)))
}
