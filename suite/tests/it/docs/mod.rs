//! The documentation is true: every command in it is run against a suite, or named here with why it
//! cannot be; what it says of our own programs' arguments holds; and its links lead somewhere.

mod commands;
mod page;

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::json;

use crate::{
    support::Suite,
    terminal::tutorial::{Step, run_with},
};
use page::{Block, Page, root};

/// The pages whose commands run here, each against a suite of its own, in order: those with a policy
/// and the person `example-person` in it before the first, and those that make all that they need.
const RUN: [(&str, Before); 7] = [
    ("README.md", Before::Nothing),
    ("docs/erasure-and-export.md", Before::Person),
    ("docs/how-to/ad-server.md", Before::Nothing),
    ("docs/how-to/capacity.md", Before::Nothing),
    ("docs/how-to/messenger.md", Before::Nothing),
    ("docs/how-to/rotate-keys.md", Before::Nothing),
    ("docs/receipts.md", Before::Person),
];

/// The pages whose commands another test runs, or that say something no test has the means for.
const NOT_RUN_HERE: [(&str, &str); 4] = [
    (
        "docs/clients.md",
        "clients.rs runs them, with what scripts/install-test-clients has installed",
    ),
    ("docs/customer-lists.md", "terminal/tutorial.rs runs all but the list of 100 million rows"),
    ("docs/rotate-match-keys.md", "match_keys.rs plays it, on replicas that are configured anew"),
    ("docs/tutorial.md", "terminal/tutorial.rs runs them"),
];

/// Programs that no test can run; blocks with one in them are looked at only.
const NOT_RUN: [(&str, &str); 10] = [
    (".ci/run", "runs this test itself"),
    ("cargo", "builds with optimisation, or fuzzes for minutes; arguments of ours are checked"),
    ("curl", "asks processes where the reader has them"),
    ("docker", "needs an engine that builds images"),
    ("kubectl", "needs a cluster"),
    ("kustomize", "makes what a cluster is given; CI checks that"),
    ("make", "runs this test itself; its targets are checked"),
    ("psql", "asks the operator's database"),
    ("redis-cli", "asks the operator's Redis"),
    ("scripts/", "belongs to working on Assent; that it is there is checked"),
];

#[derive(Clone, Copy, PartialEq)]
enum Before {
    Nothing,
    Person,
}

fn runs(block: &Block) -> bool {
    matches!(block.language.as_str(), "sh" | "console")
        && !block.programs().any(|one| NOT_RUN.iter().any(|(program, _)| one.starts_with(program)))
}

#[test]
fn every_command_is_run_or_named_with_why_not() {
    let pages = page::all();
    assert!(pages.len() > 15, "{} pages", pages.len());
    let elsewhere = RUN.iter().map(|(page, _)| *page).chain(NOT_RUN_HERE.iter().map(|(p, _)| *p));
    let known: BTreeSet<&str> = elsewhere.collect();
    for name in &known {
        assert!(pages.iter().any(|page| page.name == *name), "{name} is not there");
    }
    let forgotten: Vec<String> = pages
        .iter()
        .filter(|page| !known.contains(page.name.as_str()))
        .flat_map(|page| page.blocks().into_iter().filter(runs).map(move |block| (page, block)))
        .map(|(page, block)| format!("{}: {}", page.name, block.text))
        .collect();
    assert_eq!(forgotten, [""; 0], "neither run nor excused");
}

/// Runs all of a page that can be run.
#[track_caller]
fn run_page(name: &str) {
    let (_, before) = RUN.iter().find(|(page, _)| *page == name).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let suite = Suite::start(&directory.path().join("assent-data"));
    for folder in ["consent-svc", "proto"] {
        std::os::unix::fs::symlink(root().join(folder), directory.path().join(folder)).unwrap();
    }
    let address = suite.gateway().trim_start_matches("http://");
    let page = Page::read(name);
    let blocks = page.at(address).blocks();
    let mut steps = Vec::new();
    if *before == Before::Person {
        steps.extend(PERSON.map(|command| Step { command, shown: vec!["…"] }));
    }
    for block in &blocks {
        if let Some(file) = &block.file {
            fs::write(directory.path().join(file), &block.text).unwrap();
        } else if runs(block) {
            steps.extend(block.steps());
        }
    }
    assert!(!steps.is_empty(), "{name} has nothing to run");
    let roles = ["ADMIN", "APP", "AD_SERVER", "BUSINESS", "SERVICE", "USER"];
    let mut environment: Vec<_> = roles.map(|role| (role, suite.token(role))).into();
    environment.push(("GATEWAY", address));
    run_with(&steps, directory.path(), suite.gateway(), &programs(), &environment);
}

