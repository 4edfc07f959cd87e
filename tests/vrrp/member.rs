//! Our router: the whole program, as a process of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use lab::manifold::Manifold;
use lab::process::Finished;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::network::{
    INTERFACE, Lan, PREFIX_LEN, REALTIME_PRIORITY, VIRTUAL, VRID, address_of, peer_of,
    virtual_address,
};
use crate::settings::Settings;

/// How long anything that is no timer of the protocol may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running router.
pub(crate) struct Member<'a> {
    manifold: Manifold<'a>,
}

/// A line of its log that tells of a change of state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Seconds since 1970.
    pub(crate) at: f64,
    pub(crate) vrid: u8,
    pub(crate) to: String,
    pub(crate) cause: String,
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
        let text = configuration(index, settings, further);
        Member::run(lan, index, &text)
    }

    /// Starts it with a configuration of the test's own.
    pub(crate) fn run(lan: &'a Lan, index: usize, configuration: &str) -> Member<'a> {
        let program = Path::new(env!("CARGO_BIN_EXE_manifold"));
        let manifold = Manifold::start(lan.router(index), program, configuration, &[]);
        Member {
            manifold: manifold.expect("manifold"),
        }
    }

    /// Puts another configuration in force.
    pub(crate) fn reload(&self, configuration: &str) {
        self.manifold.configure(configuration).expect("a file");
        self.manifold.ctl("reload").expect("a new configuration");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.manifold
            .process()
            .signal(signal)
            .expect("a running router");
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) {
        self.signal(Signal::SIGKILL);
        self.end();
    }

    /// Ends it as an operator would; what it said.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::SIGTERM);
        let finished = self.end();
        assert!(finished.status.success(), "{finished:?}");
        finished.stdout + &finished.stderr
    }

    fn end(self) -> Finished {
        self.manifold.end(PATIENCE).expect("an end")
    }

    /// The answer to a command, as data.
    pub(crate) fn json(&self, command: &str) -> Value {
        self.manifold.ask(command).expect("an answer")
    }

    /// The answer to a command, as a person sees it.
    pub(crate) fn table(&self, command: &str) -> String {
        self.manifold.ctl(command).expect("an answer")
    }

    /// What `show vrrp` shows.
    pub(crate) fn show(&self) -> Value {
        self.json("show vrrp")
    }

    /// What it shows of the first virtual router.
    pub(crate) fn group(&self) -> Value {
        self.show()["virtual_routers"][0].take()
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
        let shown = self.group();
        let last = shown["transitions"].as_array().and_then(|all| all.last());
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
        changes(&self.said())
    }

    /// Seconds of CPU time that its control thread has used, which is the first of its threads.
    pub(crate) fn control_cpu_seconds(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let id = self.manifold.process().id();
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

    /// Pins those of its threads that are meant, by their names, to a processor.
    pub(crate) fn run_on(&self, cpu: usize, is_meant: impl Fn(&str) -> bool) {
        let threads = fs::read_dir(format!("/proc/{}/task", self.manifold.process().id()));
        for thread in threads.expect("a running router").flatten() {
            let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            let id = thread.file_name().to_string_lossy().parse();
            if is_meant(name.trim()) {
                let mut cpus = CpuSet::new();
                cpus.set(cpu).expect("a processor");
                sched_setaffinity(Pid::from_raw(id.expect("a number")), &cpus).expect("pinned");
            }
        }
    }

    /// What it said, for a failing test.
    pub(crate) fn said(&self) -> String {
        let process = self.manifold.process();
        process.stdout() + &process.stderr()
    }
}

/// What every router has. What else happens on the machine shall neither hold it up nor take its memory: silence is to be what
/// the test makes it.
pub(crate) fn port(index: usize) -> String {
    port_with(index, &[])
}

/// The same with further addresses at the port.
pub(crate) fn port_with(index: usize, further: &[Ipv4Addr]) -> String {
    let addresses: Vec<String> = [address_of(index)]
        .iter()
        .chain(further)
        .map(|address| format!("\"{address}/{PREFIX_LEN}\""))
        .collect();
    format!(
        "[eal]
huge-pages = \"off\"

[workers]
idle-sleep = \"50us\"

[control]
realtime-priority = {REALTIME_PRIORITY}

[[port]]
name = \"lan\"
device = \"net_af_packet0,iface={INTERFACE}\"
addresses = [{}]
",
        addresses.join(", ")
    )
}

/// The configuration of a router, with further lines for its virtual routers.
pub(crate) fn configuration(index: usize, settings: &Settings, further: &str) -> String {
    let owned: &[Ipv4Addr] = match settings.priority {
        255 => &[VIRTUAL],
        _ => &[],
    };
    let groups = (0..settings.groups).map(|number| group(index, settings, number, further));
    port_with(index, owned) + &groups.collect::<String>()
}

/// One virtual router; where there are several, each has one address.
fn group(index: usize, settings: &Settings, number: u8, further: &str) -> String {
    let Settings {
        version,
        priority,
        interval_ms,
        preempt,
        preempt_delay_ms,
        groups,
        addresses,
        password,
        unicast,
        checksum,
    } = settings;
    let vrid = if *groups > 1 { number + 1 } else { VRID };
    let addresses: Vec<String> = (number..number + addresses)
        .map(|number| format!("\"{}\"", virtual_address(number)))
        .collect();
    let mut text = format!(
        "
[[virtual-router]]
port = \"lan\"
vrid = {vrid}
version = {version}
virtual-addresses = [{}]
priority = {priority}
advertisement-interval = \"{interval_ms}ms\"
preempt = {preempt}
preempt-delay = \"{preempt_delay_ms}ms\"
",
        addresses.join(", ")
    );
    if *version == 3 {
        text += &format!("checksum = \"{checksum}\"\n");
    }
    if let Some(password) = password {
        text += &format!("password = \"{password}\"\n");
    }
    if *unicast {
        text += &format!("unicast-peers = [\"{}\"]\n", peer_of(index));
    }
    text + further + "\n"
}

/// Seconds since 1970, from a time of today such as `2026-01-31T12:34:56.789012Z`.
fn seconds(text: &str) -> Option<f64> {
    const DAY: f64 = 86_400.0;
    let (_, time) = text.split_once('T')?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let midnight = (since.ok()?.as_secs_f64() / DAY).floor() * DAY;
    let time = time.strip_suffix('Z')?.split(':');
    let time = time.map(str::parse).collect::<Result<Vec<f64>, _>>().ok()?;
    let [hours, minutes, seconds] = time[..] else {
        return None;
    };
    Some(midnight + (hours * 60.0 + minutes) * 60.0 + seconds)
}

/// Every change of state that a log tells of.
pub(crate) fn changes(log: &str) -> Vec<Change> {
    log.lines().filter_map(change).collect()
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
        cause: field("cause=")?,
    })
}
