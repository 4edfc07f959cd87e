//! What `show vrrp` prints: one object for programs, one table for people, from the same figures. The counters have the
//! names of RFC 8347 wherever it has one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use vrrpd::{PseudoHeader, Time, Transition, Verdict, VirtualRouter, Weight};

use super::config::{GroupConfig, SourceMac};
use super::driver::Vrrp;

/// The answer to `show vrrp`.
#[derive(Clone, Debug, Serialize)]
pub struct ShowVrrp {
    /// By port and VRID.
    pub virtual_routers: Vec<ShowGroup>,
    /// What reached none of them.
    pub strays: BTreeMap<&'static str, u64>,
}

/// One virtual router. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct ShowGroup {
    /// The port's name.
    pub port: String,
    /// The VRID.
    pub vrid: u8,
    /// The version, 2 or 3.
    pub version: u8,
    /// `initialise`, `backup` or `master`.
    pub state: String,
    /// For how long.
    pub state_for_ms: f64,
    /// What keeps it in `initialise`, if it is there.
    pub obstacle: Option<String>,
    /// The priority in force.
    pub priority: u8,
    /// The configured one.
    pub priority_configured: u8,
    /// This router's address on the port.
    pub local_address: IpAddr,
    /// The master's address as far as known.
    pub master_address: Option<IpAddr>,
    /// The master's priority as far as known.
    pub master_priority: Option<u8>,
    /// The virtual addresses.
    pub virtual_addresses: Vec<IpAddr>,
    /// The virtual MAC.
    pub virtual_mac: String,
    /// The configured advertisement interval.
    pub advertisement_interval_ms: f64,
    /// The master's.
    pub master_interval_ms: f64,
    /// The silence after which a backup takes over.
    pub master_down_interval_ms: f64,
    /// The part of it that depends on the priority.
    pub skew_time_ms: f64,
    /// Whether a lower master is ousted.
    pub preempt: bool,
    /// How long it is tolerated first.
    pub preempt_delay_ms: f64,
    /// Whether the master accepts packets to the virtual addresses.
    pub accept: bool,
    /// In version 3: whether the checksum counts the pseudo-header.
    pub checksum: Option<&'static str>,
    /// `own` or `virtual`.
    pub source_mac: &'static str,
    /// What its priority depends on.
    pub tracks: Vec<ShowTrack>,
    /// The latest changes of state, oldest first.
    pub transitions: Vec<ShowTransition>,
    /// For how long the counters count.
    pub counted_for_ms: f64,
    /// The counters.
    pub counters: BTreeMap<&'static str, u64>,
}

/// Something that is watched.
#[derive(Clone, Debug, Serialize)]
pub struct ShowTrack {
    /// What.
    pub name: String,
    /// What it is worth; `None` if it is essential.
    pub weight: Option<i16>,
    /// Whether it holds; `None` if that is not known yet.
    pub holds: Option<bool>,
}

/// A change of state.
#[derive(Clone, Debug, Serialize)]
pub struct ShowTransition {
    /// How long ago.
    pub ago_ms: f64,
    /// The state before.
    pub from: String,
    /// The state since.
    pub to: String,
    /// Why, for programs.
    pub cause: &'static str,
    /// Why, for people.
    pub text: String,
}

impl ShowVrrp {
    /// Everything there is to show at `now`.
    #[must_use]
    pub fn of(vrrp: &Vrrp, now: Time) -> ShowVrrp {
        let strays = vrrp.stray_counters();
        ShowVrrp {
            virtual_routers: vrrp
                .groups()
                .map(|(config, router, transitions)| {
                    ShowGroup::of(config, router, transitions.iter(), now)
                })
                .collect(),
            strays: BTreeMap::from([
                ("packet-length-errors", strays.packet_length_errors),
                ("vrid-errors", strays.vrid_errors),
                ("output-overflows", strays.output_overflows),
            ]),
        }
    }
}

impl ShowGroup {
    fn of<'a>(
        config: &GroupConfig,
        router: &VirtualRouter,
        transitions: impl Iterator<Item = &'a Transition>,
        now: Time,
    ) -> ShowGroup {
        let status = router.status();
        let tracks = status.tracks.iter().map(|(track, verdict)| ShowTrack {
            name: track.name.clone(),
            weight: match track.weight {
                Weight::Essential => None,
                Weight::Priority(weight) => Some(weight),
            },
            holds: match verdict {
                Verdict::Unknown => None,
                Verdict::Holds => Some(true),
                Verdict::Fails => Some(false),
            },
        });
        let transitions = transitions.map(|transition| ShowTransition {
            ago_ms: milliseconds(now.since(transition.at)),
            from: transition.from.to_string(),
            to: transition.to.to_string(),
            cause: transition.cause.name(),
            text: transition.cause.to_string(),
        });
        ShowGroup {
            port: config.port_name.clone(),
            vrid: status.vrid.get(),
            version: status.version,
            state: status.state.to_string(),
            state_for_ms: milliseconds(now.since(status.since)),
            obstacle: status.obstacle.map(|obstacle| obstacle.to_string()),
            priority: status.priority,
            priority_configured: status.priority_configured,
            local_address: status.local,
            master_address: status.master,
            master_priority: status.master_priority,
            virtual_addresses: status.addresses,
            virtual_mac: dataplane::addr::MacAddr(status.virtual_mac).to_string(),
            advertisement_interval_ms: milliseconds(status.interval),
            master_interval_ms: milliseconds(status.master_interval),
            master_down_interval_ms: milliseconds(status.down_interval),
            skew_time_ms: milliseconds(status.skew),
            preempt: status.preempt,
            preempt_delay_ms: milliseconds(status.preempt_delay),
            accept: status.accept,
            checksum: status.checksum.map(|checksum| match checksum {
                PseudoHeader::With => "with-pseudo-header",
                PseudoHeader::Without => "without-pseudo-header",
            }),
            source_mac: match config.source_mac {
                SourceMac::Own => "own",
                SourceMac::Virtual => "virtual",
            },
            tracks: tracks.collect(),
            transitions: transitions.collect(),
            counted_for_ms: milliseconds(now.since(status.counters_since)),
            counters: status.counters.iter().collect(),
        }
    }

    fn cells(&self) -> [String; 8] {
        let master = self
            .master_address
            .map_or_else(|| "-".into(), |master| master.to_string());
        let why = match (&self.obstacle, self.transitions.last()) {
            (Some(obstacle), _) => obstacle.clone(),
            (None, Some(transition)) => transition.text.clone(),
            (None, None) => String::new(),
        };
        let addresses = match &self.virtual_addresses[..] {
            [first, rest @ ..] if rest.len() > 1 => format!("{first} +{}", rest.len()),
            few => few
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        };
        [
            self.port.clone(),
            self.vrid.to_string(),
            self.state.clone(),
            self.priority.to_string(),
            master,
            format!("{} ms", self.master_interval_ms),
            addresses,
            why,
        ]
    }
}

const HEADINGS: [&str; 8] = [
    "Port",
    "VRID",
    "State",
    "Priority",
    "Master",
    "Interval",
    "Addresses",
    "Because",
];

impl fmt::Display for ShowVrrp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.virtual_routers.is_empty() {
            return writeln!(f, "no virtual routers");
        }
        let rows: Vec<_> = std::iter::once(HEADINGS.map(String::from))
            .chain(self.virtual_routers.iter().map(ShowGroup::cells))
            .collect();
        let width = |column: usize| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, &width)| format!("{cell:<width$}"))
                .collect();
            writeln!(f, "{}", line.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Milliseconds, exact to the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}
