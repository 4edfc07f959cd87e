//! Our router as a process of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lab::manifold::Manifold;
use lab::namespace::Namespace;
use lab::poll;
use lab::process::{Finished, Process};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::network::{INTERFACE, Lan, PREFIX_LEN, Settings, VIRTUAL, VRID, address_of};

/// How long anything that is no timer of the protocol may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

const SHOW: &str = "vrrp.json";

/// A running router.
pub(crate) struct Member<'a> {
    machine: &'a Namespace,
    program: Program<'a>,
}

enum Program<'a> {
    /// The example over a packet socket.
    Example(Process),
    /// The program.
    Manifold(Manifold<'a>),
}

/// A line of its log that tells of a change of state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Seconds since 1970.
    pub(crate) at: f64,
    pub(crate) vrid: u8,
    pub(crate) to: String,
}

impl<'a> Member<'a> {
    pub(crate) fn start(lan: &'a Lan, index: usize, settings: &Settings) -> Member<'a> {
        Member::start_with(lan, index, settings, "")
    }

    /// Starts it with further lines of configuration for its virtual router.
    pub(crate) fn start_with(
        lan: &'a Lan,
        index: usize,
        settings: &Settings,
        further: &str,
    ) -> Member<'a> {
        let machine = lan.router(index);
        let text = configuration(index, settings, further);
        if settings.whole {
            let manifold = Path::new(env!("CARGO_BIN_EXE_manifold"));
            let manifold = Manifold::spawn(machine, manifold, &text, &[]).expect("manifold");
            let answered = poll::until("an answer", PATIENCE, || {
                Ok(manifold.json("show vrrp").ok())
            });
            assert!(
                answered.is_ok(),
                "{answered:?}\n{}",
                said(manifold.process())
            );
            let program = Program::Manifold(manifold);
            return Member { machine, program };
        }
        fs::write(machine.run_file("router.toml"), text).expect("a configuration");
        let program = example().display().to_string();
        let show = format!("--show=/run/{SHOW}");
        // In a session of its own, as a service is.
        let words = ["setsid", &program, "--config=/run/router.toml", &show];
        let mut process = machine.spawn(&words).expect("our router");
        process.wait_for("started", PATIENCE).expect("a start");
        let program = Program::Example(process);
        Member { machine, program }
    }

    fn process(&self) -> &Process {
        match &self.program {
            Program::Example(process) => process,
            Program::Manifold(manifold) => manifold.process(),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process().signal(signal).expect("a running router");
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) {
        self.signal(Signal::SIGKILL);
        self.end();
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        let finished = self.end();
        assert!(finished.status.success(), "{finished:?}");
    }

    fn end(self) -> Finished {
        match self.program {
            Program::Example(process) => process.finish(PATIENCE),
            Program::Manifold(manifold) => manifold.end(PATIENCE),
        }
        .expect("an end")
    }

    /// What `show vrrp --json` shows.
    pub(crate) fn show(&self) -> Value {
        if let Program::Manifold(manifold) = &self.program {
            return manifold.json("show vrrp").expect("an answer");
        }
        let file = self.machine.run_file(SHOW);
        // What an earlier question was answered with.
        let _ = fs::remove_file(&file);
        self.signal(Signal::SIGUSR1);
        let text = poll::until("what the router shows", PATIENCE, || {
            Ok(fs::read_to_string(&file).ok())
        });
        serde_json::from_str(&text.expect("an answer")).expect("JSON")
    }

    pub(crate) fn states(&self) -> Vec<String> {
        let shown = self.show();
        let groups = shown["virtual_routers"].as_array().expect("groups");
        let state = |group: &Value| group["state"].as_str().expect("a state").to_owned();
        groups.iter().map(state).collect()
    }

    pub(crate) fn is_master(&self) -> bool {
        self.states().iter().all(|state| state == "master")
    }

    /// Why the state of its first group changed last.
    pub(crate) fn last_cause(&self) -> String {
        let shown = self.show();
        let transitions = &shown["virtual_routers"][0]["transitions"];
        let last = transitions.as_array().and_then(|all| all.last());
        let cause = last.and_then(|last| last["cause"].as_str());
        cause.expect("a change of state").to_owned()
    }

    /// Every counter of refusals that is not zero, and what reached no virtual router.
    pub(crate) fn refusals(&self) -> Vec<(String, u64)> {
        const EVENTS: [&str; 6] = [
            "master-transitions",
            "advertisement-rcvd",
            "advertisement-sent",
            "priority-zero-pkts-rcvd",
            "priority-zero-pkts-sent",
            "stalls",
        ];
        let shown = self.show();
        let groups = shown["virtual_routers"].as_array().expect("groups");
        let counters = groups.iter().map(|group| &group["counters"]);
        counters
            .chain([&shown["strays"]])
            .flat_map(|counters| counters.as_object().expect("counters"))
            .filter(|(name, _)| !EVENTS.contains(&name.as_str()))
            .map(|(name, count)| (name.clone(), count.as_u64().expect("a count")))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// The sum of a counter over all groups.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let shown = self.show();
        let groups = shown["virtual_routers"].as_array().expect("groups");
        let count = |group: &Value| group["counters"][name].as_u64().expect("a counter");
        groups.iter().map(count).sum()
    }

    /// Every change of state that it has logged.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.said().lines().filter_map(change).collect()
    }

