//! A machine of the network: a network namespace with its own `/sys` and `/run`, and ways to do something inside.
//! How machines are connected is in `link.rs`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::error::Doing;
use crate::process::{Finished, Process, command};
use crate::{LabError, Result};

/// How long a program that is to end by itself may take, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Becomes the machine's keeper: its own interfaces in `/sys`, an empty `/run`, and quiet: no IPv6 autoconfiguration, no
/// reverse path filter, no limit on ICMP errors. Then it waits for the end of its input, which is the end of us.
const KEEPER: &str = "
set -e
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
cd /proc/sys/net
for scope in all default; do
  if [ -d ipv6 ]; then echo 1 >ipv6/conf/$scope/disable_ipv6; fi
  echo 0 >ipv4/conf/$scope/rp_filter
  echo 0 >ipv4/conf/$scope/send_redirects
done
echo 0 >ipv4/icmp_ratemask
ip link set lo up
echo ready
exec cat";

/// One machine. It vanishes, with its links, files and programs started here, when dropped or when this process ends.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    keeper: Child,
    network: File,
}

impl Namespace {
    /// Makes a machine without links. The name is for people; two machines may share one.
    ///
    /// # Errors
    /// Mostly: this process is not root.
    pub fn new(name: &str) -> Result<Self> {
        // The keeper's input is a pipe that only this process holds, so that it ends when we do.
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "--", "sh", "-c", KEEPER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .doing(|| format!("make the namespace of {name}"))?;
        let mut greeting = String::new();
        if let Some(stdout) = keeper.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut greeting)
                .doing(|| format!("wait for the keeper of {name}"))?;
        }
        if greeting.trim() != "ready" {
            drop(keeper.stdin.take());
            let output = keeper
                .wait_with_output()
                .doing(|| format!("wait for the keeper of {name}"))?;
            return Err(LabError::Command {
                command: format!("make the namespace of {name} (needs root)"),
                status: output.status,
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        let path = format!("/proc/{}/ns/net", keeper.id());
        let network = File::open(&path).doing(|| format!("open {path}"))?;
        Ok(Self {
            name: name.into(),
            keeper,
            network,
        })
    }

    /// The name given to it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process that `ip link … netns` and `nsenter --target` take for this machine.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.keeper.id()
    }

    /// The path, seen from outside, of a file that is `/run/NAME` inside.
    #[must_use]
    pub fn run_file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/run/{name}", self.pid()))
    }

    /// A program inside, to be given its arguments. Its working directory is `/`.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = command("nsenter");
        command
            .args([
                "--target",
                &self.pid().to_string(),
                "--net",
                "--mount",
                "--root",
                "--",
            ])
            .arg(program);
        command
    }

    /// Starts a program inside.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn spawn<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Process> {
        let mut words = words.iter();
        let program = words.next().ok_or_else(|| LabError::Unreadable {
            what: "a command".into(),
            text: "it has no words".into(),
        })?;
        let mut command = self.command(program);
        command.args(words);
        Process::spawn(command)
    }

    /// Runs a program inside to its successful end; its standard output.
    ///
    /// # Errors
    /// When it fails or takes more than a minute.
    pub fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<String> {
        self.spawn(words)?.succeed(PATIENCE)
    }

    /// Runs a program inside to its end, whatever that is.
    ///
    /// # Errors
    /// When it cannot be started or takes more than a minute.
    pub fn try_run<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Finished> {
        self.spawn(words)?.finish(PATIENCE)
    }

    /// Runs one line of words, split at spaces.
    ///
    /// # Errors
    /// As [`Namespace::run`].
    pub fn sh(&self, line: &str) -> Result<String> {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Does something on a thread inside: sockets opened there stay there, `/proc/sys/net` is this machine's.
    ///
    /// # Errors
    /// What the work returns, or that the machine cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let inside = || {
            setns(self.network.as_fd(), CloneFlags::CLONE_NEWNET)
                .doing(|| format!("enter {}", self.name))?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join())
            .map_err(|_| LabError::Panicked("work in a namespace"))?
    }

    /// Sets a value below `/proc/sys/net`.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{path}");
        self.enter(|| fs::write(&path, value).doing(|| format!("write {value} to {path}")))
    }

    /// A value of `/proc/net/snmp` or `/proc/net/netstat`, such as `("Tcp", "RetransSegs")`.
    ///
    /// # Errors
    /// When the kernel has none of that name.
    pub fn kernel_counter(&self, group: &str, name: &str) -> Result<u64> {
        let text = self.enter(|| {
            let read = |path: &str| fs::read_to_string(path).doing(|| format!("read {path}"));
            Ok(read("/proc/thread-self/net/snmp")? + &read("/proc/thread-self/net/netstat")?)
        })?;
        // A line of names, then a line of values, each starting with the group.
        let mut lines = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(of, _)| *of == group);
        std::iter::from_fn(|| Some((lines.next()?.1, lines.next()?.1)))
            .flat_map(|(names, values)| names.split_whitespace().zip(values.split_whitespace()))
            .find_map(|(of, value)| (of == name).then(|| value.parse().ok())?)
            .ok_or_else(|| LabError::Unreadable {
                what: format!("kernel counter {group} {name}"),
                text,
            })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Both fail only when the keeper is gone already.
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}
