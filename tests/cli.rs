//! The program as it is called: what it prints, where, and its exit codes. Nothing here needs DPDK's environment.
#![allow(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory;
use manifold::command::Line;

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

/// Starts `ctl` with arguments, gives it lines, and waits.
fn ctl_with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_manifold"))
        .arg("ctl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn ctl_says_what_was_expected_instead_of_a_wrong_word() {
    for arguments in [
        &["ctl", "show", "prot"][..],
        &["ctl", "--json", "show", "prot"],
    ] {
        let output = manifold(arguments);
        assert_eq!(output.status.code(), Some(2));
        let text = stderr(&output);
        assert!(text.starts_with("\"show\" knows no \"prot\""), "{text}");
        assert!(text.contains("neighbours"), "{text}");
    }
}

#[test]
fn ctl_without_a_router_says_so() {
    let output = manifold(&["ctl", "--socket", "/nonexistent/socket", "show", "lcores"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("there is no router at /nonexistent/socket") && text.contains("remedy:"),
        "{text}"
    );
}

#[test]
fn ctl_helps_without_a_router() {
    for arguments in [&["ctl", "help", "show"][..], &["ctl", "show", "--help"]] {
        let output = manifold(arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("neighbours"));
    }
    let output = ctl_with_input(&[], "help show\nset ?\nexit\n");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("neighbours") && stdout(&output).contains("fwd"));
}

#[test]
fn a_batch_names_the_line_that_fails() {
    let output = ctl_with_input(&[], "# comment\n\nshow prot\nexit\n");
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.starts_with("line 3: show prot"), "{text}");
}

#[test]
fn the_manual_and_the_operators_guide_name_every_command_of_the_console() {
    let guide = include_str!("../docs/operation.md");
    let page = stdout(&manifold(&["man"])).replace('\\', "");
    let mut grammar = Line::command();
    grammar.build();
    let mut commands = Vec::new();
    collect(&grammar, "", &mut commands);
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands {
        assert!(
            guide.contains(&format!("`{command}")),
            "{command} is not in the guide"
        );
        assert!(page.contains(&command), "{command} is not in the manual");
    }
}

/// The keywords of every command.
fn collect(at: &clap::Command, before: &str, commands: &mut Vec<String>) {
    for below in at
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
    {
        let words = format!("{before}{}", below.get_name());
        if below.has_subcommands() {
            collect(below, &format!("{words} "), commands);
        } else {
            commands.push(words);
        }
    }
}
