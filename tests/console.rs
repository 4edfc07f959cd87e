//! The running router as its operator meets it: every command in both forms, the prompt at a terminal, starts and ends. Its
//! ports are null devices, so no network is needed; what the figures say is tested elsewhere.
#![expect(
    clippy::expect_used,
    reason = "a test that meets the impossible should stop there and say so"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::CommandFactory;
use dataplane::counters::{DiscardReason, PuntCause};
use lab::process::{Finished, Process, command};
use lab::terminal::Terminal;
use lab::{Result, poll};
use manifold::command::Line;
use nix::sys::signal::Signal;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_manifold");
/// For what takes milliseconds on an idle machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A directory with a configuration, its socket, and whatever else a test puts there; gone at the end.
struct Site(PathBuf);

impl Site {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("manifold-console-{}-{count}", std::process::id());
        let site = Self(std::env::temp_dir().join(&name));
        fs::create_dir(&site.0).expect("a directory for temporary files");
        let configuration = format!(
            "[eal]\nhuge-pages = \"off\"\nfile-prefix = \"{name}\"\n\
             [workers]\nidle-sleep = \"100us\"\n\
             [control]\nsocket = \"{}\"\n\
             [[port]]\nname = \"lan\"\ndevice = \"net_null0,no-rx=1\"\naddresses = [\"192.0.2.1/24\"]\n\
             [[port]]\nname = \"wan\"\ndevice = \"net_null1,no-rx=1\"\naddresses = [\"198.51.100.1/24\"]\n\
             [[route]]\nprefix = \"0.0.0.0/0\"\nvia = \"198.51.100.254\"\n\
             [[virtual-router]]\nvrid = 7\nport = \"lan\"\nversion = 3\nvirtual-addresses = [\"192.0.2.254\"]\n",
            site.socket().display()
        );
        site.configure(&configuration);
        site
    }

    fn configuration(&self) -> PathBuf {
        self.0.join("manifold.toml")
    }

    fn configure(&self, text: &str) {
        fs::write(self.configuration(), text).expect("the site's directory is writable");
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    fn run(&self) -> Command {
        let mut command = command(PROGRAM);
        command.args(["run", "-c"]).arg(self.configuration());
        command
    }

    fn ctl_command(&self) -> Command {
        let mut command = command(PROGRAM);
        command.args(["ctl", "--socket"]).arg(self.socket());
        command
    }

    fn top(&self) -> Command {
        let mut command = command(PROGRAM);
        command.args(["top", "--socket"]).arg(self.socket());
        command
    }

    fn at_terminal(&self, mut command: Command) -> Result<Terminal> {
        command.env("XDG_STATE_HOME", &self.0);
        Terminal::spawn(command, (110, 24))
    }

    fn ctl(&self, line: &str) -> Result<Finished> {
        let mut command = self.ctl_command();
        command.args(line.split(' '));
        Process::spawn(command)?.finish(DEADLINE)
    }

    /// A router, once it answers.
    fn start(&self) -> Result<Process> {
        let router = Process::spawn(self.run())?;
        self.wait_for_answers()?;
        Ok(router)
    }

    fn wait_for_answers(&self) -> Result<()> {
        poll::until("the router answering", DEADLINE, || {
            Ok(self.ctl("show lcores")?.status.success().then_some(()))
        })
    }

    /// What a command answers, which is not refused.
    fn answer(&self, line: &str) -> Result<String> {
        let Finished {
            status,
            stdout,
            stderr,
        } = self.ctl(line)?;
        assert!(status.success(), "{line}: {stderr}");
        Ok(stdout)
    }

    fn json(&self, line: &str) -> Result<Value> {
        let text = self.answer(&format!("--json {line}"))?;
        assert_eq!(text.lines().count(), 1, "{text}");
        Ok(serde_json::from_str(&text).expect("an object"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every command of the grammar that ends neither router nor prompt and is not refused by a router that shares nothing, with an example of
/// each argument.
fn every_command() -> Vec<String> {
    fn descend(at: &clap::Command, before: &str, lines: &mut Vec<String>) {
        for below in at.get_subcommands() {
            if matches!(
                below.get_name(),
                "help" | "drain" | "quit" | "exit" | "review"
            ) {
                continue;
            }
            let words = format!("{before}{}", below.get_name());
            if below.has_subcommands() {
                descend(below, &format!("{words} "), lines);
                continue;
            }
            let Some(argument) = below.get_positionals().next() else {
                lines.push(words);
                continue;
            };
            if !argument.is_required_set() {
                lines.push(words.clone());
            }
            let values = argument.get_possible_values();
            match argument.get_id().as_str() {
                "port" => lines.extend(["0", "wan", "all"].map(|port| format!("{words} {port}"))),
                "address" => lines.push(format!("{words} 203.0.113.5")),
                _ => lines.extend(
                    values
                        .iter()
                        .map(|value| format!("{words} {}", value.get_name())),
                ),
            }
        }
    }
    let mut lines = Vec::new();
    descend(&Line::command(), "", &mut lines);
    lines
}

/// The names of all fields, but for those of objects whose fields are names of counters or keys of the configuration.
fn field_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names.insert(name.clone());
                if !matches!(name.as_str(), "xstats" | "counters" | "config" | "strays") {
                    field_names(value, names);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| field_names(item, names)),
        _ => {}
    }
}

#[test]
fn every_command_is_carried_out_and_every_field_is_documented() -> Result<()> {
    let guide = include_str!("../docs/operation.md");
    let site = Site::new();
    let router = site.start()?;
    let commands = every_command();
    assert!(commands.len() > 20, "{commands:?}");
    for line in commands {
        let table = site.answer(&line)?;
        assert!(table.ends_with('\n'), "{line}: {table:?}");
        let mut names = BTreeSet::new();
        let answer = site.json(&line)?;
        if line == "show counters" {
            let groups = answer.as_object().expect("groups of counters");
            names.extend(groups.keys().cloned());
        } else {
            field_names(&answer, &mut names);
        }
        assert!(!names.is_empty(), "{line}: {answer}");
        for name in names {
            let documented = [format!("`{name}`"), format!("`.{name}`")];
            assert!(
                documented.iter().any(|name| guide.contains(name)),
                "{line}: the guide does not know {name}"
            );
        }
    }
    router.signal(Signal::SIGTERM)?;
    assert!(router.finish(DEADLINE)?.status.success());
    assert!(!site.socket().exists(), "the socket stays behind");
    Ok(())
}

#[test]
fn every_reason_to_drop_a_frame_and_every_cause_to_look_at_one_is_documented() {
    let guide = include_str!("../docs/operation.md");
    let section = guide
        .split("\n### ")
        .find(|section| section.starts_with("Why frames are dropped"))
        .expect("the section");
    let reasons = DiscardReason::ALL.iter().map(|reason| reason.name());
    let causes = PuntCause::ALL.iter().map(|cause| cause.name());
    for name in reasons.chain(causes) {
        assert!(section.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_change_is_seen_and_a_wrong_port_refused() -> Result<()> {
    let site = Site::new();
    let _router = site.start()?;
    let forwarding =
        || -> Result<Value> { Ok(site.json("show lcores")?["workers"][0]["forwarding"].clone()) };
    assert_eq!(forwarding()?, true);
    site.answer("stop")?;
    assert_eq!(forwarding()?, false);
    site.answer("start")?;
    assert_eq!(forwarding()?, true);

    let refused = site.ctl("show port info 7")?;
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(
        refused.stderr,
        "there is no port 7; there are 0 (lan), 1 (wan)\n"
    );
    assert_eq!(
        site.json("show port info wan")?["ports"][0]["addresses"][0],
        "198.51.100.1/24"
    );
    let route = site.json("show route 203.0.113.5")?;
    assert_eq!(route["routes"][0]["gateway"], "198.51.100.254");
    Ok(())
}

#[test]
fn the_configuration_shown_is_a_configuration() -> Result<()> {
    let site = Site::new();
    let _router = site.start()?;
    let shown = site.answer("show config")?;
    site.configure(&shown);
    let mut check = command(PROGRAM);
    check.args(["check", "-c"]).arg(site.configuration());
    Process::spawn(check)?.succeed(DEADLINE)?;
    assert_eq!(site.answer("reload")?, "the configuration is in force\n");
    assert_eq!(site.answer("show config")?, shown);
    Ok(())
}

#[test]
fn a_second_router_at_the_same_socket_is_refused_and_the_first_goes_on() -> Result<()> {
    let site = Site::new();
    let _first = site.start()?;
    let second = Process::spawn(site.run())?.finish(DEADLINE)?;
    assert_eq!(second.status.code(), Some(1));
    assert!(
        second.stderr.contains("belongs to a running router") && second.stderr.contains("remedy:"),
        "{}",
        second.stderr
    );
    site.answer("show lcores")?;
    Ok(())
}

#[test]
fn a_killed_routers_socket_does_not_stand_in_the_way() -> Result<()> {
    let site = Site::new();
    let killed = site.start()?;
    killed.signal(Signal::SIGKILL)?;
    killed.finish(DEADLINE)?;
    assert!(site.socket().exists());
    let dead = site.ctl("show lcores")?;
    assert_eq!(dead.status.code(), Some(2));
    assert!(dead.stderr.contains("has ended"), "{}", dead.stderr);
    let _next = site.start()?;
    Ok(())
}

#[test]
fn quit_ends_the_router() -> Result<()> {
    let site = Site::new();
    let router = site.start()?;
    site.answer("quit")?;
    assert!(router.finish(DEADLINE)?.status.success());
    assert!(!site.socket().exists(), "the socket stays behind");
    Ok(())
}

#[test]
fn drain_ends_a_router_and_whoever_asks_then_hears_so() -> Result<()> {
    let site = Site::new();
    let router = site.start()?;
    assert_eq!(
        site.answer("drain")?,
        "the router gives everything away, then ends\n"
    );
    let second = site.ctl("drain")?;
    assert!(!second.status.success());
    assert!(!second.stderr.contains("has not answered"), "{second:?}");
    assert!(router.finish(DEADLINE)?.status.success());
    Ok(())
}

/// Runs a router with lines for its own prompt.
fn run_with_lines(site: &Site, lines: &[&str]) -> Result<Finished> {
    let input = site.0.join("lines");
    fs::write(&input, lines.join("\n")).expect("the site's directory is writable");
    let mut run = command("sh");
    run.args(["-c", "exec \"$0\" run -i -c \"$1\" <\"$2\"", PROGRAM]);
    run.arg(site.configuration()).arg(input);
    Process::spawn(run)?.finish(DEADLINE)
}

#[test]
fn lines_from_a_pipe_are_carried_out_and_then_the_router_ends() -> Result<()> {
    let site = Site::new();
    let ended = run_with_lines(&site, &["# a batch", "show mempool", "set fwd io"])?;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stdout.contains("mbufs"), "{}", ended.stdout);
    assert!(
        ended.stdout.ends_with("Set io packet forwarding mode\n"),
        "{}",
        ended.stdout
    );
    Ok(())
}

#[test]
fn a_line_that_fails_ends_the_batch_and_is_told() -> Result<()> {
    let site = Site::new();
    let ended = run_with_lines(&site, &["show mempool", "show port info 7", "show lcores"])?;
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        ended
            .stderr
            .contains("line 2: show port info 7\nthere is no port 7"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stdout.contains("worker"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn the_prompt_completes_remembers_and_asks_before_it_ends_a_router() -> Result<()> {
    let site = Site::new();
    let router = site.start()?;
    let mut prompt = site.at_terminal(site.ctl_command())?;
    prompt.wait_for("manifold> ", DEADLINE)?;
    prompt.type_until("sh\t", "show ", DEADLINE)?;
    prompt.type_until("po\t", "port ", DEADLINE)?;
    prompt.type_until("inf\t", "info ", DEADLINE)?;
    prompt.type_until("w\t", "wan ", DEADLINE)?;
    prompt.type_until("\r", "Infos for port 1 (wan)", DEADLINE)?;
    prompt.wait_for("manifold> ", DEADLINE)?;
    prompt.type_until("show prot\r", "knows no \"prot\"", DEADLINE)?;
    prompt.wait_for("manifold> ", DEADLINE)?;
    prompt.type_until("quit\r", "End it? [y/N]", DEADLINE)?;
    prompt.type_until("n\r", "manifold> ", DEADLINE)?;
    prompt.type_until("exit\r", "\n", DEADLINE)?;
    assert!(prompt.finish(DEADLINE)?.status.success());
    site.answer("show lcores")?;

    let history = read(&site.0.join("manifold/history"));
    let lines: Vec<_> = history.lines().map(str::trim_end).collect();
    assert_eq!(
        &lines[1..],
        ["show port info wan", "show prot", "quit", "exit"]
    );
    router.signal(Signal::SIGTERM)?;
    assert!(router.finish(DEADLINE)?.status.success());
    Ok(())
}

#[test]
fn the_end_of_the_routers_own_prompt_is_the_routers() -> Result<()> {
    let site = Site::new();
    let mut run = site.run();
    run.arg("-i");
    let mut prompt = site.at_terminal(run)?;
    prompt.wait_for("manifold> ", DEADLINE)?;
    prompt.type_until("show mempool\r", "mbufs", DEADLINE)?;
    // Ctrl-C clears a line, Ctrl-D ends the prompt.
    prompt.type_until("nonsense\x03", "manifold> ", DEADLINE)?;
    prompt.type_until("\x04", "\n", DEADLINE)?;
    assert!(prompt.finish(DEADLINE)?.status.success());
    assert!(!site.socket().exists(), "the socket stays behind");
    Ok(())
}

#[test]
fn the_live_view_outlives_its_router_and_gives_the_terminal_back() -> Result<()> {
    let site = Site::new();
    let router = site.start()?;
    let mut top = site.at_terminal(site.top())?;
    // The other screen, and without a cursor.
    top.wait_for("\x1b[?1049h", DEADLINE)?;
    // A word only: what is blank already is not drawn again.
    top.wait_for("shares", DEADLINE)?;
    router.signal(Signal::SIGTERM)?;
    assert!(router.finish(DEADLINE)?.status.success());
    top.wait_for("trying again", DEADLINE)?;
    let router = site.start()?;
    top.wait_for("the router answers again", DEADLINE)?;
    top.type_until("q", "\x1b[?1049l", DEADLINE)?;
    assert!(top.finish(DEADLINE)?.status.success());

    let mut top = site.at_terminal(site.top())?;
    top.wait_for("\x1b[?1049h", DEADLINE)?;
    top.process().signal(Signal::SIGTERM)?;
    top.wait_for("\x1b[?1049l", DEADLINE)?;
    assert!(top.finish(DEADLINE)?.status.success());
    drop(router);
    Ok(())
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("the file is there")
}
