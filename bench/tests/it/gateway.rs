//! `bench gateway`, the program, for a moment each.

use std::process::Command;

const BENCH: &str = env!("CARGO_BIN_EXE_bench");

/// Every part prints its figures, once, and no other; and each is explained.
#[test]
fn prints_its_figures() {
    for (part, expected) in [
        (
            "unary",
            &[
                "throughput-vs-nginx",
                "throughput-bare-vs-nginx",
                "throughput-redis-vs-nginx",
                "throughput-vs-direct",
                "nginx-vs-direct",
                "gateway-us-per-request",
                "nginx-us-per-request",
                "added-p50-ms",
                "added-p99-ms",
                "nginx-added-p50-ms",
                "nginx-added-p99-ms",
            ][..],
        ),
        ("upload", &["upload-stream-vs-direct", "nginx-upload-stream-vs-direct"]),
        ("sink", &["sink-stream-vs-direct", "nginx-sink-stream-vs-direct"]),
        ("idle", &["idle-10000-connections-mb"]),
        (
            "kill",
            &[
                "failed-idempotent-after-kill",
                "failed-others-after-kill",
                "others-in-flight-at-kill",
                "failed-others-not-in-flight",
            ],
        ),
    ] {
        let briefly = "--seconds 0.25 --rate 50 --concurrency 4 --people 10000 --rows 20000";
        let output = Command::new(BENCH)
            .args(["gateway", "--only", part, "--idle", "40", "--kills", "2"])
            .args(briefly.split(' '))
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let names: Vec<_> = printed.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(names, expected, "{said}");
        // Of few connections the figure does not count; and on a machine that does something else
        // any run may be invalid, and then says so.
        assert_eq!(output.status.success(), !said.contains("INVALID"), "{said}");
        assert_eq!(said.contains("INVALID only 40 idle connections"), part == "idle", "{said}");
        let documented = include_str!("../../../docs/benchmarks.md");
        for name in expected {
            assert!(documented.contains(&format!("`{name}`")), "{name} is not in benchmarks.md");
        }
    }
}
