//! The methods that a server has, by path, with what the layers need of each.

use std::{collections::HashMap, sync::Arc, time::Duration};

use opentelemetry::metrics::Meter;
use proto::contract::{self, Method};

use crate::telemetry::MethodMetrics;

/// Health and reflection: open to all, since they say nothing of anybody. The longest that a call
/// may take: a watch lasts as long as the server lets it. And whether the caller sends a stream.
const OPEN: [(&str, Duration, bool); 4] = [
    ("/grpc.health.v1.Health/Check", Duration::from_secs(5), false),
    ("/grpc.health.v1.Health/Watch", Duration::MAX, false),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Duration::from_mins(1), true),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Duration::from_mins(1),
        true,
    ),
];

/// At the edge, a caller may give a unary call so many times the method's default deadline: enough
/// for a slow network, not enough to hold a place for an hour.
const EDGE_DEADLINE_FACTOR: u32 = 3;

/// One method of a server.
pub(crate) struct Entry {
    /// Its path, or `unknown` for all that the server does not have.
    pub(super) path: String,
    /// What the contract says of it; `None` for open and unknown methods.
    pub(super) method: Option<&'static Method>,
    /// Whether anybody may call it, at any load.
    pub(super) open: bool,
    /// Whether the caller sends any number of messages, rather than one.
    pub(super) streams_in: bool,
    /// The deadline of a call that brings none.
    pub(super) default_deadline: Duration,
    /// The longest deadline that a caller may give.
    pub(super) max_deadline: Duration,
    pub(super) metrics: Arc<MethodMetrics>,
}

impl Entry {
    /// As in `assent.consent.v1.ConsentService/Check`.
    pub(super) fn name(&self) -> &str {
        self.path.trim_start_matches('/')
    }

    pub(super) fn is_known(&self) -> bool {
        self.open || self.method.is_some()
    }
}

/// The methods that a server has.
pub(crate) struct Methods {
    by_path: HashMap<String, Arc<Entry>>,
    unknown: Arc<Entry>,
}

impl Methods {
    /// The methods of the contract that `served` accepts, and the open ones. At the edge the
    /// deadlines that callers may give to unary calls are bounded by the contract's.
    pub(crate) fn new(served: impl Fn(&Method) -> bool, edge: bool, meter: &Meter) -> Self {
        let contract = contract::methods().filter(|method| served(method)).map(|method| {
            // A method without a deadline of its own gets the longest one.
            let deadline = Some(method.default_deadline).filter(|deadline| !deadline.is_zero());
            let deadline = deadline.unwrap_or(Duration::MAX);
            (method.path.clone(), Some(method), false, deadline, method.client_streaming)
        });
        let open =
            OPEN.map(|(path, deadline, streams)| (path.to_owned(), None, true, deadline, streams));
        let unknown = ("unknown".to_owned(), None, false, Duration::MAX, true);
        let all: Vec<_> = contract.chain(open).chain([unknown]).collect();
        let names = all.iter().map(|(path, ..)| path.trim_start_matches('/').to_owned());
        let metrics = MethodMetrics::register(meter, names);
        let mut entries: Vec<_> = all
            .into_iter()
            .zip(metrics)
            .map(|((path, method, open, default_deadline, streams_in), metrics)| {
                let max_deadline = match method {
                    Some(method)
                        if edge && !method.client_streaming && !method.server_streaming =>
                    {
                        default_deadline.saturating_mul(EDGE_DEADLINE_FACTOR)
                    }
                    _ => Duration::MAX,
                };
                Arc::new(Entry {
                    path,
                    method,
                    open,
                    streams_in,
                    default_deadline,
                    max_deadline,
                    metrics,
                })
            })
            .collect();
        // Unwrap safety: `unknown` is always there.
        #[allow(clippy::unwrap_used)]
        let unknown = entries.pop().unwrap();
        let by_path = entries.into_iter().map(|entry| (entry.path.clone(), entry)).collect();
        Self { by_path, unknown }
    }

    /// The method at a path, or the entry for those that are not here.
    pub(super) fn at(&self, path: &str) -> &Arc<Entry> {
        self.by_path.get(path).unwrap_or(&self.unknown)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::{MeterProvider as _, NoopMeterProvider};

    use super::*;

    #[test]
    fn the_edge_bounds_the_deadlines_of_unary_calls_alone() {
        const CHECK: &str = "/assent.consent.v1.ConsentService/Check";
        let meter = NoopMeterProvider::new().meter("test");
        let (edge, inside) =
            (Methods::new(|_| true, true, &meter), Methods::new(|_| true, false, &meter));
        let check = edge.at(CHECK);
        assert_eq!(check.max_deadline, check.default_deadline * 3);
        assert_eq!(inside.at(CHECK).max_deadline, Duration::MAX);
        for stream in [
            "/assent.consent.v1.ConsentService/WatchChanges",
            "/assent.suggest.v1.ContactService/SyncContacts",
            "/assent.audience.v1.AudienceService/AppendUpload",
            "/grpc.health.v1.Health/Watch",
        ] {
            assert_eq!(edge.at(stream).max_deadline, Duration::MAX, "{stream}");
        }
    }
}
