//! `[[port]]`: the router's interfaces, and what must hold among them.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use dataplane::addr::{Ipv4Prefix, MacAddr};
use serde::Serialize;
use toml::de::DeValue;

use super::device::Device;
use super::machine::Machine;
use super::mistake::{Located, Mistake};
use super::section::{Mistakes, Section, nearest};
use super::value;

/// One interface of the router.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortConfig {
    /// What the operator calls it.
    pub name: Located<String>,
    /// What it is made of.
    pub device: Located<Device>,
    /// The router's addresses on it, each with the length of the prefix that is connected there.
    #[serde(serialize_with = "value::serialize_prefixes")]
    pub addresses: Vec<Located<Ipv4Prefix>>,
    /// Its MAC address, if not the device's own.
    #[serde(serialize_with = "serialize_mac")]
    pub mac: Option<MacAddr>,
    /// The longest IP packet that it sends, in octets.
    pub mtu: u16,
    /// Receive queues; without it one for each worker, as far as the device has them.
    pub rx_queues: Option<Located<u16>>,
    /// What the device spreads packets over the queues by.
    pub rss: Rss,
}

/// What packets are spread over the receive queues by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rss {
    /// Nothing, or whatever the device likes.
    None,
    /// Both addresses.
    Both,
    /// The source address, so that one end system's packets stay in one queue.
    Source,
    /// The destination address.
    Destination,
}

fn serialize_mac<S: serde::Serializer>(
    mac: &Option<MacAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match mac {
        Some(mac) => serializer.collect_str(mac),
        None => serializer.serialize_none(),
    }
}

/// The ports of a file, with what is known of those that are wrong.
pub(super) struct Ports {
    pub(super) ports: Vec<PortConfig>,
    /// Every name that the file gives to a port, also to one that has other mistakes.
    names: Vec<String>,
    /// Whether every port's name could be read, and no two are the same, so that any other name is a mistake for sure.
    names_known: bool,
    /// Whether all addresses could be read, so that what lies in none of the prefixes is a mistake for sure.
    addresses_known: bool,
}

impl Ports {
    pub(super) fn read(tables: Vec<Section<'_, '_>>, mistakes: &mut Mistakes) -> Self {
        let mut all = Self {
            ports: Vec::with_capacity(tables.len()),
            names: Vec::with_capacity(tables.len()),
            names_known: true,
            addresses_known: true,
        };
        for table in tables {
            all.read_port(table, mistakes);
        }
        all
    }

    fn read_port(&mut self, mut table: Section<'_, '_>, mistakes: &mut Mistakes) {
        let name = table.required(mistakes, "name", "\"lan\"", port_name);
        match &name {
            Some(name) if !self.names.contains(&name.value) => self.names.push(name.value.clone()),
            _ => self.names_known = false,
        }
        let device = table.required(
            mistakes,
            "device",
            "\"0000:03:00.0\"",
            value::parsed("a device", "0000:03:00.0\" or \"net_af_packet0,iface=veth0"),
        );
        let before = mistakes.len();
        let addresses = table.list(mistakes, "addresses", interface_address);
        self.addresses_known &= mistakes.len() == before;
        let mac = table
            .optional(mistakes, "mac", station_mac)
            .map(|mac| mac.value);
        let mtu = table
            .with_default(mistakes, "mtu", 1500, value::integer(68..=9600, "octets"))
            .value;
        let rx_queues = table.optional(mistakes, "rx-queues", value::integer(1..=64, "queues"));
        let rss = table
            .with_default(
                mistakes,
                "rss",
                Rss::Source,
                value::choice(&[
                    ("none", Rss::None),
                    ("both", Rss::Both),
                    ("source", Rss::Source),
                    ("destination", Rss::Destination),
                ]),
            )
            .value;
        table.close(mistakes);
        match (name, device) {
            (Some(name), Some(device)) => self.ports.push(PortConfig {
                name,
                device,
                addresses,
                mac,
                mtu,
                rx_queues,
                rss,
            }),
            _ => self.addresses_known = false,
        }
    }

