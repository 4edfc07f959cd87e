//! keepalived, the witness: it speaks the protocol by its own understanding, and counts what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use lab::link::End;
use lab::namespace::Namespace;
use lab::poll;
use lab::process::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::member::PATIENCE;
use crate::network::{INTERFACE, Lan, PREFIX_LEN, Settings, VIRTUAL, VRID, address_of, peer_of};

const CHILD_PID: &str = "keepalived-vrrp.pid";

/// Words of the lines that it logs about packets it does not like.
const COMPLAINTS: [&str; 7] = [
    "invalid",
    "mismatch",
    "incorrect",
    "bogus",
    "dropped",
    "expected",
    "discard",
];

/// A running keepalived. Its parent process looks after a child that does VRRP.
pub(crate) struct Keepalived<'a> {
    machine: &'a Namespace,
    process: Process,
}

impl<'a> Keepalived<'a> {
    pub(crate) fn start(lan: &'a Lan, index: usize, settings: &Settings) -> Keepalived<'a> {
        let machine = lan.router(index);
        // It writes its statistics to a fixed name in /tmp, which shall be this machine's own.
        let own_tmp = machine.run_file("tmp-is-own");
        if !own_tmp.exists() {
            machine.sh("mount -t tmpfs tmpfs /tmp").expect("a /tmp");
            fs::write(own_tmp, "").expect("a mark");
        }
        let end = End::of(machine, INTERFACE);
        machine
            .sh(&format!("ip address flush dev {INTERFACE}"))
            .expect("no address");
        end.address(&format!("{}/{PREFIX_LEN}", address_of(index)))
            .expect("an address");
        let text = configuration(index, settings);
        fs::write(machine.run_file("keepalived.conf"), text).expect("a configuration");
        let _ = fs::remove_file(machine.run_file(CHILD_PID));
        let words = [
            "keepalived",
            "--dont-fork",
            "--log-console",
            "--log-detail",
            "--vrrp",
            "--use-file=/run/keepalived.conf",
            "--pid=/run/keepalived.pid",
            "--vrrp_pid=/run/keepalived-vrrp.pid",
        ];
        let mut process = machine.spawn(&words).expect("keepalived");
        process
            .wait_for("Entering BACKUP STATE", PATIENCE)
            .expect("a start");
        Keepalived { machine, process }
    }

    /// Whether it has put the virtual address on its interface, as a master does.
    pub(crate) fn is_master(&self) -> bool {
        let shown = self
            .machine
            .sh(&format!("ip -4 -oneline address show dev {INTERFACE}"))
            .expect("addresses");
        shown.contains(&format!(" {VIRTUAL}/"))
    }

    /// Ends it as a crash would, both processes at once; its machine then has the virtual address no more.
    pub(crate) fn kill(self) {
        let child = self.child();
        // Stopped, the parent cannot start another child.
        self.process.signal(Signal::SIGSTOP).expect("a parent");
        kill(child, Signal::SIGKILL).expect("a child");
        self.process.signal(Signal::SIGKILL).expect("a parent");
        self.process.finish(PATIENCE).expect("an end");
        self.machine
            .sh(&format!("ip address flush dev {INTERFACE}"))
            .expect("no address");
    }

    /// Ends it as an operator would.
    pub(crate) fn stop(self) {
        self.process.signal(Signal::SIGTERM).expect("a parent");
        self.process.finish(PATIENCE).expect("an end");
    }

    /// Everything that it counts, as `name` or `Section: name`.
    pub(crate) fn statistics(&self) -> BTreeMap<String, u64> {
        let file = PathBuf::from(format!(
            "/proc/{}/root/tmp/keepalived.stats",
            self.machine.pid()
        ));
        let _ = fs::remove_file(&file);
        kill(self.child(), Signal::SIGUSR2).expect("a child");
        poll::until("keepalived's statistics", PATIENCE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            // The last figure that it writes.
            let statistics = read_statistics(&text);
            Ok(statistics
                .contains_key("Priority Zero: Sent")
                .then_some(statistics))
        })
        .expect("statistics")
    }

    /// Every counter of errors that is not zero, and every complaint in its log.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let counted = self
            .statistics()
            .into_iter()
            .filter(|(name, count)| name.contains("Errors") && *count > 0)
            .map(|(name, count)| format!("{name} = {count}"));
        let said = self.said();
        let complaints = said.lines().filter(|line| {
            let line = line.to_lowercase();
            // A backup that preempts discards what a lower master sends (RFC 9568 section 6.4.2); that is no refusal.
            !line.contains("received lower priority")
                && COMPLAINTS.iter().any(|word| line.contains(word))
        });
        counted.chain(complaints.map(str::to_owned)).collect()
    }

    pub(crate) fn said(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }

    fn child(&self) -> Pid {
        let file = self.machine.run_file(CHILD_PID);
        let pid = poll::until("keepalived's child", PATIENCE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            Ok(text.trim().parse().ok())
        });
        Pid::from_raw(pid.expect("a child"))
    }
}

fn configuration(index: usize, settings: &Settings) -> String {
    let Settings {
        version,
        priority,
        interval_ms,
        preempt,
        groups: _,
        password,
        unicast,
    } = settings;
    let interval = *interval_ms as f64 / 1000.0;
    let nopreempt = if *preempt { "" } else { "nopreempt" };
    let authentication = password.map_or(String::new(), |password| {
        format!("authentication {{\n auth_type PASS\n auth_pass {password}\n }}")
    });
    let peers = if *unicast {
        let (own, other) = (address_of(index), peer_of(index));
        format!("unicast_src_ip {own}\n unicast_peer {{\n {other}\n }}")
    } else {
        String::new()
    };
    format!(
        "global_defs {{
  router_id witness
  vrrp_garp_master_delay 0
  vrrp_garp_master_repeat 2
}}
vrrp_instance witness {{
  version {version}
  state BACKUP
  interface {INTERFACE}
  virtual_router_id {VRID}
  priority {priority}
  advert_int {interval}
  accept
  {nopreempt}
  {authentication}
  {peers}
  virtual_ipaddress {{
    {VIRTUAL}/{PREFIX_LEN} dev {INTERFACE}
  }}
}}
"
    )
}

/// Two blanks before a figure of the instance itself, four before one of a section of its figures.
fn read_statistics(text: &str) -> BTreeMap<String, u64> {
    let mut section = String::new();
    let mut statistics = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.trim().split_once(':') else {
            continue;
        };
        match value.trim().parse() {
            Ok(count) if line.starts_with("    ") => {
                statistics.insert(format!("{section}: {name}"), count);
            }
            Ok(count) => {
                statistics.insert(name.to_owned(), count);
            }
            Err(_) => section = name.to_owned(),
        }
    }
    statistics
}
