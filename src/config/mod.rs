//! The configuration: what the operator decides, as the file says it and with every default filled in.
//!
//! Reading goes on after a mistake, so that one run names them all: first every table by itself, then what the tables
//! say of each other, and of the machine.

mod announcement;
mod device;
mod file;
mod load_sharing;
mod machine;
mod mistake;
mod port;
mod process;
mod route;
mod section;
mod track;
mod value;
mod virtual_router;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;
use toml::de::DeTable;

pub use announcement::AnnouncementConfig;
pub use device::{Device, ParseDeviceError};
pub use load_sharing::{
    Delivery, DiscoveryConfig, GroupName, KeyConfig, Keys, LoadSharingConfig, NodeConfig, Secret,
};
pub use machine::Machine;
pub use mistake::{Located, Mistake, Problem};
pub use port::{PortConfig, Rss};
pub use process::{
    ControlConfig, DEFAULT_SOCKET, EalConfig, HugePages, LogConfig, LogFormat, LogLevel,
    WorkersConfig,
};
pub use route::{RouteConfig, RouteTarget};
pub use track::{TrackConfig, TrackTarget};
pub use value::duration_text;
pub use virtual_router::VirtualRouterConfig;

use port::Ports;
use section::{Mistakes, Section};

/// The largest configuration file: a million routes have room.
const FILE_OCTETS_MAX: u64 = 64 << 20;

/// A configuration without a mistake.
///
/// It serializes to what a file could say, defaults and all, and passwords hidden.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// `[eal]`.
    pub eal: EalConfig,
    /// `[workers]`.
    pub workers: WorkersConfig,
    /// `[control]`.
    pub control: ControlConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// Every `[[port]]`, in the order of the file, which numbers them.
    #[serde(rename = "port")]
    pub ports: Vec<PortConfig>,
    /// Every `[[route]]`.
    #[serde(rename = "route")]
    pub routes: Vec<RouteConfig>,
    /// Every `[[virtual-router]]`.
    #[serde(rename = "virtual-router")]
    pub virtual_routers: Vec<VirtualRouterConfig>,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}\n  remedy: {}", path.display(), remedy(source))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has mistakes, in the order of the file.
    #[error("{}", listed(.0))]
    Mistakes(Vec<Problem>),
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::NotFound => "give the path of a configuration file with -c",
        io::ErrorKind::PermissionDenied => "run as a user who may read it",
        io::ErrorKind::InvalidData => "save the file as UTF-8",
        io::ErrorKind::InvalidInput => {
            "give the path of a file, not of a directory, a pipe or a device"
        }
        io::ErrorKind::FileTooLarge => "make sure that this is the configuration file",
        _ => "make the file readable",
    }
}

fn listed(problems: &[Problem]) -> String {
    let mut text: String = problems
        .iter()
        .map(|problem| format!("{problem}\n\n"))
        .collect();
    text += &match problems.len() {
        1 => "1 mistake".to_owned(),
        mistakes => format!("{mistakes} mistakes"),
    };
    text
}

impl Config {
    /// Reads the file at `path` and checks it against `machine`.
    ///
    /// # Errors
    /// The file cannot be read, or has mistakes: all of them.
    pub fn load(path: &Path, machine: &Machine) -> Result<Self, LoadError> {
        let text = file::read(path, FILE_OCTETS_MAX)
            .and_then(|octets| {
                String::from_utf8(octets)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            })
            .map_err(|source| LoadError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
        Self::parse(&path.display().to_string(), &text, machine).map_err(LoadError::Mistakes)
    }

    /// Reads `text`, which `file` holds, and checks it against `machine`.
    ///
    /// # Errors
    /// Every mistake, in the order of the file. Behind a mistake in the syntax nothing else is looked for.
    pub fn parse(file: &str, text: &str, machine: &Machine) -> Result<Self, Vec<Problem>> {
        let mut mistakes = Mistakes::default();
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            mistakes.note(&error.span().unwrap_or(0..0), syntax_mistake(error));
        }
        let config = errors
            .is_empty()
            .then(|| Self::read(root.get_ref(), machine, &mut mistakes));
        match config {
            Some(config) if mistakes.len() == 0 => Ok(config),
            _ => Err(mistakes
                .into_sorted()
                .into_iter()
                .map(|(span, mistake)| Problem::locate(file, text, &span, mistake))
                .collect()),
        }
    }

    /// What could be read; `mistakes` says whether it is worth anything.
    fn read(root: &DeTable<'_>, machine: &Machine, mistakes: &mut Mistakes) -> Self {
        let mut root = Section::new("the file", Some(root), 0..0);
        let eal = EalConfig::read(root.table(mistakes, "eal", "[eal]"), mistakes);
        let workers = WorkersConfig::read(root.table(mistakes, "workers", "[workers]"), mistakes);
        let control = ControlConfig::read(root.table(mistakes, "control", "[control]"), mistakes);
        let log = LogConfig::read(root.table(mistakes, "log", "[log]"), mistakes);
        let ports = Ports::read(root.tables(mistakes, "port", "[[port]]"), mistakes);
        let routes: Vec<_> = root
            .tables(mistakes, "route", "[[route]]")
            .into_iter()
            .filter_map(|table| RouteConfig::read(table, mistakes))
            .collect();
        let virtual_routers: Vec<_> = root
            .tables(mistakes, "virtual-router", "[[virtual-router]]")
            .into_iter()
            .filter_map(|table| VirtualRouterConfig::read(table, mistakes))
            .collect();

        workers.check(machine, mistakes);
        ports.check(workers.count.value, root.span(), machine, mistakes);
        route::check(&routes, &ports, &virtual_routers, mistakes);
        virtual_router::check(&virtual_routers, &ports, workers.idle_sleep, mistakes);
        root.close(mistakes);
        Self {
            eal,
            workers,
            control,
            log,
            ports: ports.ports,
            routes,
            virtual_routers,
        }
    }
}

fn syntax_mistake(error: &toml::de::Error) -> Mistake {
    let message = error.message();
    let remedy = if message.contains("duplicate key") {
        "keep one of them"
    } else {
        "write `key = value`, strings in quotation marks, arrays in brackets, tables as `[name]` or `[[name]]`"
    };
    Mistake::new(format!("not TOML: {message}"), remedy)
}