    /// Refuses a name that no port has. The port itself is absent, too, if it is named but wrong.
    pub(super) fn find(
        &self,
        name: &Located<String>,
        mistakes: &mut Mistakes,
    ) -> Option<&PortConfig> {
        if self.names_known && !self.names.contains(&name.value) {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            mistakes.note(
                &name.span,
                Mistake::new(
                    format!("no port is called \"{}\"", name.escape_debug()),
                    match (nearest(&name.value, &names), names.is_empty()) {
                        (Some(meant), _) => format!("did you mean \"{meant}\"?"),
                        (None, false) => format!("name one of {}", names.join(", ")),
                        (None, true) => {
                            format!("add a [[port]] with `name = \"{}\"`", name.escape_debug())
                        }
                    },
                ),
            );
        }
        self.ports.iter().find(|port| port.name == *name)
    }

    /// The port on whose prefix `address` lies. `Err` if on none for sure.
    pub(super) fn connected(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<(&PortConfig, Ipv4Prefix)>, ()> {
        let found = self
            .addresses()
            .map(|(port, prefix)| (port, prefix.value))
            .find(|(_, prefix)| prefix.contains(address));
        if found.is_none() && self.addresses_known {
            return Err(());
        }
        Ok(found)
    }

    /// Every address of the router with its port.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&PortConfig, &Located<Ipv4Prefix>)> {
        self.ports
            .iter()
            .flat_map(|port| port.addresses.iter().map(move |address| (port, address)))
    }

    pub(super) fn check(
        &self,
        workers: u16,
        root: &std::ops::Range<usize>,
        machine: &Machine,
        mistakes: &mut Mistakes,
    ) {
        if self.names.is_empty() && self.names_known {
            mistakes.note(
                root,
                Mistake::new(
                    "there is no port",
                    "add a [[port]] with `name`, `device` and `addresses`",
                ),
            );
        }
        self.check_names_and_devices(mistakes);
        self.check_addresses(mistakes);
        for port in &self.ports {
            if let Err(mistake) = port.device.check(machine) {
                mistakes.note(&port.device.span, mistake);
            }
            if let Some(queues) = port
                .rx_queues
                .as_ref()
                .filter(|queues| queues.value > workers)
            {
                mistakes.note(
                    &queues.span,
                    Mistake::new(
                        format!(
                            "{} receive queues, but only {workers} to poll them",
                            queues.value
                        ),
                        "have at most one receive queue for each worker, or more workers (`count` of [workers])",
                    ),
                );
            }
        }
    }

    fn check_names_and_devices(&self, mistakes: &mut Mistakes) {
        let mut names = HashMap::new();
        let mut devices = HashMap::new();
        let mut interfaces = HashMap::new();
        for port in &self.ports {
            if names.insert(&port.name.value, ()).is_some() {
                mistakes.note(
                    &port.name.span,
                    Mistake::new(
                        format!("two ports are called \"{}\"", port.name.value),
                        "give every port a name of its own",
                    ),
                );
            }
            let device = port.device.name();
            let twice = devices.insert(device, &port.name.value).map(|other| {
                (
                    format!("device {device} is port \"{other}\" already"),
                    "give every port a device of its own; virtual devices differ in their number",
                )
            });
            let interface = port.device.kernel_interface();
            let shared = interface
                .and_then(|interface| interfaces.insert(interface, &port.name.value))
                .map(|other| {
                    (
                        format!(
                            "interface {} is port \"{other}\" already",
                            interface.unwrap_or_default()
                        ),
                        "give every port an interface of its own",
                    )
                });
            if let Some((cause, remedy)) = twice.or(shared) {
                mistakes.note(&port.device.span, Mistake::new(cause, remedy));
            }
        }
    }