/// What a page of the second kind finds there.
const PERSON: [&str; 3] = [
    "assent policy publish consent-svc/policies/example-opt-in.json",
    "assent account register example-person --jurisdiction DE --app messenger --app social",
    "assent consent decide example-person --others grant",
];

/// What `make test` has installed, and what stands in for grpcurl.
fn programs() -> Vec<std::path::PathBuf> {
    let tools = root().join("target/tools");
    let folders = ["python/bin", "node_modules/.bin"].map(|folder| tools.join(folder));
    for folder in &folders {
        let hint = "make test, or scripts/install-test-clients and make target/tools/node_modules/.bin/buf";
        assert!(folder.is_dir(), "{} is not there: {hint}", folder.display());
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/stand-ins");
    [own].into_iter().chain(folders).collect()
}

macro_rules! pages {
    ($($test:ident: $page:literal),* $(,)?) => {
        $(#[test] fn $test() { run_page($page); })*

        #[test]
        fn every_page_that_is_run_has_its_test() {
            let tested = BTreeSet::from([$($page),*]);
            assert_eq!(tested, RUN.iter().map(|(page, _)| *page).collect());
        }
    };
}

pages! {
    the_readme_is_run: "README.md",
    erasing_and_exporting_is_run: "docs/erasure-and-export.md",
    integrating_an_ad_server_is_run: "docs/how-to/ad-server.md",
    planning_capacity_is_run: "docs/how-to/capacity.md",
    integrating_a_messenger_is_run: "docs/how-to/messenger.md",
    rotating_keys_is_run: "docs/how-to/rotate-keys.md",
    receipts_are_run: "docs/receipts.md",
}

/// The plan goes by what was measured, as docs/benchmarks.md has it.
#[test]
fn every_figure_of_the_capacity_plan_was_printed() {
    let printed = Page::read("docs/benchmarks.md").text;
    let plan = Page::read("docs/how-to/capacity.md").text;
    let mut figures = 0;
    for row in plan.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (name, value) = (cells[1].trim_matches('`'), cells[2].replace(',', ""));
        let line = printed.lines().map(|line| line.replace(',', ""));
        let found = line.filter(|line| line.contains(name)).any(|line| {
            let mut numbers = line.split(|c: char| !c.is_ascii_digit() && c != '.');
            numbers.any(|number| number.trim_end_matches('.') == value)
        });
        assert!(found, "{name} {value} is not in docs/benchmarks.md");
        figures += 1;
    }
    assert!(figures > 10, "{figures} figures");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut links = 0;
    for page in page::all() {
        for (file, heading) in page.links() {
            let path = Path::new(&page.name).parent().unwrap().join(&file);
            let target = if file.is_empty() { page.name.clone().into() } else { path };
            let there = root().join(&target);
            assert!(there.exists(), "{} links to {file}", page.name);
            if let Some(heading) = heading {
                let anchors = Page::read(target.to_str().unwrap()).anchors();
                assert!(anchors.contains(&heading), "{} links to {file}#{heading}", page.name);
            }
            links += 1;
        }
    }
    assert!(links > 100, "{links} links");
}

/// Every page is one click from the README, or one from the page that lists its kind.
#[test]
fn the_readme_leads_to_every_page() {
    let linked = |page: &Page| -> BTreeSet<String> {
        page.links().into_iter().map(|(file, _)| page.beside(&file)).collect()
    };
    let mut found = linked(&Page::read("README.md"));
    found.extend(linked(&Page::read("docs/api/README.md")));
    let lost: Vec<String> = page::all()
        .into_iter()
        .map(|page| page.name)
        .filter(|name| name.starts_with("docs/") && !found.contains(name))
        .collect();
    assert_eq!(lost, [""; 0]);
}

#[test]
fn a_page_is_parsed_as_it_is_meant() {
    let text = "1. a\n\n   ```sh\n   # why\n   b \\\n     c\n   ```\n```python f.py\nx\n```\n```console\n$ d\ne\n```\n";
    let page = Page { name: "p.md".to_owned(), text: text.to_owned() };
    let blocks = page.blocks();
    let told: Vec<_> =
        blocks.iter().map(|b| json!([b.language, b.file, b.programs().next()])).collect();
    assert_eq!(
        told,
        [json!(["sh", null, "b"]), json!(["python", "f.py", "x"]), json!(["console", null, "d"])]
    );
    assert_eq!(
        blocks[0].steps(),
        [Step { command: "set -e\n# why\nb \\\n  c\nset +e", shown: vec!["…"] }]
    );
    assert_eq!(blocks[2].steps(), [Step { command: "d", shown: vec!["e"] }]);
}
