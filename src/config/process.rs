//! The tables of the file that concern the process: `[eal]`, `[workers]`, `[control]`, `[log]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::machine::Machine;
use super::mistake::{Located, Mistake};
use super::section::{Mistakes, Section};
use super::value;

/// Where `ctl` finds the router unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/manifold/control.sock";

/// `[eal]`: how DPDK's environment is started.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EalConfig {
    /// Nothing is left in file systems, so that several routers on a machine do not meet.
    pub in_memory: bool,
    /// Whether memory comes from huge pages.
    pub huge_pages: HugePages,
    /// Memory to reserve at the start, in MiB; without it DPDK takes huge pages as needed.
    pub memory_mib: Option<u32>,
    /// Tells this process's DPDK files (telemetry among them) from those of others.
    pub file_prefix: String,
    /// Whether DPDK's telemetry socket is open.
    pub telemetry: bool,
    /// Further EAL arguments, as they are.
    pub args: Vec<Located<String>>,
}

/// Where DPDK's memory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HugePages {
    /// Huge pages if there are any free, else ordinary ones.
    Auto,
    /// Huge pages, or no start.
    Required,
    /// Ordinary pages.
    Off,
}

/// EAL arguments that follow from other keys, and the keys.
const RESERVED_ARGS: [(&str, &str); 16] = [
    ("--in-memory", "`in-memory` of [eal]"),
    ("--no-huge", "`huge-pages` of [eal]"),
    ("-m", "`memory-mib` of [eal]"),
    ("--memory-size", "`memory-mib` of [eal]"),
    ("--file-prefix", "`file-prefix` of [eal]"),
    ("--telemetry", "`telemetry` of [eal]"),
    ("--no-telemetry", "`telemetry` of [eal]"),
    ("--no-pci", "`device` of [[port]]"),
    ("-a", "`device` of [[port]]"),
    ("--allow", "`device` of [[port]]"),
    ("--vdev", "`device` of [[port]]"),
    ("-l", "`cpus` of [workers]"),
    ("-c", "`cpus` of [workers]"),
    ("--coremask", "`cpus` of [workers]"),
    ("--lcores", "`cpus` of [workers]"),
    ("--main-lcore", "`control-cpu` of [workers]"),
];

impl EalConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let read = Self {
            in_memory: table
                .with_default(mistakes, "in-memory", true, value::boolean)
                .value,
            huge_pages: table
                .with_default(
                    mistakes,
                    "huge-pages",
                    HugePages::Auto,
                    value::choice(&[
                        ("auto", HugePages::Auto),
                        ("required", HugePages::Required),
                        ("off", HugePages::Off),
                    ]),
                )
                .value,
            memory_mib: table
                .optional(
                    mistakes,
                    "memory-mib",
                    value::integer(64..=1_048_576, "MiB"),
                )
                .map(|memory| memory.value),
            file_prefix: table
                .with_default(mistakes, "file-prefix", "manifold".to_owned(), |value| {
                    plain_word(value::text(value)?)
                })
                .value,
            telemetry: table
                .with_default(mistakes, "telemetry", true, value::boolean)
                .value,
            args: table.list(mistakes, "args", |value| free_arg(value::text(value)?)),
        };
        table.close(mistakes);
        read
    }
}

fn plain_word(text: String) -> Result<String, Mistake> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) {
        return Ok(text);
    }
    Err(Mistake::new(
        format!("\"{}\" cannot be part of a file name", text.escape_debug()),
        "use up to 64 letters, digits, hyphens, underscores and dots",
    ))
}

fn free_arg(text: String) -> Result<String, Mistake> {
    let option = text.split('=').next().unwrap_or_default();
    match RESERVED_ARGS.iter().find(|(arg, _)| *arg == option) {
        None => Ok(text),
        Some((arg, key)) => Err(Mistake::new(
            format!("{arg} follows from other keys"),
            format!("remove it and use {key}"),
        )),
    }
}

/// `[workers]`: the threads that forward.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WorkersConfig {
    /// How many there are.
    pub count: Located<u16>,
    /// The processor that each is pinned to; empty for as the scheduler likes.
    pub cpus: Vec<Located<usize>>,
    /// The processor that the control thread is pinned to.
    pub control_cpu: Option<Located<usize>>,
    /// How long a worker sleeps after a poll that found nothing; 0 for never.
    #[serde(serialize_with = "value::serialize_duration")]
    pub idle_sleep: Duration,
    /// Packets taken from a queue at once.
    pub burst_size: u16,
    /// Packet buffers, shared by all ports; without it as many as queues and backlogs can hold, and some to spare.
    pub mbufs: Option<u32>,
    /// Packets that a worker holds back at most.
    pub backlog: u32,
}

