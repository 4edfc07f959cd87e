//! Cables and hubs between machines.

use std::fs;

use crate::error::Doing;
use crate::namespace::Namespace;
use crate::{LabError, Result};

/// Octets of an Ethernet payload on an ordinary link.
pub const ETHERNET_MTU: u32 = 1500;

/// One end of a cable: a machine and the name of its interface.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The machine.
    pub machine: &'a Namespace,
    /// Its interface.
    pub interface: &'a str,
}

impl<'a> End<'a> {
    /// An interface of a machine.
    #[must_use]
    pub fn of(machine: &'a Namespace, interface: &'a str) -> Self {
        Self { machine, interface }
    }

    /// Gives it an address, as `192.0.2.1/24`.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn address(&self, address: &str) -> Result<()> {
        self.machine
            .sh(&format!("ip address add {address} dev {}", self.interface))
            .map(drop)
    }

    /// Its link address, as `02:00:00:00:00:01`.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn mac(&self) -> Result<String> {
        Ok(self
            .machine
            .run(&["cat", &format!("/sys/class/net/{}/address", self.interface)])?
            .trim()
            .into())
    }

    /// Packets that the kernel dropped at this interface, both directions: the network's loss, not a router's.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn drops(&self) -> Result<u64> {
        ["rx_dropped", "tx_dropped"]
            .iter()
            .map(|name| self.statistic(name))
            .sum()
    }

    /// One of the interface's counters below `/sys/class/net/…/statistics`.
    ///
    /// # Errors
    /// When there is no such counter.
    pub fn statistic(&self, name: &str) -> Result<u64> {
        let path = format!("/sys/class/net/{}/statistics/{name}", self.interface);
        let text = self.machine.run(&["cat", &path])?;
        text.trim()
            .parse()
            .map_err(|_| LabError::Unreadable { what: path, text })
    }
}

/// Connects two machines by a cable of the given MTU. Segments and checksums are made by the sender, as on a real cable,
/// and each end is served by one CPU, so that it receives in the order in which it was sent to.
///
/// # Errors
/// When the kernel does not take it.
pub fn cable(left: End<'_>, right: End<'_>, mtu: u32) -> Result<()> {
    left.machine.sh(&format!(
        "ip link add {} mtu {mtu} type veth peer name {} mtu {mtu} netns {}",
        left.interface,
        right.interface,
        right.machine.pid()
    ))?;
    for end in [left, right] {
        let End { machine, interface } = end;
        machine.sh(&format!(
            "ethtool -K {interface} tx off gso off tso off gro off"
        ))?;
        let cpus = format!(
            "/proc/{}/root/sys/class/net/{interface}/queues/rx-0/rps_cpus",
            machine.pid()
        );
        fs::write(&cpus, "1").doing(|| format!("write {cpus}"))?;
        machine.sh(&format!("ip link set {interface} up"))?;
    }
    Ok(())
}

/// Makes a bridge that never learns, which is a hub: every frame reaches every port.
///
/// # Errors
/// When the kernel does not take it.
pub fn hub(machine: &Namespace, name: &str) -> Result<()> {
    machine.sh(&format!(
        "ip link add {name} type bridge ageing_time 0 stp_state 0 mcast_snooping 0 forward_delay 0"
    ))?;
    machine.sh(&format!("ip link set {name} up")).map(drop)
}

/// Plugs an interface into a hub.
///
/// # Errors
/// When the kernel does not take it.
pub fn plug(port: End<'_>, hub: &str) -> Result<()> {
    let End { machine, interface } = port;
    machine.sh(&format!("ip link set {interface} master {hub}"))?;
    machine
        .sh(&format!(
            "ip link set {interface} type bridge_slave learning off flood on"
        ))
        .map(drop)
}
