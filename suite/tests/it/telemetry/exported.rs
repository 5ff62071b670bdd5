//! Metrics as a page of `/metrics` describes them, and as docs/telemetry.md does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// What is around the table in docs/telemetry.md.
const BEGIN: &str = "<!-- metrics: written by a test -->\n";
const END: &str = "<!-- end -->";

const HEADER: &str =
    "| metric | type | unit | labels | of | meaning |\n|---|---|---|---|---|---|\n";

/// A metric, by what is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Described {
    pub(super) kind: String,
    pub(super) labels: BTreeSet<String>,
    services: BTreeSet<String>,
    meaning: String,
}

/// Adds what a page of a service describes.
pub(super) fn described(service: &str, page: &str, all: &mut BTreeMap<String, Described>) {
    let mut current = String::new();
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, meaning) = help.split_once(' ').unwrap();
            name.clone_into(&mut current);
            let metric = all.entry(current.clone()).or_default();
            assert!(!meaning.is_empty() && !meaning.contains('|'), "{name}: {meaning}");
            assert!(metric.meaning.is_empty() || metric.meaning == meaning, "{name} means two");
            meaning.clone_into(&mut metric.meaning);
            metric.services.insert(service.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            kind.clone_into(&mut all.get_mut(name).unwrap().kind);
        } else if let Some((labels, _)) = line.split_once('{').and_then(|(_, l)| l.split_once('}'))
        {
            let metric = all.get_mut(&current).unwrap();
            // Ours have no comma or equals sign in their values.
            let names = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0));
            let names = names.filter(|name| !["service", "le"].contains(name));
            metric.labels.extend(names.map(str::to_owned));
        }
    }
}

/// By the end of its name, as Prometheus has it.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    match name.rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "bytes",
        _ => "",
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn of(services: &BTreeSet<String>) -> String {
    if services.len() == super::NAMES.len() { "all".to_owned() } else { listed(services) }
}

/// The text with this table in it.
pub(super) fn rewritten(text: &str, all: &BTreeMap<String, Described>) -> String {
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let mut rows = String::new();
    for (name, metric) in all {
        let Described { kind, labels, services, meaning } = metric;
        let (unit, labels, services) = (unit(name), listed(labels), of(services));
        writeln!(rows, "| `{name}` | {kind} | {unit} | {labels} | {services} | {meaning} |")
            .unwrap();
    }
    format!("{before}{BEGIN}{HEADER}{rows}{END}{after}")
}

/// The table in the text.
pub(super) fn documented(text: &str) -> BTreeMap<String, Described> {
    let (_, rest) = text.split_once(BEGIN).unwrap();
    let rows = rest.split_once(END).unwrap().0.strip_prefix(HEADER).expect("the table's header");
    let names = |cell: &str| -> BTreeSet<String> {
        let names = cell.split(", ").filter(|name| !name.is_empty());
        names.map(|name| name.trim_matches('`').to_owned()).collect()
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, kind, told, labels, services, meaning] = cells[..] else { panic!("{line}") };
        let name = name.trim_matches('`').to_owned();
        assert_eq!(told, unit(&name), "{line}");
        let services = match services {
            "all" => super::NAMES.map(str::to_owned).into(),
            some => names(some),
        };
        let (kind, meaning) = (kind.to_owned(), meaning.to_owned());
        (name, Described { kind, labels: names(labels), services, meaning })
    };
    rows.lines().map(row).collect()
}