    fn check_addresses(&self, mistakes: &mut Mistakes) {
        let all: Vec<_> = self.addresses().collect();
        for (index, (port, address)) in all.iter().enumerate() {
            for (other_port, other) in &all[..index] {
                if other.addr() == address.addr() {
                    mistakes.note(
                        &address.span,
                        Mistake::new(
                            format!(
                                "{} is an address of port \"{}\" already",
                                address.addr(),
                                other_port.name.value
                            ),
                            "give every address to one port, once",
                        ),
                    );
                    break;
                }
                let overlap =
                    other.contains(address.network()) || address.contains(other.network());
                if overlap && other_port.name != port.name {
                    mistakes.note(
                        &address.span,
                        Mistake::new(
                            format!(
                                "{} overlaps {} of port \"{}\"",
                                address.masked(),
                                other.masked(),
                                other_port.name.value
                            ),
                            "connect every prefix at one port only",
                        ),
                    );
                    break;
                }
            }
        }
    }
}

fn port_name(value: &DeValue<'_>) -> Result<String, Mistake> {
    let name = value::text(value)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let right = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.len() <= 32
        && name.chars().all(plain)
        && name != "all";
    if right {
        return Ok(name);
    }
    Err(Mistake::new(
        format!("\"{}\" cannot be the name of a port", name.escape_debug()),
        "use up to 32 letters, digits, hyphens, underscores and dots, a letter first, but not \"all\"",
    ))
}

fn station_mac(value: &DeValue<'_>) -> Result<MacAddr, Mistake> {
    let mac: MacAddr = value::parsed("a MAC address", "02:00:00:00:00:01")(value)?;
    if mac.is_station() && mac.vrid_v4().is_none() {
        return Ok(mac);
    }
    Err(Mistake::new(
        format!("{mac} is not the address of one station"),
        "use an address with an even first octet that is not a virtual router's (00:00:5e:00:01:…), as in \"02:00:00:00:00:01\"",
    ))
}

/// The shortest prefix that can be connected.
const CONNECTED_LENGTH_MIN: u8 = 8;

fn interface_address(value: &DeValue<'_>) -> Result<Ipv4Prefix, Mistake> {
    let prefix: Ipv4Prefix =
        value::parsed("an address with its prefix length", "192.0.2.1/24")(value)?;
    check_host(prefix.addr(), prefix)?;
    check_connected(prefix)?;
    Ok(prefix)
}

/// Refuses a network that is too large for the workers' table of its addresses.
pub(super) fn check_connected(network: Ipv4Prefix) -> Result<(), Mistake> {
    if network.len() >= CONNECTED_LENGTH_MIN {
        return Ok(());
    }
    Err(Mistake::new(
        format!("{} is too large for a connected network", network.masked()),
        format!(
            "use a prefix length of /{CONNECTED_LENGTH_MIN} or longer, or a gateway for all beyond"
        ),
    ))
}

/// Refuses an address that no host of `prefix` can have.
pub(super) fn check_host(address: Ipv4Addr, prefix: Ipv4Prefix) -> Result<(), Mistake> {
    let first = address.octets()[0];
    if first == 0 || first == 127 || first >= 224 {
        return Err(Mistake::new(
            format!("{address} is not the address of a host"),
            "use a unicast address, from 1.0.0.0 to 223.255.255.255 but not in 127.0.0.0/8",
        ));
    }
    // A /31 has neither (RFC 3021), a /32 is its own.
    if prefix.len() >= 31 {
        return Ok(());
    }
    let what = if address == prefix.network() {
        "network"
    } else if address == prefix.broadcast() {
        "broadcast"
    } else {
        return Ok(());
    };
    Err(Mistake::new(
        format!(
            "{address} is the {what} address of {}, not a host's",
            prefix.masked()
        ),
        format!(
            "use an address between {} and {}",
            Ipv4Addr::from_bits(prefix.network().to_bits() + 1),
            Ipv4Addr::from_bits(prefix.broadcast().to_bits() - 1)
        ),
    ))
}
