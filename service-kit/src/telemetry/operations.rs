//! What a service asks of databases: how long each operation took, and a span of each within a
//! call that is traced.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue, global,
    metrics::{Histogram, Meter},
    trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _},
};

use crate::layers::Call;

/// Upper bounds of the buckets of `db_client_operation_duration_seconds`: from a look-up in Redis
/// to a statement that is about to be given up.
const DURATION_BUCKETS: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// Operations of one kind of database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Operations {
    system: &'static str,
    duration: Histogram<f64>,
}

impl Operations {
    /// Operations of a database `system`, as OpenTelemetry names it (`postgresql`, `sqlite`,
    /// `redis`), measured by `meter` as `db_client_operation_duration_seconds`.
    pub fn new(meter: &Meter, system: &'static str) -> Self {
        let duration = meter
            .f64_histogram("db.client.operation.duration")
            .with_unit("s")
            .with_description("Time that a statement or a command took, by its kind")
            .with_boundaries(DURATION_BUCKETS.to_vec())
            .build();
        Self { system, duration }
    }

    /// An operation has ended that took so long. `target` is what it was done to (a table), and
    /// only seen in traces; neither may hold anything that a caller sent.
    pub fn done<'a>(
        &self,
        operation: &'static str,
        target: impl FnOnce() -> &'a str,
        took: Duration,
        failed: bool,
    ) {
        let attributes = [
            KeyValue::new("db.system.name", self.system),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("error.type", "_OTHER"),
        ];
        // As the conventions have it: there is no type of error where there was none.
        let attributes = if failed { &attributes[..] } else { &attributes[..2] };
        self.duration.record(took.as_secs_f64(), attributes);
        let name = || Cow::Owned(format!("{operation} {}", target()));
        span(name, took, failed, || attributes.to_vec());
    }
}

/// What a call waited for has ended: a span of its trace, if it is traced. For work that is
/// gathered from many calls and done in none of them. `name` may hold nothing that a caller sent.
pub fn waited(name: &'static str, took: Duration, failed: bool) {
    span(|| Cow::Borrowed(name), took, failed, Vec::new);
}

fn span(
    name: impl FnOnce() -> Cow<'static, str>,
    took: Duration,
    failed: bool,
    attributes: impl FnOnce() -> Vec<KeyValue>,
) {
    let Some(call) = Call::current() else { return };
    if !call.trace().is_sampled() {
        return;
    }
    let parent = Context::new().with_remote_span_context(call.trace().clone());
    let tracer = global::tracer("assent");
    let end = SystemTime::now();
    let mut span = tracer
        .span_builder(name())
        .with_kind(SpanKind::Client)
        .with_start_time(end.checked_sub(took).unwrap_or(end))
        .with_attributes(attributes())
        .start_with_context(&tracer, &parent);
    if failed {
        span.set_status(Status::error(""));
    }
    span.end_with_timestamp(end);
}
