//! `bench empty`, the program.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const BENCH: &str = env!("CARGO_BIN_EXE_bench");

/// Every figure, once, and no other; and each is explained.
#[test]
fn prints_its_figures() {
    let output = Command::new(BENCH)
        .args(["empty", "--seconds", "0.25", "--rate", "50", "--concurrency", "4"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = printed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    let expected = [
        "empty-requests-per-second",
        "bare-tonic-requests-per-second",
        "empty-vs-bare",
        "empty-server-us-per-request",
        "bare-server-us-per-request",
        "empty-p50-ms",
        "empty-p99-ms",
        "bare-p99-ms",
    ];
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(names, expected, "{said}");
    assert!(printed.lines().all(|line| line.starts_with("FIGURE ")));
    // On a machine that does something else the run may be invalid, and then says so.
    assert_eq!(output.status.success(), !said.contains("INVALID"), "{said}");
    let documented = include_str!("../../../docs/benchmarks.md");
    for name in expected {
        assert!(documented.contains(&format!("`{name}`")), "{name} is not in docs/benchmarks.md");
    }
}

/// The servers hold on to nothing but their standard input, so they cannot outlive who started
/// them, not even if that was killed.
#[test]
fn servers_end_with_their_parent() {
    for stack in ["full", "bare"] {
        let mut server = Command::new(BENCH)
            .args(["serve-empty", "--stack", stack])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().starts_with("READY ")), "{stack} did not start");
        drop(server.stdin.take());
        assert!(server.wait().unwrap().success(), "{stack}");
    }
}
