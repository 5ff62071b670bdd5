//! The call that is being handled: its ids, its method, its deadline.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use proto::contract::Method;
use tokio::time::Instant;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{framing::Fault, methods::Entry};

/// The header that carries the id of a request, chosen at the edge.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The W3C header that carries the trace and the caller's span.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    static CURRENT: Call;
}

/// The call that is being handled. Cheap to clone; in the extensions of its request, and at hand
/// as [`Call::current`] where no request is.
#[derive(Clone)]
pub struct Call(Arc<Inner>);

struct Inner {
    request_id: HeaderValue,
    trace: SpanContext,
    span: Span,
    entry: Arc<Entry>,
    started: Instant,
    deadline: Instant,
    fault: OnceLock<Fault>,
}

/// What is believed of a caller's headers, and how many calls are traced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trust {
    /// Whether callers choose request ids, and their trace goes on here. A trace that a stranger
    /// began is linked to, no more: else strangers could write into anybody's.
    pub(super) ids: bool,
    /// The share of other calls that is traced; `None`: no call is, ever.
    pub(super) trace_ratio: Option<f64>,
}

impl Call {
    /// The call of a request with these headers.
    pub(super) fn begin(
        headers: &HeaderMap,
        entry: Arc<Entry>,
        deadline: Instant,
        started: Instant,
        trust: Trust,
    ) -> Self {
        let given = headers.get(REQUEST_ID).filter(|id| trust.ids && is_request_id(id.as_bytes()));
        let told = headers.get(TRACEPARENT).and_then(|value| parse(value.as_bytes()));
        let (parent, stranger) = if trust.ids { (told, None) } else { (None, told) };
        let unique: u128 = rand::random();
        let request_id = given.cloned().unwrap_or_else(|| hex(unique));
        let sampled = trust.trace_ratio.is_some_and(|ratio| match &parent {
            Some(parent) => parent.is_sampled(),
            None => rand::random_bool(ratio.clamp(0.0, 1.0)),
        });
        let span = if sampled { server_span(&entry, parent.as_ref()) } else { Span::none() };
        if let (true, Some(stranger)) = (sampled, stranger) {
            span.add_link(stranger);
        }
        let trace = if sampled {
            span.context().span().span_context().clone()
        } else {
            // A call that began here has one id for the request and for the trace.
            let (trace, from) = parent.map_or_else(
                || (TraceId::from(unique), SpanId::from(rand::random::<u64>() | 1)),
                |parent| (parent.trace_id(), parent.span_id()),
            );
            SpanContext::new(trace, from, TraceFlags::NOT_SAMPLED, true, TraceState::default())
        };
        let fault = OnceLock::new();
        Self(Arc::new(Inner { request_id, trace, span, entry, started, deadline, fault }))
    }

    /// The call of a request that has passed the kit's layers.
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The call being handled by the handler, or the answering stream, that is running: not in
    /// tasks that a handler spawns.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// What to send as `x-request-id` when calling others for this call.
    pub fn request_id(&self) -> &HeaderValue {
        &self.0.request_id
    }

    /// When the call must have been answered.
    pub fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// When the call's headers had arrived.
    pub fn started(&self) -> Instant {
        self.0.started
    }

    /// What the contract says of the method; `None` for health and reflection.
    pub fn method(&self) -> Option<&'static Method> {
        self.0.entry.method
    }

    /// The id of the trace that the call belongs to, recorded or not.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace.trace_id()
    }

    /// The call's span, or what it belongs to when it is not recorded.
    pub(crate) fn trace(&self) -> &SpanContext {
        &self.0.trace
    }

    /// What to send as `traceparent` when calling others for this call.
    #[allow(clippy::missing_panics_doc)] // it cannot, as said below
    pub fn traceparent(&self) -> HeaderValue {
        let inner = Span::current().context().span().span_context().clone();
        let from =
            if inner.is_valid() && self.0.trace.is_sampled() { &inner } else { &self.0.trace };
        let (trace, span, flags) = (from.trace_id(), from.span_id(), from.trace_flags().to_u8());
        // Unwrap safety: hexadecimal digits and dashes.
        #[allow(clippy::unwrap_used)]
        HeaderValue::try_from(format!("00-{trace}-{span}-{flags:02x}")).unwrap()
    }

    /// What is wrong with how the caller has framed the request, once that was noticed.
    pub(super) fn fault(&self) -> &OnceLock<Fault> {
        &self.0.fault
    }

    pub(super) fn entry(&self) -> &Entry {
        &self.0.entry
    }

    pub(super) fn span(&self) -> &Span {
        &self.0.span
    }

    /// Makes this the current call while `poll` runs.
    pub(super) fn scope<R>(&self, poll: impl FnOnce() -> R) -> R {
        let _entered = self.0.span.enter();
        CURRENT.sync_scope(self.clone(), poll)
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("request_id", &self.0.request_id)
            .field("path", &self.0.entry.path)
            .finish_non_exhaustive()
    }
}

fn server_span(entry: &Entry, parent: Option<&SpanContext>) -> Span {
    let span = tracing::info_span!(
        "call",
        otel.name = entry.name(),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.method = entry.name(),
        rpc.grpc.status_code = field::Empty,
    );
    if let Some(parent) = parent {
        let sampled = SpanContext::new(
            parent.trace_id(),
            parent.span_id(),
            TraceFlags::SAMPLED,
            true,
            parent.trace_state().clone(),
        );
        // Fails only when nothing records spans, and then there is nothing to set.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(sampled));
    }
    span
}

/// 1 to 64 characters that need no escaping anywhere.
pub(super) fn is_request_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._~-".contains(byte);
    (1..=64).contains(&id.len()) && id.iter().all(plain)
}

fn hex(id: u128) -> HeaderValue {
    let mut text = [0; 32];
    // Unwrap safety: 16 bytes are 32 digits, and digits are allowed in headers.
    #[allow(clippy::unwrap_used)]
    {
        hex::encode_to_slice(id.to_be_bytes(), &mut text).unwrap();
        HeaderValue::from_bytes(&text).unwrap()
    }
}

/// The caller's span from a `traceparent` header: `00-<trace>-<span>-<flags>` and, in later
/// versions, more after it.
pub(super) fn parse(header: &[u8]) -> Option<SpanContext> {
    let text = std::str::from_utf8(header).ok()?;
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let (span, flags) = (parts.next()?, parts.next()?);
    let lengths = [version.len(), trace.len(), span.len(), flags.len()] == [2, 32, 16, 2];
    let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    let known_end = version != "00" || parts.next().is_none();
    if !lengths || version == "ff" || !known_end || !text.bytes().take(55).all(is_lower_hex) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()? & 1),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparent_is_read_as_the_standard_says() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = parse(good.as_bytes()).map(|context| context.is_sampled());
        assert_eq!(parsed, Some(true));
        let later = format!("01{}-extra", &good[2..]);
        assert!(parse(later.as_bytes()).is_some());
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_plain_request_ids_are_taken_over() {
        assert!(is_request_id(b"3f2a.b_c~d-9"));
        for bad in [&b""[..], b"a b", b"a\"b", &[b'a'; 65], "é".as_bytes()] {
            assert!(!is_request_id(bad));
        }
    }
}
