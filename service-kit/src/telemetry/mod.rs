//! Logs, traces and metrics.
//!
//! Logs and traces are one for the process; metrics are one for each service in it, labelled with
//! its name. Calls that are not traced cost no span: log lines get their request and trace id from
//! the [`Call`](crate::layers::Call) that is being handled.

mod feed;
mod logs;
mod metrics;
mod operations;
mod runtime;
mod traces;

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

use crate::config::TelemetryConfig;

pub use feed::FeedMetrics;
pub(crate) use metrics::{MethodMetrics, ServiceMetrics, code_name};
pub use operations::{Operations, waited};
pub(crate) use runtime::report as report_process;

/// How long the last spans and metrics may take to be sent when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log_filter` or `RUST_LOG` is not a filter.
    #[error("telemetry: not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something else has installed a subscriber.
    #[error("telemetry: {0}")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
    /// The OTLP exporter could not be made.
    #[error("telemetry: otlp_endpoint: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The Prometheus exporter could not be made.
    #[error("telemetry: {0}")]
    Metrics(String),
}

/// The telemetry of a process. Clones share it.
#[derive(Debug, Clone)]
pub struct Telemetry {
    config: TelemetryConfig,
    tracer_provider: Option<Arc<SdkTracerProvider>>,
}

impl Telemetry {
    /// Installs the subscriber of the process `name`, and its exporters. Once for a process, in
    /// a tokio runtime.
    pub fn install(name: &'static str, config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        let tracer_provider = traces::provider(name, config)?.map(Arc::new);
        logs::install(config, tracer_provider.as_deref())?;
        if let Some(provider) = &tracer_provider {
            opentelemetry::global::set_tracer_provider(SdkTracerProvider::clone(provider));
        }
        logs::hide_panic_messages();
        Ok(Self { config: config.clone(), tracer_provider })
    }

    /// Exports nothing and leaves the process's subscriber alone: for tests.
    pub fn quiet() -> Self {
        Self { config: TelemetryConfig::default(), tracer_provider: None }
    }

    /// The share of calls to trace when the caller does not decide; `None` when nothing is traced.
    pub(crate) fn trace_ratio(&self) -> Option<f64> {
        self.tracer_provider.as_ref().map(|_| self.config.trace_ratio)
    }

    /// The metrics of one service in this process.
    pub(crate) fn service(&self, name: &'static str) -> Result<ServiceMetrics, TelemetryError> {
        ServiceMetrics::new(name, &self.config)
    }

    /// Sends what has not been sent yet. Call it last.
    pub async fn flush(&self) {
        let Some(provider) = self.tracer_provider.clone() else { return };
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH_TIMEOUT));
        if let Ok(Err(error)) = flushed.await {
            tracing::warn!(%error, "spans were lost");
        }
    }
}

fn resource(name: &'static str) -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_service_name(name).with_attribute(version).build()
}
