//! The program under test: started in a machine of its own, asked over its control socket, stopped. Each machine has a
//! `/run` of its own, so every program finds its socket where it is by default.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::error::Doing;
use crate::namespace::Namespace;
use crate::process::{Finished, Process};
use crate::{LabError, Result, poll};

/// How long it may take to start; the promise is 2 s on an idle machine.
const START: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(20);

/// A running manifold, killed when dropped.
#[derive(Debug)]
pub struct Manifold<'a> {
    machine: &'a Namespace,
    program: PathBuf,
    process: Process,
}

impl<'a> Manifold<'a> {
    /// Starts one and waits until it answers. `eal` are further words for DPDK.
    ///
    /// # Errors
    /// [`LabError::Command`] with what it printed, when it refuses the configuration or cannot start.
    pub fn start(
        machine: &'a Namespace,
        program: &Path,
        configuration: &str,
        eal: &[&str],
    ) -> Result<Self> {
        let started = Self::spawn(machine, program, configuration, eal)?;
        let Self { mut process, .. } = started;
        let answers = poll::until("manifold answering", START, || {
            if let Some(status) = process.ended()? {
                let output = format!("{}{}", process.stdout(), process.stderr());
                return Err(LabError::Command {
                    command: "manifold run".into(),
                    status,
                    output,
                });
            }
            let asked = ctl(machine, program, &["show", "port", "info", "all"])?;
            Ok(asked.status.success().then_some(()))
        });
        match answers {
            Ok(()) => Ok(Self {
                machine,
                program: program.into(),
                process,
            }),
            Err(LabError::Deadline {
                awaited, deadline, ..
            }) => {
                let detail = format!("; it said:\n{}{}", process.stdout(), process.stderr());
                Err(LabError::Deadline {
                    awaited,
                    deadline,
                    detail,
                })
            }
            Err(other) => Err(other),
        }
    }

    /// Starts one without waiting for anything.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn spawn(
        machine: &'a Namespace,
        program: &Path,
        configuration: &str,
        eal: &[&str],
    ) -> Result<Self> {
        write_configuration(machine, configuration)?;
        // In a session of its own, as a service is: the kernel schedules a session as one.
        let mut command = machine.command("setsid");
        command.arg(program);
        command.args(["run", "-c", CONFIGURATION_INSIDE]);
        if !eal.is_empty() {
            command.arg("--").args(eal);
        }
        Ok(Self {
            machine,
            program: program.into(),
            process: Process::spawn(command)?,
        })
    }

    /// One command over the control socket; what it answered.
    ///
    /// # Errors
    /// When it refuses.
    pub fn ctl(&self, command: &str) -> Result<String> {
        let words: Vec<_> = command.split_whitespace().collect();
        let Finished {
            status,
            stdout,
            stderr,
        } = ctl(self.machine, &self.program, &words)?;
        if status.success() {
            return Ok(stdout);
        }
        Err(LabError::Command {
            command: format!("manifold ctl {command}"),
            status,
            output: format!("{stdout}{stderr}"),
        })
    }

    /// One command over the control socket; its answer as data.
    ///
    /// # Errors
    /// When it refuses, or answers something else than JSON.
    pub fn json(&self, command: &str) -> Result<Value> {
        let text = self.ctl(&format!("--json {command}"))?;
        serde_json::from_str(&text).map_err(|_| LabError::Unreadable {
            what: format!("the answer to {command}"),
            text,
        })
    }

    /// One command, put to its socket without a program in between, because a test may have many; its answer as data.
    ///
    /// # Errors
    /// When it refuses, or answers something else than JSON.
    pub fn ask(&self, command: &str) -> Result<Value> {
        let doing = || format!("ask for {command}");
        let path = self.machine.run_file(SOCKET);
        let mut stream = UnixStream::connect(path).doing(doing)?;
        stream.set_read_timeout(Some(STOP)).doing(doing)?;
        let request = serde_json::json!({ "command": command, "json": true });
        writeln!(stream, "{request}").doing(doing)?;
        let mut text = String::new();
        BufReader::new(stream).read_line(&mut text).doing(doing)?;
        let unreadable = |text| LabError::Unreadable {
            what: format!("the answer to {command}"),
            text,
        };
        let answer: Value = serde_json::from_str(&text).map_err(|_| unreadable(text.clone()))?;
        let object = answer["ok"]
            .as_str()
            .and_then(|ok| serde_json::from_str(ok).ok());
        object.ok_or_else(|| unreadable(text))
    }

    /// Writes another configuration to its file, for a reload.
    ///
    /// # Errors
    /// When the machine is gone.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        write_configuration(self.machine, configuration)
    }

    /// The process, for signals and what it printed.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for an end that it comes to by itself.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it goes on.
    pub fn end(self, deadline: Duration) -> Result<Finished> {
        self.process.finish(deadline)
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Errors
    /// [`LabError::Deadline`] when it does not.
    pub fn stop(self) -> Result<Finished> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.finish(STOP)
    }
}

const SOCKET: &str = "manifold/control.sock";
const CONFIGURATION: &str = "manifold.toml";
const CONFIGURATION_INSIDE: &str = "/run/manifold.toml";

fn write_configuration(machine: &Namespace, configuration: &str) -> Result<()> {
    std::fs::write(machine.run_file(CONFIGURATION), configuration)
        .doing(|| "write a configuration".into())
}

fn ctl(machine: &Namespace, program: &Path, words: &[&str]) -> Result<Finished> {
    let mut command = machine.command(program);
    command.arg("ctl").args(words);
    Process::spawn(command)?.finish(STOP)
}
