//! The RFC 2544 script for Pktgen-DPDK, run with a Pktgen that is pretended: the search finds what the pretended router
//! carries. The real thing needs NICs.
#![expect(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the script; the lines of its result, each split at commas.
fn run(name: &str, capacity: &str, form: &str) -> Vec<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&scratch).expect("a directory");
    let output = scratch.join("result.csv");
    let ran = Command::new("lua5.4")
        .arg(root.join("tests/pktgen/fake.lua"))
        .arg(root.join("scripts/pktgen/rfc2544.lua"))
        .envs([
            ("FAKE_CAPACITY", capacity),
            ("FAKE_FORM", form),
            ("ROUTER_MAC", "02:00:00:00:00:01"),
        ])
        .env("OUTPUT", &output)
        .env("SAMPLES_FILE", scratch.join("samples.txt"))
        .output()
        .expect("lua runs");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let result = std::fs::read_to_string(output).expect("a result");
    result
        .lines()
        .map(|line| line.split(',').map(Into::into).collect())
        .collect()
}

#[test]
fn the_search_finds_the_highest_rate_without_loss_at_each_frame_size() {
    for form in ["old", "new"] {
        let lines = run(form, "37.3", form);
        let sizes: Vec<_> = lines[1..].iter().map(|line| &line[0][..]).collect();
        assert_eq!(sizes, ["64", "128", "256", "512", "1024", "1280", "1518"]);
        for line in &lines[1..] {
            let rate: f64 = line[1].parse().expect("a rate");
            assert!((36.8..=37.3).contains(&rate), "{line:?}");
            assert_eq!(
                line[4..],
                ["1.0", "50.0", "99.0", "100.0"],
                "latencies in microseconds"
            );
        }
    }
}

#[test]
fn a_router_that_carries_the_whole_line_is_measured_at_the_line_rate() {
    for line in &run("whole", "100", "new")[1..] {
        assert_eq!(line[1], "100.00");
    }
}

#[test]
fn a_router_that_carries_nothing_is_reported_and_the_search_ends() {
    for line in &run("nothing", "0", "new")[1..] {
        assert_eq!(line[1..5], ["0.00", "0", "0", ""]);
    }
}
