//! `show port info`: what a port is and how it is set.

use std::fmt::Write;

use dataplane::addr::{Ipv4Prefix, MacAddr};
use serde::{Serialize, Serializer};

use crate::config::Rss;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortInfo {
    /// The ports asked for.
    pub ports: Vec<PortDetails>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortDetails {
    /// Its number: its place in the configuration, from 0.
    pub number: u16,
    /// Its name in the configuration.
    pub name: String,
    /// DPDK's name of the device.
    pub device: String,
    /// The driver's name.
    pub driver: String,
    /// The NUMA node of the device, if it has one.
    pub numa_node: Option<u32>,
    /// Its link address.
    #[serde(serialize_with = "as_text")]
    pub mac: MacAddr,
    /// Its addresses with the lengths of their prefixes.
    #[serde(serialize_with = "each_as_text")]
    pub addresses: Vec<Ipv4Prefix>,
    /// Its link; absent if the driver does not say.
    pub link: Option<LinkInfo>,
    /// The largest IP packet that it takes, in octets.
    pub mtu_octets: u16,
    /// Receive queues in use.
    pub rx_queues: u16,
    /// Transmit queues in use, one for each worker.
    pub tx_queues: u16,
    /// What packets are spread over the receive queues by: `source`, `destination`, `both` addresses, or `none`.
    pub rss: Rss,
}

/// The state of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LinkInfo {
    /// Whether frames pass.
    pub up: bool,
    /// In Mbit/s, where known.
    pub speed_mbps: Option<u32>,
    /// Whether both directions are used at once.
    pub full_duplex: bool,
    /// Whether the speed was negotiated.
    pub autonegotiated: bool,
}

fn as_text<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}

fn each_as_text<T: ToString, S: Serializer>(
    values: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ToString::to_string))
}

impl PortInfo {
    pub(super) fn table(&self) -> String {
        self.ports.iter().map(PortDetails::table).collect()
    }
}

impl PortDetails {
    fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, f: &mut String) -> std::fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        writeln!(
            f,
            "\n********************* Infos for port {} ({}) *********************",
            self.number, self.name
        )?;
        writeln!(f, "MAC address: {}", self.mac)?;
        writeln!(f, "IPv4 addresses: {}", addresses.join(", "))?;
        writeln!(f, "Device name: {}", self.device)?;
        writeln!(f, "Driver name: {}", self.driver)?;
        match self.numa_node {
            Some(node) => writeln!(f, "Connect to socket: {node}")?,
            None => writeln!(f, "Connect to socket: any")?,
        }
        match self.link {
            Some(link) => link.write(f)?,
            None => writeln!(f, "Link status: unknown")?,
        }
        writeln!(f, "MTU: {}", self.mtu_octets)?;
        writeln!(f, "Current number of RX queues: {}", self.rx_queues)?;
        writeln!(f, "Current number of TX queues: {}", self.tx_queues)?;
        let rss = match self.rss {
            Rss::None => "none",
            Rss::Both => "both",
            Rss::Source => "source",
            Rss::Destination => "destination",
        };
        writeln!(f, "RSS by address: {rss}")
    }
}

impl LinkInfo {
    fn write(self, f: &mut String) -> std::fmt::Result {
        let up = if self.up { "up" } else { "down" };
        writeln!(f, "Link status: {up}")?;
        match self.speed_mbps {
            Some(speed) if speed >= 1000 && speed.is_multiple_of(1000) => {
                writeln!(f, "Link speed: {} Gbps", speed / 1000)?;
            }
            Some(speed) => writeln!(f, "Link speed: {speed} Mbps")?,
            None => writeln!(f, "Link speed: unknown")?,
        }
        let duplex = if self.full_duplex { "full" } else { "half" };
        writeln!(f, "Link duplex: {duplex}-duplex")?;
        let negotiation = if self.autonegotiated { "On" } else { "Off" };
        writeln!(f, "Autoneg status: {negotiation}")
    }
}