    /// Seconds of CPU time that its control thread has used, which is the first of its threads.
    pub(crate) fn control_cpu_seconds(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let id = self.process().id();
        let stat = fs::read_to_string(format!("/proc/{id}/task/{id}/stat"));
        let stat = stat.expect("a running router");
        // Behind the name, which stands in parentheses, user and system time are the 12th and 13th field.
        let fields = stat.rsplit_once(')').expect("a name").1;
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks
            .map(|ticks| ticks.parse::<f64>().expect("ticks"))
            .sum();
        ticks / TICKS_PER_SECOND
    }

    /// What it said, for a failing test.
    pub(crate) fn said(&self) -> String {
        said(self.process())
    }
}

fn said(process: &Process) -> String {
    process.stdout() + &process.stderr()
}

fn configuration(index: usize, settings: &Settings, further: &str) -> String {
    let Settings {
        version,
        priority,
        interval_ms,
        preempt,
        groups,
        whole,
    } = settings;
    let mut text = format!(
        "[[port]]
name = \"lan\"
device = \"net_af_packet0,iface={INTERFACE}\"
addresses = [\"{}/{PREFIX_LEN}\"]
",
        address_of(index)
    );
    if *whole {
        // The processors are not the router's alone.
        text += "\n[workers]\nidle-sleep = \"50us\"\n";
    }
    // keepalived refuses what does not count the pseudo-header.
    let checksum = match version {
        2 => "",
        _ => "checksum = \"with-pseudo-header\"",
    };
    for group in 0..*groups {
        let vrid = if *groups > 1 { group + 1 } else { VRID };
        let address = Ipv4Addr::from_bits(VIRTUAL.to_bits() + u32::from(group));
        text += &format!(
            "
[[virtual-router]]
port = \"lan\"
vrid = {vrid}
version = {version}
virtual-addresses = [\"{address}\"]
priority = {priority}
advertisement-interval = \"{interval_ms}ms\"
preempt = {preempt}
{checksum}
{further}
"
        );
    }
    text
}

/// Seconds since 1970, from such a number or from a time of today such as `2026-01-31T12:34:56.789012Z`.
fn seconds(text: &str) -> Option<f64> {
    const DAY: f64 = 86_400.0;
    let Some((_, time)) = text.split_once('T') else {
        return text.parse().ok();
    };
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let midnight = (since.ok()?.as_secs_f64() / DAY).floor() * DAY;
    let time = time.strip_suffix('Z')?.split(':');
    let time = time.map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?;
    let [hours, minutes, seconds] = time[..] else {
        return None;
    };
    Some(midnight + (hours * 60.0 + minutes) * 60.0 + seconds)
}

fn change(line: &str) -> Option<Change> {
    let at = seconds(line.split_whitespace().next()?)?;
    let field = |name: &str| {
        let word = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name))?;
        Some(word.trim_matches('"').to_owned())
    };
    Some(Change {
        at,
        vrid: field("vrid=")?.parse().ok()?,
        to: field("to=")?,
    })
}

/// The example beside this test's own program.
fn example() -> PathBuf {
    let own = std::env::current_exe().expect("this program's place");
    let built = own.parent().and_then(Path::parent).expect("target/PROFILE");
    let program = built.join("examples/vrrp_member");
    assert!(
        program.exists(),
        "{} is not built: cargo build --example vrrp_member",
        program.display()
    );
    program
}
