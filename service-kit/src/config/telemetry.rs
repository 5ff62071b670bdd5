//! The `telemetry` table.

use serde::{Deserialize, Serialize};

use super::Span;

/// Logs, traces and metrics of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetryConfig {
    /// How log lines on standard output look. Default `human`.
    pub log_format: LogFormat,
    /// What is logged, in the syntax of `RUST_LOG`, which overrides it. Default `info`.
    pub log_filter: String,
    /// Where traces and metrics are sent (OTLP over gRPC), as in `http://collector:4317`. Default:
    /// nowhere; Prometheus can always scrape the admin address.
    pub otlp_endpoint: Option<String>,
    /// How often metrics are sent there. Default 30 s.
    pub otlp_interval: Span,
    /// The share of calls that are traced when the caller does not decide, 0 to 1. Default 0.01.
    pub trace_ratio: f64,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text an event.
    Human,
    /// One JSON object an event.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Human,
            log_filter: "info".to_owned(),
            otlp_endpoint: None,
            otlp_interval: Span::from_secs(30),
            trace_ratio: 0.01,
        }
    }
}
