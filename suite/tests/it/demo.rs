//! The whole story, as a user plays it; and with the suite killed in the middle of it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use crate::support::{Suite, assent};

/// What the demo printed, without what differs from run to run.
fn shown(output: &std::process::Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("Every step showed what it should."), "{text}");
    let table = text.lines().filter(|line| line.starts_with(['│', '║']));
    table.map(without_size).collect()
}

/// The size of a list is told with noise, which is drawn anew in each run. It stands at the end of
/// one line of its cell and at the beginning of the next.
fn without_size(line: &str) -> String {
    if let Some((before, _)) = line.split_once("size:") {
        return before.to_owned();
    }
    line.rsplit_once("never who").map_or(line, |(_, after)| after).to_owned()
}

#[test]
fn the_demo_shows_what_it_should() {
    let output = assent().args(["demo", "--subjects", "4000"]).output().unwrap();
    let table = shown(&output);
    assert!(table.len() > 10, "{table:?}");
    assert!(table.iter().any(|line| line.contains("has the account erased")), "{table:?}");
}

#[test]
fn a_demo_on_a_suite_that_is_not_there_says_so() {
    let data = tempfile::tempdir().unwrap();
    let output = assent()
        .args(["demo", "--endpoint", "http://127.0.0.1:1", "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.starts_with("assent: creating policy"), "{told}");
}

/// A demo with an upload long enough to be interrupted.
fn long_demo(endpoint: &str, data: &Path) -> std::process::Command {
    let mut command = assent();
    command.args(["demo", "--subjects", "4000", "--customers", "60000", "--endpoint", endpoint]);
    command.arg("--data").arg(data).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_suite_killed_during_an_upload_ends_in_the_same_state() {
    let undisturbed = {
        let data = tempfile::tempdir().unwrap();
        let suite = Suite::start(data.path());
        shown(&long_demo(suite.gateway(), data.path()).output().unwrap())
    };

    let data = tempfile::tempdir().unwrap();
    let mut suite = Suite::start(data.path());
    let address = suite.gateway().trim_start_matches("http://").to_owned();
    let mut demo = long_demo(suite.gateway(), data.path()).spawn().unwrap();
    let mut told = BufReader::new(demo.stderr.take().unwrap()).lines();
    let mut before = Vec::new();
    let under_way = told.by_ref().map_while(Result::ok).any(|line| {
        before.push(line);
        before.last().is_some_and(|line| line == "uploading customers: 10 %")
    });
    assert!(under_way, "the demo ended before its upload:\n{}", before.join("\n"));
    suite.process.kill();
    let told = std::thread::spawn(move || told.map_while(Result::ok).collect::<Vec<_>>());
    let _suite = Suite::start_on(data.path(), &address);
    let output = demo.wait_with_output().unwrap();
    let told = told.join().unwrap().join("\n");
    assert!(output.status.success(), "{told}");
    let resumed = String::from_utf8_lossy(&output.stdout).contains("upload resumed after a cut");
    assert_eq!(shown(&output), undisturbed);
    assert!(resumed, "the upload was not interrupted");
}
