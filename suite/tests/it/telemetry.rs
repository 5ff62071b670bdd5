//! What an operator sees: one call is one trace through all processes, every metric is described,
//! and what dashboards and alerts ask for is there.
//!
//! `ASSENT_ACCEPT_METRICS=1` writes the table of docs/telemetry.md anew.

mod exported;
mod spans;
mod watched;

use std::{collections::BTreeMap, fs, path::PathBuf};

use service_kit::test_util::{Collector, Postgres, Redis};

use self::{
    exported::{Described, described},
    spans::{Span, spans},
    watched::{Alert, alerts, dashboards, metrics_of, parts_of},
};
use crate::{
    canary::{
        needles::{Needles, sent},
        page, play,
    },
    cluster::{Cluster, Plan},
    support::Process,
};

const NAMES: [&str; 4] = ["consent-svc", "audience-svc", "suggest-svc", "gateway"];

/// What Prometheus itself tells of those whom it scrapes.
const OF_PROMETHEUS: &str = "up";

/// Labels that a series has only when something went wrong.
const ONLY_AT_TIMES: [&str; 1] = ["error_type"];

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All that a process printed.
fn log_of(process: &mut Process) -> String {
    process.terminate();
    String::from_utf8(process.printed()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_is_one_trace_from_the_gateway_to_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let (postgres, collector) = (Postgres::shared(), Collector::start().await);
    let plan = Plan {
        replicas: 1,
        database: &|| postgres.database(),
        consent: "",
        telemetry: &format!(
            "log_filter = \"info,assent::calls=debug\"\ntrace_ratio = 1.0\n\
             otlp_endpoint = \"{}\"\notlp_interval = \"1s\"",
            collector.url()
        ),
        gateway: "",
        tls: false,
    };
    let mut cluster = Cluster::start(directory.path(), &plan);
    cluster.ready();
    play(directory.path(), cluster.gateway()).await;
    // Callers first; each sends what it has left.
    let mut logs: BTreeMap<&str, String> = BTreeMap::new();
    for (name, process) in NAMES.iter().zip(&mut cluster.processes).rev() {
        logs.insert(name, log_of(process));
    }
    let exports = collector.exports();
    let spans = spans(&exports);

    for (method, service) in [
        ("assent.audience.v1.TargetingService/CheckMembership", "audience-svc"),
        ("assent.suggest.v1.SuggestionService/ListSuggestions", "suggest-svc"),
    ] {
        let at = |service: &str| {
            let mut found =
                spans.iter().filter(|span| span.service == service && span.name == method);
            found.next().unwrap_or_else(|| panic!("no span of {method} at {service}"))
        };
        let (gateway, served) = (at("gateway"), at(service));
        assert!(gateway.parent.is_empty(), "{gateway:?}");
        assert_eq!((&served.trace, &served.parent), (&gateway.trace, &gateway.id), "{served:?}");
        let below = |of: &Span| -> Vec<&Span> {
            let (trace, id) = (&of.trace, &of.id);
            spans.iter().filter(|span| span.trace == *trace && span.parent == *id).collect()
        };
        let called = below(served);
        let asked = called.iter().find(|span| span.service == "consent-svc");
        let asked = asked.unwrap_or_else(|| panic!("{method} asked consent-svc: {called:?}"));
        assert!(asked.name.starts_with("assent.consent.v1.ConsentService/"), "{asked:?}");
        let stored = below(asked);
        assert!(stored.iter().any(|span| span.is_of_a_store()), "{asked:?}: {stored:?}");
        assert!(stored.iter().all(|span| span.service == "consent-svc"), "{stored:?}");
        let own = called.iter().any(|span| span.is_of_a_store() && span.service == service);
        assert!(own, "{method} has spans of its own store: {called:?}");
        for name in ["gateway", service, "consent-svc"] {
            let says = format!("\"trace_id\":\"{}\"", gateway.trace);
            assert!(logs[name].contains(&says), "the log of {name} says {says}");
        }
    }

    for name in NAMES {
        let sent = exports.iter().any(|(path, message)| {
            let has = |what: &[u8]| message.windows(what.len()).any(|part| part == what);
            path.contains("MetricsService") && has(name.as_bytes()) && has(b"assent_request_dur")
        });
        assert!(sent, "{name} sent metrics");
    }
    let needles = Needles::of(sent());
    let within = |place: &str, bytes: &[u8]| {
        let found = needles.within(bytes);
        assert!(found.is_empty(), "{place} holds identifiers: {found:?}");
    };
    for (path, message) in &exports {
        within(path, message);
    }
    for (name, log) in &logs {
        within(name, log.as_bytes());
    }
}

/// Everything that the processes export once each method was called: with Redis, quotas, on
/// PostgreSQL; and with TLS.
async fn exported_by_processes() -> BTreeMap<String, Described> {
    let mut all = BTreeMap::new();
    let mut add = |cluster: &Cluster| {
        cluster.ready();
        for (name, url) in NAMES.iter().zip(&cluster.metrics) {
            let page = String::from_utf8(page(url)).unwrap();
            described(name, &page, &mut all);
        }
    };
    let (directory, redis) = (tempfile::tempdir().unwrap(), Redis::start());
    let plan = Plan {
        replicas: 1,
        database: &|| Postgres::shared().database(),
        consent: &format!("[cache]\nlease = \"200ms\"\nredis = [\"{}\"]", redis.database()),
        telemetry: "",
        gateway: &format!("[quota]\nredis_url = \"{}\"", redis.database()),
        tls: false,
    };
    let cluster = Cluster::start(directory.path(), &plan);
    cluster.ready();
    play(directory.path(), cluster.gateway()).await;
    add(&cluster);
    let secured = tempfile::tempdir().unwrap();
    let files = std::cell::Cell::new(0);
    let plan = Plan {
        database: &|| {
            files.set(files.get() + 1);
            format!("sqlite:{}/{}.sqlite", secured.path().display(), files.get())
        },
        consent: "",
        gateway: "",
        tls: true,
        ..plan
    };
    add(&Cluster::start(secured.path(), &plan));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_documented_and_watched_is_exported() {
    let exported = exported_by_processes().await;
    let (text, accept) = (read("docs/telemetry.md"), std::env::var("ASSENT_ACCEPT_METRICS"));
    if accept.is_ok() {
        fs::write(file("docs/telemetry.md"), exported::rewritten(&text, &exported)).unwrap();
    }
    let documented = exported::documented(&read("docs/telemetry.md"));
    for (name, metric) in &exported {
        let known = documented.get(name).unwrap_or_else(|| panic!("docs/telemetry.md: no {name}"));
        let same = |metric: &Described| {
            let mut metric = metric.clone();
            metric.labels.retain(|label| !ONLY_AT_TIMES.contains(&label.as_str()));
            metric
        };
        assert_eq!(same(known), same(metric), "docs/telemetry.md: {name}");
    }
    for name in documented.keys() {
        assert!(exported.contains_key(name), "docs/telemetry.md: nobody exports {name}");
    }

    let asked = dashboards().into_iter().chain(alerts().into_iter().map(|alert| {
        let Alert { name, expr, .. } = alert;
        (format!("alert {name}"), expr)
    }));
    for (place, expression) in asked {
        let metrics = metrics_of(&expression);
        assert!(!metrics.is_empty(), "{place} asks for nothing: {expression}");
        for name in metrics.iter().filter(|name| *name != OF_PROMETHEUS) {
            let metric = parts_of(name).find_map(|(name, kind)| {
                exported.get(name).filter(|metric| kind.is_none_or(|kind| metric.kind == kind))
            });
            let metric = metric.unwrap_or_else(|| panic!("{place}: nobody exports {name}"));
            for label in watched::labels_of(&expression, name) {
                let known = ["service", "le"].contains(&label.as_str())
                    || ONLY_AT_TIMES.contains(&label.as_str())
                    || metric.labels.contains(&label);
                assert!(known, "{place}: {name} has no label {label}");
            }
        }
    }
}

#[test]
fn every_alert_is_explained_and_well_formed() {
    let runbook = read("docs/runbook.md");
    let alerts = alerts();
    assert!(alerts.iter().any(|alert| alert.expr.contains("consent_stale_yes_total")));
    for Alert { name, expr, severity, summary, runbook_url } in &alerts {
        assert!(["page", "ticket"].contains(&severity.as_str()), "{name}: {severity}");
        assert!(!summary.is_empty(), "{name}");
        let anchor = format!("docs/runbook.md#{}", name.to_lowercase());
        assert!(runbook_url.ends_with(&anchor), "{name}: {runbook_url}");
        watched::check_balanced(name, expr);
        let heading = format!("\n## {name}\n");
        let section = runbook.split_once(&heading);
        let section = section.unwrap_or_else(|| panic!("docs/runbook.md has no section {name}")).1;
        let section = section.split("\n## ").next().unwrap();
        for part in ["**Means.**", "**Look at.**", "**Do.**"] {
            assert!(section.contains(part), "docs/runbook.md: {name} has no {part}");
        }
    }
    for heading in runbook.lines().filter_map(|line| line.strip_prefix("## ")) {
        assert!(alerts.iter().any(|alert| alert.name == heading), "no alert {heading}");
    }
    for (place, expression) in dashboards() {
        watched::check_balanced(&place, &expression);
    }
}
