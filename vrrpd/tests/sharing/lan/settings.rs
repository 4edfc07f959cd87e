//! What is different from one run to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vrrpd::sharing::names::{Condition, Mode};

use super::{INTERVAL, MS, US, host};

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) routers: usize,
    pub(crate) mode: Mode,
    /// The time between advertisements, in nanoseconds.
    pub(crate) interval: u64,
    /// The time after which what is not answered is repeated, in nanoseconds.
    pub(crate) repeat: u64,
    /// Messages of the extension lost, in percent.
    pub(crate) loss: u64,
    /// Messages doubled, in percent.
    pub(crate) doubled: u64,
    /// Hosts that send.
    pub(crate) hosts: usize,
    /// How many of them are configured end systems.
    pub(crate) configured: usize,
    /// The time from one packet of a host to the next, at most.
    pub(crate) pause: u64,
    /// Routers that know VRRP alone.
    pub(crate) plain: BTreeSet<usize>,
    /// Conditions of one move at most.
    pub(crate) batch_len_max: usize,
    /// Octets of each host's packets; 100 of those that are not listed.
    pub(crate) octets: Vec<u64>,
    /// Routers that can send no more than so many octets a second: what is beyond that overflows.
    pub(crate) capacities: BTreeMap<usize, u64>,
    pub(crate) review: vrrpd::sharing::review::Config,
    pub(crate) end_system_age: Option<Duration>,
    pub(crate) end_systems_max: Option<usize>,
    pub(crate) vrid: u8,
    /// Whether another group decides who gets what.
    pub(crate) follows: bool,
    /// Those that are substitution servers.
    pub(crate) servers: BTreeSet<usize>,
    /// Whether messages are authenticated.
    pub(crate) keyed: bool,
    /// Whether the last router has the highest priority, and not the first.
    pub(crate) reversed: bool,
}

impl Settings {
    pub(crate) fn new(seed: u64) -> Settings {
        Settings {
            seed,
            routers: 3,
            mode: Mode::Sequence,
            interval: INTERVAL,
            repeat: 2 * MS,
            loss: 0,
            doubled: 0,
            hosts: 9,
            configured: 6,
            pause: 400 * US,
            plain: BTreeSet::new(),
            batch_len_max: 2,
            octets: Vec::new(),
            capacities: BTreeMap::new(),
            review: vrrpd::sharing::review::Config::default(),
            end_system_age: None,
            end_systems_max: None,
            vrid: 7,
            follows: false,
            servers: BTreeSet::new(),
            keyed: true,
            reversed: false,
        }
    }
}

/// The octets of a packet from there.
pub(crate) fn octets_of(settings: &Settings, source: Condition) -> u64 {
    let known = (0..settings.octets.len()).find(|number| host(*number) == source);
    known.map_or(100, |number| settings.octets[number])
}
