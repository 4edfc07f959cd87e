//! `show vrrp`: which virtual routers there are, who is master of each, and why. The counters have the names of RFC 8347
//! wherever it has one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::table::{Table, or_hyphen};

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Vrrp {
    /// By port and VRID.
    pub virtual_routers: Vec<VirtualRouter>,
    /// What reached none of them.
    pub strays: BTreeMap<&'static str, u64>,
}

/// One virtual router. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VirtualRouter {
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
    /// What keeps it in `initialise`, if it is there, or from taking part in what state it is.
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
    pub tracks: Vec<VirtualRouterTrack>,
    /// The latest changes of state, oldest first.
    pub transitions: Vec<VirtualRouterTransition>,
    /// For how long the counters count.
    pub counted_for_ms: f64,
    /// The counters.
    pub counters: BTreeMap<&'static str, u64>,
}

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VirtualRouterTrack {
    /// What.
    pub name: String,
    /// What it is worth; `None` if it is essential.
    pub weight: Option<i16>,
    /// Whether it holds; `None` if that is not known yet.
    pub holds: Option<bool>,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VirtualRouterTransition {
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

impl Vrrp {
    /// The same while nothing is routed, if there is a reason why nothing is.
    #[must_use]
    pub fn halted(mut self, reason: Option<&str>) -> Self {
        for router in &mut self.virtual_routers {
            router.obstacle = router.obstacle.take().or(reason.map(str::to_owned));
        }
        self
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&[
            "port",
            "vrid",
            "state",
            "priority",
            "master",
            "interval",
            "addresses",
            "because",
        ]);
        for router in &self.virtual_routers {
            table.row(&[
                &router.port,
                &router.vrid,
                &router.state,
                &router.priority,
                &or_hyphen(router.master_address),
                &format!("{} ms", router.master_interval_ms),
                &router.addresses(),
                &router.reason(),
            ]);
        }
        table.to_string()
    }
}

impl VirtualRouter {
    /// The first address, and how many more there are.
    fn addresses(&self) -> String {
        let first = or_hyphen(self.virtual_addresses.first());
        match self.virtual_addresses.len() {
            0 | 1 => first,
            more => format!("{first} and {} more", more - 1),
        }
    }

    /// Why the state is what it is.
    fn reason(&self) -> &str {
        let cause = self.transitions.last();
        self.obstacle
            .as_deref()
            .or(cause.map(|cause| cause.text.as_str()))
            .unwrap_or_default()
    }
}
