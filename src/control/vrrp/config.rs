//! What the program decides about a virtual router beside the protocol's own configuration. How it is written in the
//! file is the business of [`crate::config`].

use std::net::{IpAddr, Ipv4Addr};

use vrrpd::{Track, Weight};

use super::driver::GroupKey;
use super::sharing::SharingConfig;
use super::tracking::AddressWatch;
use crate::control::host::{PortIndex, Virtual};

/// Which source address the Ethernet frames of a virtual router bear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceMac {
    /// The port's own, so that no switch learns where the virtual MAC is and every router goes on receiving frames to it.
    #[default]
    Own,
    /// The virtual one (RFC 9568 section 7.3), for groups that do not share their load.
    Virtual,
}

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watch {
    /// The link of a port.
    Port {
        /// Which.
        index: PortIndex,
        /// Its name.
        name: String,
    },
    /// An address that must answer echo requests.
    Address(AddressWatch),
}

impl Watch {
    /// The name under which it is shown, and under which the protocol knows it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Watch::Port { name, .. } => format!("port {name}"),
            Watch::Address(watch) => format!("address {}", watch.address),
        }
    }
}

/// Something that is watched, and what it is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// What.
    pub watch: Watch,
    /// What happens to the priority.
    pub weight: Weight,
}

/// One virtual router on one port.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupConfig {
    /// The port.
    pub port: PortIndex,
    /// The port's name.
    pub port_name: String,
    /// This router's own address there, from which it advertises.
    pub local: Ipv4Addr,
    /// What the protocol needs to know. Its tracks are taken from `tracked`.
    pub protocol: vrrpd::Config,
    /// What its priority depends on.
    pub tracked: Vec<Tracked>,
    /// Which source address its frames bear.
    pub source_mac: SourceMac,
    /// The command run on every change of state: a program and its arguments.
    pub hook: Option<Vec<String>>,
    /// How its routers forward at once, if they do.
    pub sharing: Option<SharingConfig>,
}

impl GroupConfig {
    /// What tells it from the others.
    #[must_use]
    pub const fn key(&self) -> GroupKey {
        GroupKey {
            port: self.port,
            vrid: self.protocol.vrid.get(),
        }
    }

    /// What the host is to know of it.
    #[must_use]
    pub fn as_virtual(&self, is_master: bool, accepts: bool) -> Virtual {
        let addresses = self.protocol.addresses.iter();
        Virtual {
            port: self.port,
            vrid: self.protocol.vrid.get(),
            addresses: addresses
                .filter_map(|address| match address {
                    IpAddr::V4(address) => Some(*address),
                    IpAddr::V6(_) => None,
                })
                .collect(),
            is_master,
            accepts,
            sends_from_virtual_mac: self.source_mac == SourceMac::Virtual,
        }
    }

    /// The protocol's configuration, with its tracks.
    #[must_use]
    pub(super) fn protocol(&self) -> vrrpd::Config {
        let track = |tracked: &Tracked| Track {
            name: tracked.watch.name(),
            weight: tracked.weight,
        };
        vrrpd::Config {
            tracks: self.tracked.iter().map(track).collect(),
            ..self.protocol.clone()
        }
    }

    /// The addresses that it watches.
    pub(super) fn address_watches(&self) -> impl Iterator<Item = AddressWatch> {
        self.tracked
            .iter()
            .filter_map(|tracked| match tracked.watch {
                Watch::Address(watch) => Some(watch),
                Watch::Port { .. } => None,
            })
    }
}
