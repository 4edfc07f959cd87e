//! The program as it is called: what it prints, where, and its exit codes. Nothing here needs DPDK's environment.
#![allow(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn manifold(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_manifold"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A file of this name with this text, in the directory for the tests' files.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the directory for tests' files is writable");
    path
}

#[test]
fn check_sums_up_a_right_file() {
    let path = file(
        "right.toml",
        "[[port]]\nname = \"lan\"\ndevice = \"net_null0\"\naddresses = [\"192.0.2.1/24\"]\n\
         [[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"192.0.2.254\"\n",
    );
    let output = manifold(&["check", "-c", &path.display().to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).ends_with("ok: 1 port, 1 route, 0 virtual routers, 1 worker\n"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn check_names_all_mistakes_of_a_wrong_file_and_fails() {
    let path = file(
        "wrong.toml",
        "[[port]]\nname = \"lan\"\ndevice = \"net_null0\"\nmtu = 1\nmac = \"x\"\n",
    );
    let path = path.display().to_string();
    let output = manifold(&["check", "-c", &path]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    for part in [
        format!("{path}:4:7: `mtu`: 1 is out of range"),
        "remedy: choose 68 to 9600 octets".to_owned(),
        format!("{path}:5:7: `mac`"),
        "2 mistakes".to_owned(),
    ] {
        assert!(text.contains(&part), "{part} is not in:\n{text}");
    }
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_missing_file_is_named_with_a_remedy() {
    let output = manifold(&["check", "-c", "/nonexistent.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("remedy:"), "{}", stderr(&output));
}

#[test]
fn wrong_arguments_have_their_own_exit_code() {
    assert_eq!(manifold(&["chekc"]).status.code(), Some(2));
    assert_eq!(manifold(&["check"]).status.code(), Some(2));
}

#[test]
fn every_shell_gets_its_completion_script() {
    for shell in ["bash", "zsh", "fish"] {
        let output = manifold(&["completions", shell]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("manifold"), "{shell}");
    }
}

#[test]
fn the_manual_is_one_page_or_a_page_for_each_command() {
    let output = manifold(&["man"]);
    assert!(output.status.success());
    assert!(
        stdout(&output).contains(".TH manifold 1"),
        "{}",
        stdout(&output)
    );

    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("man");
    fs::create_dir_all(&directory).expect("a directory");
    let output = manifold(&["man", &directory.display().to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(directory.join("manifold-check.1").is_file());
}
