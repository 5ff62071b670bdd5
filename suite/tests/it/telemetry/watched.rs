//! What dashboards and alerts ask for.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{file, read};

/// An alert.
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) expr: String,
    pub(super) severity: String,
    pub(super) summary: String,
    pub(super) runbook_url: String,
}

/// All alerts of deploy/prometheus/alerts.yaml.
pub(super) fn alerts() -> Vec<Alert> {
    let rules: Value = serde_norway::from_str(&read("deploy/prometheus/alerts.yaml")).unwrap();
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let alert = |rule: &Value| Alert {
        name: rule["alert"].as_str().expect("only alerts").to_owned(),
        expr: text(&rule["expr"]),
        severity: text(&rule["labels"]["severity"]),
        summary: text(&rule["annotations"]["summary"]),
        runbook_url: text(&rule["annotations"]["runbook_url"]),
    };
    let alerts: Vec<Alert> = rules.map(alert).collect();
    let names: BTreeSet<_> = alerts.iter().map(|alert| &alert.name).collect();
    assert_eq!(names.len(), alerts.len(), "two alerts of one name");
    alerts
}

/// Every expression of the dashboards in deploy/grafana, with where it is.
pub(super) fn dashboards() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(file("deploy/grafana")).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let dashboard: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let title = dashboard["title"].as_str().unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let mut ids = BTreeSet::new();
        for panel in panels {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: two panels of one id");
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{title}: {}", panel["title"]);
                found.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// Words of `PromQL` that are neither functions nor metrics.
const WORDS: [&str; 13] = [
    "and",
    "bool",
    "by",
    "group_left",
    "group_right",
    "ignoring",
    "inf",
    "nan",
    "offset",
    "on",
    "or",
    "unless",
    "without",
];

/// The expression without its labels, ranges and texts: in their place, nothing.
fn bare(expression: &str) -> String {
    let mut bare = String::new();
    let mut depth = 0_u32;
    for character in expression.chars() {
        match character {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            _ if depth == 0 => bare.push(character),
            _ => {}
        }
    }
    // Labels in parentheses.
    for word in ["by", "on", "without", "ignoring", "group_left", "group_right"] {
        for opening in [format!(" {word}("), format!(" {word} (")] {
            while let Some(at) = bare.find(&opening) {
                let end = at + bare[at..].find(')').unwrap();
                bare.replace_range(at..=end, " ");
            }
        }
    }
    bare
}

/// The names of metrics in an expression of `PromQL`.
pub(super) fn metrics_of(expression: &str) -> BTreeSet<String> {
    let bare = bare(expression);
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let mut names = BTreeSet::new();
    let mut rest = bare.as_str();
    while let Some(start) = rest.find(is_part) {
        rest = &rest[start..];
        let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        let is_called = after.trim_start().starts_with('(');
        let is_number = word.starts_with(|character: char| character.is_ascii_digit());
        if !is_called && !is_number && !WORDS.contains(&word) {
            names.insert(word.to_owned());
        }
    }
    names
}

/// Under which names a series may be described, and as what.
pub(super) fn parts_of(name: &str) -> impl Iterator<Item = (&str, Option<&'static str>)> {
    let of_histograms = ["_bucket", "_sum", "_count"].into_iter();
    let of_histograms = of_histograms.filter_map(move |part| name.strip_suffix(part));
    std::iter::once((name, None)).chain(of_histograms.map(|name| (name, Some("histogram"))))
}

/// The labels by which an expression chooses among the series of a metric.
pub(super) fn labels_of(expression: &str, metric: &str) -> BTreeSet<String> {
    let mut labels = BTreeSet::new();
    for (at, _) in expression.match_indices(&format!("{metric}{{")) {
        let chosen = expression[at + metric.len() + 1..].split('}').next().unwrap();
        for label in chosen.split("\",") {
            let end = label.find(['=', '!']).unwrap_or(0);
            labels.insert(label[..end].trim().to_owned());
        }
    }
    // Prometheus's own, of whom it scrapes.
    labels.remove("instance");
    labels.remove("job");
    labels
}

/// Whatever is opened is closed.
pub(super) fn check_balanced(place: &str, expression: &str) {
    let mut open = Vec::new();
    let mut quoted = false;
    for character in expression.chars() {
        match character {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '{' | '[' => open.push(character),
            ')' | '}' | ']' => {
                let opened = match character {
                    ')' => '(',
                    '}' => '{',
                    _ => '[',
                };
                assert_eq!(open.pop(), Some(opened), "{place}: {expression}");
            }
            _ => {}
        }
    }
    assert!(open.is_empty() && !quoted, "{place}: {expression}");
}

#[test]
fn metrics_are_found_in_expressions() {
    let expression = "histogram_quantile(0.99, sum by (service, le) (rate(a_bucket{code!=\"OK\", \
                      x=~\"b|c\"}[5m]))) > 1.5 and on (service) b_total offset 1h == bool c";
    let names: Vec<String> = metrics_of(expression).into_iter().collect();
    assert_eq!(names, ["a_bucket", "b_total", "c"]);
    let labels: Vec<String> = labels_of(expression, "a_bucket").into_iter().collect();
    assert_eq!(labels, ["code", "x"]);
}
