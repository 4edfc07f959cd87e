//! keepalived, the witness: it speaks VRRP by its own understanding, and counts what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::Doing;
use crate::link::End;
use crate::process::Process;
use crate::{Result, poll};

const CHILD_PID: &str = "keepalived-vrrp.pid";
/// How long anything that is no timer of the protocol may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
#[derive(Debug)]
pub struct Keepalived<'a> {
    end: End<'a>,
    virtual_address: Ipv4Addr,
    process: Process,
}

impl<'a> Keepalived<'a> {
    /// Starts one at an interface, which gets `address` (with its prefix length) alone, and waits until it is backup.
    ///
    /// # Errors
    /// [`LabError::Command`](crate::LabError::Command) with what it printed when it refuses the configuration.
    pub fn start(
        end: End<'a>,
        address: &str,
        virtual_address: Ipv4Addr,
        configuration: &str,
    ) -> Result<Self> {
        let machine = end.machine;
        // It writes its statistics to a fixed name in /tmp: what it writes there shall be this machine's own, and what lies there be seen, as
        // the program itself may.
        let own_tmp = machine.run_file("tmp-is-own");
        if !own_tmp.exists() {
            machine.sh("mkdir /run/tmp-upper /run/tmp-work")?;
            machine.sh("mount -t overlay overlay -o lowerdir=/tmp,upperdir=/run/tmp-upper,workdir=/run/tmp-work /tmp")?;
            fs::write(own_tmp, "").doing(|| "leave a mark".into())?;
        }
        flush(end)?;
        end.address(address)?;
        fs::write(machine.run_file("keepalived.conf"), configuration)
            .doing(|| "write keepalived's configuration".into())?;
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
        let mut process = machine.spawn(&words)?;
        process.wait_for("Entering BACKUP STATE", PATIENCE)?;
        Ok(Self {
            end,
            virtual_address,
            process,
        })
    }

    /// Whether it has put the virtual address on its interface, as a master does.
    ///
    /// # Errors
    /// When its machine is gone.
    pub fn is_master(&self) -> Result<bool> {
        let End { machine, interface } = self.end;
        let shown = machine.sh(&format!("ip -4 -oneline address show dev {interface}"))?;
        Ok(shown.contains(&format!(" {}/", self.virtual_address)))
    }

    /// Ends it as a crash would, both processes at once; its machine then has the virtual address no more.
    ///
    /// # Errors
    /// When it is not there.
    pub fn kill(self) -> Result<()> {
        let child = self.child()?;
        // Stopped, the parent cannot start another child.
        self.process.signal(Signal::SIGSTOP)?;
        kill(child, Signal::SIGKILL).doing(|| "kill keepalived's child".into())?;
        self.process.signal(Signal::SIGKILL)?;
        self.process.finish(PATIENCE)?;
        flush(self.end)
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// When it goes on.
    pub fn stop(self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.finish(PATIENCE).map(drop)
    }

    /// Everything that it counts, as `name` or `Section: name`.
    ///
    /// # Errors
    /// When it does not write it.
    pub fn statistics(&self) -> Result<BTreeMap<String, u64>> {
        let file = PathBuf::from(format!(
            "/proc/{}/root/tmp/keepalived.stats",
            self.end.machine.pid()
        ));
        let _ = fs::remove_file(&file);
        kill(self.child()?, Signal::SIGUSR2).doing(|| "ask keepalived for statistics".into())?;
        poll::until("keepalived's statistics", PATIENCE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            // The last figure that it writes.
            let statistics = read_statistics(&text);
            Ok(statistics
                .contains_key("Priority Zero: Sent")
                .then_some(statistics))
        })
    }

    /// Every counter of errors that is not zero, and every complaint in its log.
    ///
    /// # Errors
    /// As [`Keepalived::statistics`].
    pub fn refusals(&self) -> Result<Vec<String>> {
        let counted = self
            .statistics()?
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
        Ok(counted.chain(complaints.map(str::to_owned)).collect())
    }

    /// What it logged.
    #[must_use]
    pub fn said(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }

    fn child(&self) -> Result<Pid> {
        let file = self.end.machine.run_file(CHILD_PID);
        let pid = poll::until("keepalived's child", PATIENCE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            Ok(text.trim().parse().ok())
        });
        pid.map(Pid::from_raw)
    }
}

/// Takes the interface's addresses away.
fn flush(end: End<'_>) -> Result<()> {
    let line = format!("ip address flush dev {}", end.interface);
    end.machine.sh(&line).map(drop)
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
