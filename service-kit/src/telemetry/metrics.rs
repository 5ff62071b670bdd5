//! The metrics of a service: its meter, its Prometheus registry, and the counts of its calls.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter, MeterProvider as _},
};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prometheus::{Encoder as _, Registry, TextEncoder};
use tonic::Code;

use super::{FLUSH_TIMEOUT, TelemetryError, resource};
use crate::config::TelemetryConfig;

/// Upper bounds of the buckets of `assent_request_duration_seconds`: from a cached look-up to a
/// bulk stream.
const DURATION_BUCKETS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 60.0,
];

/// The canonical codes in the order of their numbers, as the contract spells them.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The canonical name of a code: `DEADLINE_EXCEEDED`.
pub(crate) fn code_name(code: Code) -> &'static str {
    CODES[code as usize % CODES.len()]
}

/// The meter of one service and where it is read. Clones share it.
#[derive(Clone)]
pub(crate) struct ServiceMetrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

impl ServiceMetrics {
    pub(super) fn new(
        name: &'static str,
        config: &TelemetryConfig,
    ) -> Result<Self, TelemetryError> {
        let label = HashMap::from([("service".to_owned(), name.to_owned())]);
        let failed = |error: &dyn fmt::Display| TelemetryError::Metrics(error.to_string());
        let registry = Registry::new_custom(None, Some(label)).map_err(|error| failed(&error))?;
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build()
            .map_err(|error| failed(&error))?;
        let mut builder =
            SdkMeterProvider::builder().with_resource(resource(name)).with_reader(exporter);
        if let Some(endpoint) = &config.otlp_endpoint {
            let exporter = opentelemetry_otlp::MetricExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .build()?;
            let interval = config.otlp_interval.get();
            builder = builder
                .with_reader(PeriodicReader::builder(exporter).with_interval(interval).build());
        }
        Ok(Self { registry, provider: builder.build() })
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("assent")
    }

    /// All metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Sends what has not been sent yet and stops.
    pub(crate) async fn shutdown(self) {
        let provider = self.provider;
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "metrics were lost");
        }
    }
}

/// The counts of one method's calls. They are plain atomics that the meter reads when it is
/// asked, so that a call pays for no look-up by attributes but the histogram's.
pub(crate) struct MethodMetrics {
    attributes: [KeyValue; 1],
    in_flight: AtomicI64,
    ended: [AtomicU64; CODES.len()],
    duration: Histogram<f64>,
}

impl MethodMetrics {
    /// Counts of the methods `names`, in their order, reported by `meter`.
    pub(crate) fn register(meter: &Meter, names: impl Iterator<Item = String>) -> Vec<Arc<Self>> {
        let duration = meter
            .f64_histogram("assent_request_duration")
            .with_unit("s")
            .with_description("Time from the arrival of a call's headers to the end of its answer")
            .with_boundaries(DURATION_BUCKETS.to_vec())
            .build();
        let methods: Vec<Arc<Self>> = names
            .map(|name| {
                Arc::new(Self {
                    attributes: [KeyValue::new("method", name)],
                    in_flight: AtomicI64::new(0),
                    ended: std::array::from_fn(|_| AtomicU64::new(0)),
                    duration: duration.clone(),
                })
            })
            .collect();
        let counted = methods.clone();
        meter
            .u64_observable_counter("assent_requests")
            .with_description("Calls that have ended, by method and canonical code")
            .with_callback(move |observer| {
                for method in &counted {
                    for (count, code) in method.ended.iter().zip(CODES) {
                        let count = count.load(Ordering::Relaxed);
                        if count > 0 {
                            let code = KeyValue::new("code", code);
                            observer.observe(count, &[method.attributes[0].clone(), code]);
                        }
                    }
                }
            })
            .build();
        let counted = methods.clone();
        meter
            .i64_observable_up_down_counter("assent_requests_in_flight")
            .with_description("Calls in progress, by method")
            .with_callback(move |observer| {
                for method in &counted {
                    observer.observe(method.in_flight.load(Ordering::Relaxed), &method.attributes);
                }
            })
            .build();
        methods
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, code: Code, took: Duration) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.ended[code as usize % CODES.len()].fetch_add(1, Ordering::Relaxed);
        self.duration.record(took.as_secs_f64(), &self.attributes);
    }
}