impl WorkersConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let cpus = table.list(mistakes, "cpus", value::integer(0..=1023, ""));
        let listed = u16::try_from(cpus.len()).unwrap_or(u16::MAX).max(1);
        let read = Self {
            count: table.with_default(mistakes, "count", listed, value::integer(1..=64, "workers")),
            cpus,
            control_cpu: table.optional(mistakes, "control-cpu", value::integer(0..=1023, "")),
            idle_sleep: table
                .with_default(
                    mistakes,
                    "idle-sleep",
                    Duration::ZERO,
                    value::duration(Duration::ZERO..=Duration::from_millis(10)),
                )
                .value,
            burst_size: table
                .with_default(
                    mistakes,
                    "burst-size",
                    64,
                    value::integer(1..=64, "packets"),
                )
                .value,
            mbufs: table
                .optional(
                    mistakes,
                    "mbufs",
                    value::integer(1024..=4_194_304, "buffers"),
                )
                .map(|mbufs| mbufs.value),
            backlog: table
                .with_default(
                    mistakes,
                    "backlog",
                    4096,
                    value::integer(64..=1_048_576, "packets"),
                )
                .value,
        };
        table.close(mistakes);
        read
    }

    pub(super) fn check(&self, machine: &Machine, mistakes: &mut Mistakes) {
        if !self.cpus.is_empty() && self.cpus.len() != usize::from(self.count.value) {
            mistakes.note(
                &self.count.span,
                Mistake::new(
                    format!(
                        "{} workers, but `cpus` names {} processors",
                        self.count.value,
                        self.cpus.len()
                    ),
                    "name one processor for each worker, or leave `count` out",
                ),
            );
        }
        for (index, cpu) in self.cpus.iter().enumerate() {
            if self.cpus[..index].contains(cpu) {
                mistakes.note(
                    &cpu.span,
                    Mistake::new(
                        format!("processor {} is given to two workers", cpu.value),
                        "name each processor once",
                    ),
                );
            }
        }
        for cpu in self.cpus.iter().chain(&self.control_cpu) {
            if let Some(available) = &machine.cpus
                && !available.contains(&cpu.value)
            {
                let listed: Vec<_> = available.iter().map(ToString::to_string).collect();
                mistakes.note(
                    &cpu.span,
                    Mistake::new(
                        format!("this process may not run on processor {}", cpu.value),
                        format!("choose from {}", listed.join(", ")),
                    ),
                );
            }
        }
        if let Some(available) = &machine.scheduled
            && self.cpus.is_empty()
            && self.idle_sleep.is_zero()
            && usize::from(self.count.value) > available.len()
        {
            mistakes.note(
                &self.count.span,
                Mistake::new(
                    format!(
                        "{} workers poll without a pause, but there are {} processors",
                        self.count.value,
                        available.len()
                    ),
                    "lower `count`, or let the workers sleep when idle (`idle-sleep = \"50us\"`)",
                ),
            );
        }
    }
}

/// `[control]`: the control thread and the way to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ControlConfig {
    /// Where `ctl` connects.
    pub socket: PathBuf,
    /// The longest sleep between two rounds of the control loop.
    #[serde(serialize_with = "value::serialize_duration")]
    pub tick: Duration,
    /// The priority by which the control thread, and workers that sleep when idle, run before ordinary programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_priority: Option<u8>,
    /// How long giving everything away may take before the router ends all the same.
    #[serde(serialize_with = "value::serialize_duration")]
    pub stop_limit: Duration,
}

/// The longest path that a Unix socket can have.
const SOCKET_PATH_MAX_OCTETS: usize = 107;

impl ControlConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let read = Self {
            socket: table
                .with_default(mistakes, "socket", PathBuf::from(DEFAULT_SOCKET), |value| {
                    socket_path(value::text(value)?)
                })
                .value,
            tick: table
                .with_default(
                    mistakes,
                    "tick",
                    Duration::from_micros(250),
                    value::duration(Duration::from_micros(50)..=Duration::from_millis(10)),
                )
                .value,
            realtime_priority: table
                .optional(mistakes, "realtime-priority", value::integer(2..=99, ""))
                .map(|priority| priority.value),
            stop_limit: table
                .with_default(
                    mistakes,
                    "stop-limit",
                    Duration::from_secs(5),
                    value::duration(Duration::ZERO..=Duration::from_secs(300)),
                )
                .value,
        };
        table.close(mistakes);
        read
    }
}

fn socket_path(text: String) -> Result<PathBuf, Mistake> {
    if !text.starts_with('/') {
        return Err(Mistake::new(
            format!("\"{}\" is no absolute path", text.escape_debug()),
            format!("write the whole path, as in \"{DEFAULT_SOCKET}\""),
        ));
    }
    if text.len() > SOCKET_PATH_MAX_OCTETS || text.contains('\0') {
        return Err(Mistake::new(
            "this cannot be the path of a socket",
            format!("use at most {SOCKET_PATH_MAX_OCTETS} octets"),
        ));
    }
    Ok(PathBuf::from(text))
}

/// `[log]`: what is logged, and how it looks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LogConfig {
    /// The least important events that are logged.
    pub level: LogLevel,
    /// The form of a line.
    pub format: LogFormat,
}

/// How important an event must be to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Self {
        let read = Self {
            level: table
                .with_default(
                    mistakes,
                    "level",
                    LogLevel::Info,
                    value::choice(&[
                        ("error", LogLevel::Error),
                        ("warn", LogLevel::Warn),
                        ("info", LogLevel::Info),
                        ("debug", LogLevel::Debug),
                        ("trace", LogLevel::Trace),
                    ]),
                )
                .value,
            format: table
                .with_default(
                    mistakes,
                    "format",
                    LogFormat::Text,
                    value::choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
                )
                .value,
        };
        table.close(mistakes);
        read
    }
}
