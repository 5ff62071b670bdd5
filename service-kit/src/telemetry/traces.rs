//! Traces: which calls are recorded, and where spans go.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TraceState},
};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::trace::{
    Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
};

use super::{TelemetryError, resource};
use crate::{config::TelemetryConfig, layers::Call};

/// The provider of the process's spans; `None` when they would go nowhere.
pub(super) fn provider(
    name: &'static str,
    config: &TelemetryConfig,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    let exporter =
        opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let root = RootSampler { outside_calls: Sampler::TraceIdRatioBased(config.trace_ratio) };
    let provider = SdkTracerProvider::builder()
        .with_resource(resource(name))
        .with_sampler(Sampler::ParentBased(Box::new(root)))
        .with_batch_exporter(exporter)
        .build();
    Ok(Some(provider))
}

/// Decides about spans without a parent. Whether a call is traced was decided before its span was
/// made (calls that are not have none), so a server's span is kept, and other spans within a call
/// belong to one that is not traced.
#[derive(Debug, Clone)]
struct RootSampler {
    outside_calls: Sampler,
}

impl ShouldSample for RootSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let decision = match (kind, Call::current()) {
            (SpanKind::Server, _) => SamplingDecision::RecordAndSample,
            (_, Some(_)) => SamplingDecision::Drop,
            (_, None) => {
                let ratio = &self.outside_calls;
                return ratio.should_sample(parent, trace_id, name, kind, attributes, links);
            }
        };
        SamplingResult { decision, attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}
