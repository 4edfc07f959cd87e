//! What a virtual router shows of itself. How it is printed is the program's business.

use std::net::IpAddr;
use std::time::Duration;

use crate::counters::Counters;
use crate::output::{State, Transition};
use crate::time::Time;
use crate::track::{Track, Verdict};
use crate::wire::v3::PseudoHeader;
use crate::wire::{Family, Vrid};

/// A snapshot of one virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The virtual router identifier.
    pub vrid: Vrid,
    /// The version, 2 or 3.
    pub version: u8,
    /// The address family.
    pub family: Family,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The virtual MAC address.
    pub virtual_mac: [u8; 6],
    /// This router's own address on the port.
    pub local: IpAddr,
    /// The state.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// What keeps it in [`State::Initialise`], if it is there.
    pub obstacle: Option<Obstacle>,
    /// The configured priority; 255 for the owner.
    pub priority_configured: u8,
    /// The priority in force, tracked conditions counted.
    pub priority: u8,
    /// The master's address as far as known; this router's own if it is master.
    pub master: Option<IpAddr>,
    /// The master's priority as far as known.
    pub master_priority: Option<u8>,
    /// The configured advertisement interval.
    pub interval: Duration,
    /// The master's, which version 3 learns.
    pub master_interval: Duration,
    /// The silence after which a backup takes over.
    pub down_interval: Duration,
    /// The part of it that depends on the priority.
    pub skew: Duration,
    /// Whether a backup ousts a lower master.
    pub preempt: bool,
    /// How long it tolerates one first.
    pub preempt_delay: Duration,
    /// Whether the master accepts packets to the virtual addresses.
    pub accept: bool,
    /// How the checksum of what this router sends is computed; version 2 has only one way.
    pub checksum: Option<PseudoHeader>,
    /// The tracked conditions.
    pub tracks: Vec<(Track, Verdict)>,
    /// The last change of state.
    pub last_transition: Option<Transition>,
    /// The counters.
    pub counters: Counters,
    /// Since when they count (`discontinuity-datetime` of RFC 8347).
    pub counters_since: Time,
}

/// What keeps a virtual router from taking part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The operator stopped it.
    Stopped,
    /// The port's link is down.
    LinkDown,
    /// This essential condition fails.
    TrackFails(String),
    /// Nothing is known yet of this essential condition.
    TrackUnknown(String),
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Obstacle::Stopped => f.write_str("stopped"),
            Obstacle::LinkDown => f.write_str("link down"),
            Obstacle::TrackFails(name) => write!(f, "{name} fails"),
            Obstacle::TrackUnknown(name) => write!(f, "{name} not yet known"),
        }
    }
}
