//! Spans as they reach a collector.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value::Value},
    trace::v1::span::SpanKind,
};
use prost::Message as _;

/// The prefix of a message in gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A span, with its ids in hexadecimal digits.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    is_of_a_client: bool,
}

impl Span {
    /// Whether it is of something that a store was asked for.
    pub(super) fn is_of_a_store(&self) -> bool {
        let of_a_store = ["SELECT ", "WITH ", "INSERT ", "UPDATE ", "DELETE ", "store "];
        self.is_of_a_client && of_a_store.iter().any(|verb| self.name.starts_with(verb))
    }
}

/// The spans among what a collector was sent.
pub(super) fn spans(exports: &[(String, Bytes)]) -> Vec<Span> {
    let mut spans = Vec::new();
    for (_, message) in exports.iter().filter(|(path, _)| path.contains("TraceService")) {
        let request = ExportTraceServiceRequest::decode(&message[PREFIX..]).unwrap();
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let service = attributes.into_iter().find(|one| one.key == "service.name").unwrap();
            let Some(AnyValue { value: Some(Value::StringValue(service)) }) = service.value else {
                panic!("a service without a name");
            };
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(Span {
                    service: service.clone(),
                    is_of_a_client: span.kind() == SpanKind::Client,
                    name: span.name,
                    trace: hex::encode(span.trace_id),
                    id: hex::encode(span.span_id),
                    parent: hex::encode(span.parent_span_id),
                });
            }
        }
    }
    spans
}
