//! Log lines on standard output, each with the ids of the call that it belongs to.

use std::{env, fmt, io::IsTerminal as _, panic};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::filter_fn,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{DefaultFields, JsonFields, Writer},
    },
    layer::SubscriberExt as _,
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use super::TelemetryError;
use crate::{
    config::{LogFormat, TelemetryConfig},
    layers::Call,
};

/// Libraries below whose spans and events stay out of traces.
const OTHERS: [&str; 6] = ["h2", "hyper", "opentelemetry", "rustls", "tonic", "tower"];

pub(super) fn install(
    config: &TelemetryConfig,
    traces: Option<&SdkTracerProvider>,
) -> Result<(), TelemetryError> {
    let filter = env::var("RUST_LOG").unwrap_or_else(|_| config.log_filter.clone());
    let filter = EnvFilter::builder().parse(filter)?;
    let lines = tracing_subscriber::fmt::layer();
    let lines = match config.log_format {
        LogFormat::Human => {
            let color = std::io::stdout().is_terminal();
            let format = tracing_subscriber::fmt::format().with_ansi(color);
            let fields = DefaultFields::new();
            lines
                .fmt_fields(fields)
                .with_ansi(color)
                .event_format(WithCall { format, end: "" })
                .boxed()
        }
        LogFormat::Json => {
            let format = tracing_subscriber::fmt::format().json().flatten_event(true);
            let format = format.with_current_span(false).with_span_list(false);
            let fields = JsonFields::new();
            lines.fmt_fields(fields).event_format(WithCall { format, end: "}" }).boxed()
        }
    };
    let spans = traces.map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("assent"));
        // What the libraries below tell of themselves belongs in no trace, and what the exporter
        // tells would feed on itself.
        let ours = |target: &str| OTHERS.iter().all(|other| !target.starts_with(other));
        let ours = filter_fn(move |meta| *meta.level() <= Level::INFO && ours(meta.target()));
        layer.with_location(false).with_threads(false).with_filter(ours)
    });
    tracing_subscriber::registry().with(spans).with(lines.with_filter(filter)).try_init()?;
    Ok(())
}

/// A format of events, with `request_id` and `trace_id` of the current call at the end of the
/// line. `end` is what closes a line of the format, before its line break.
struct WithCall<F> {
    format: F,
    end: &'static str,
}

impl<S, N, F> FormatEvent<S, N> for WithCall<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(call) = Call::current() else {
            return self.format.format_event(ctx, writer, event);
        };
        let mut line = String::new();
        let inner = Writer::new(&mut line);
        self.format.format_event(ctx, inner, event)?;
        let line = line.trim_end_matches('\n');
        let line = line.strip_suffix(self.end).unwrap_or(line);
        let (request_id, trace_id) = (call.request_id().to_str().unwrap_or(""), call.trace_id());
        if self.end.is_empty() {
            writeln!(writer, "{line} request_id={request_id} trace_id={trace_id}")
        } else {
            // Both are of characters that JSON does not escape.
            writeln!(
                writer,
                r#"{line},"request_id":"{request_id}","trace_id":"{trace_id}"{}"#,
                self.end
            )
        }
    }
}

/// A panic's message may quote the data that it was about (a slice out of bounds quotes the
/// string), so only its place is logged.
pub(super) fn hide_panic_messages() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
