//! `[[virtual-router]]`: the VRRP groups that this router is a member of.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dataplane::addr::Ipv4Prefix;
use serde::Serialize;
use toml::de::DeValue;
use vrrpd::sharing::load_sharing::Role;
use vrrpd::wire::PRIORITY_OWNER;
use vrrpd::{Authentication, Checksum, Peers, Version, Vrid};

use super::announcement::AnnouncementConfig;
use super::load_sharing::{self, LoadSharingConfig};
use super::mistake::{Located, Mistake};
use super::port::{PortConfig, Ports, check_host};
use super::section::{Mistakes, Section};
use super::track::{self, TrackConfig};
use super::value;
use crate::control::vrrp::SourceMac;

/// One virtual router on one port.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct VirtualRouterConfig {
    /// The virtual router identifier, 1 to 255.
    pub vrid: Located<u8>,
    /// The port that it is on.
    pub port: Located<String>,
    /// The version of VRRP, 2 or 3.
    pub version: u8,
    /// The addresses that the master answers for.
    pub virtual_addresses: Vec<Located<Ipv4Addr>>,
    /// 1 to 255; 255 is for the router that owns the addresses.
    pub priority: Located<u8>,
    /// The time between two advertisements.
    #[serde(serialize_with = "serialize_located_duration")]
    pub advertisement_interval: Located<Duration>,
    /// Whether this router ousts a master of lower priority.
    pub preempt: bool,
    /// How long it tolerates such a master first.
    #[serde(serialize_with = "value::serialize_duration")]
    pub preempt_delay: Duration,
    /// Whether the master, if it is not the owner, answers for the virtual addresses itself, as a ping asks.
    pub accept: bool,
    /// The password of version 2's authentication type 1. Shown as asterisks.
    #[serde(
        serialize_with = "serialize_secret",
        skip_serializing_if = "Option::is_none"
    )]
    pub password: Option<Located<String>>,
    /// How version 3 computes its checksum over IPv4.
    #[serde(serialize_with = "serialize_checksum")]
    pub checksum: Checksum,
    /// The other routers, where multicast does not reach them.
    pub unicast_peers: Vec<Located<Ipv4Addr>>,
    /// The least TTL accepted from them: 255 on the same link, less by each router between.
    pub unicast_ttl_min: u8,
    /// Which source address the frames of the virtual router bear.
    #[serde(serialize_with = "serialize_source_mac")]
    pub source_mac: SourceMac,
    /// A program, and its arguments, that is run on every change of state.
    pub notify: Vec<String>,
    /// How a take-over is announced.
    #[serde(flatten)]
    pub announcements: AnnouncementConfig,
    /// What the priority depends on.
    #[serde(rename = "track")]
    pub tracks: Vec<TrackConfig>,
    /// How its routers forward at once, if they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_sharing: Option<LoadSharingConfig>,
}

fn serialize_located_duration<S: serde::Serializer>(
    duration: &Located<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value::serialize_duration(&duration.value, serializer)
}

fn serialize_secret<S: serde::Serializer>(
    _: &Option<Located<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("********")
}

fn serialize_checksum<S: serde::Serializer>(
    checksum: &Checksum,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let word = CHECKSUMS.iter().find(|(_, known)| known == checksum);
    serializer.serialize_str(word.map_or("auto", |(word, _)| word))
}

fn serialize_source_mac<S: serde::Serializer>(
    source: &SourceMac,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let word = SOURCE_MACS.iter().find(|(_, known)| known == source);
    serializer.serialize_str(word.map_or("own", |(word, _)| word))
}

const SOURCE_MACS: [(&str, SourceMac); 2] =
    [("own", SourceMac::Own), ("virtual", SourceMac::Virtual)];

const CHECKSUMS: [(&str, Checksum); 3] = [
    ("auto", Checksum::Auto),
    ("with-pseudo-header", Checksum::With),
    ("without-pseudo-header", Checksum::Without),
];

impl VirtualRouterConfig {
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Option<Self> {
        let vrid = table.required(mistakes, "vrid", "1", value::integer(1..=255, ""));
        let port = table.required(mistakes, "port", "\"lan\"", value::text);
        let version = table.with_default(mistakes, "version", 3, value::integer(2..=3, ""));
        let listed = table.span().clone();
        let before = mistakes.len();
        let virtual_addresses = table.list(mistakes, "virtual-addresses", address);
        if virtual_addresses.is_empty() && mistakes.len() == before {
            mistakes.note(
                &listed,
                Mistake::new(
                    "this [[virtual-router]] has no `virtual-addresses`",
                    "add a line such as `virtual-addresses = [\"192.0.2.1\"]`",
                ),
            );
        }
        if let Some(first_too_many) = virtual_addresses.get(255) {
            mistakes.note(
                &first_too_many.span,
                Mistake::new(
                    format!("{} virtual addresses are too many", virtual_addresses.len()),
                    "an advertisement has room for 255; use a second VRID for the others",
                ),
            );
        }
        let priority = table.with_default(mistakes, "priority", 100, value::integer(1..=255, ""));
        let advertisement_interval = table.with_default(
            mistakes,
            "advertisement-interval",
            Duration::from_secs(1),
            interval(version.value),
        );
        let preempt = table.with_default(mistakes, "preempt", true, value::boolean);
        let preempt_delay = table.with_default(
            mistakes,
            "preempt-delay",
            Duration::ZERO,
            value::duration(Duration::ZERO..=Duration::from_secs(3600)),
        );
        let accept = table.with_default(mistakes, "accept", true, value::boolean);
        let password = table.optional(mistakes, "password", password);
        if let Some(password) = password.as_ref().filter(|_| version.value == 3) {
            mistakes.note(
                &password.span,
                Mistake::new(
                    "VRRP version 3 has no password",
                    "remove it, or write `version = 2`",
                ),
            );
        }
        let checksum = table.optional(mistakes, "checksum", value::choice(&CHECKSUMS));
        if let Some(checksum) = checksum.as_ref().filter(|_| version.value == 2) {
            mistakes.note(
                &checksum.span,
                Mistake::new(
                    "VRRP version 2 has only one checksum",
                    "remove it, or write `version = 3`",
                ),
            );
        }
        let unicast_peers = table.list(mistakes, "unicast-peers", address);
        let unicast_ttl_min = table.with_default(
            mistakes,
            "unicast-ttl-min",
            255,
            value::integer(1..=255, ""),
        );
        let source_mac = table.with_default(
            mistakes,
            "source-mac",
            SourceMac::Own,
            value::choice(&SOURCE_MACS),
        );
        let notify = notify(&mut table, mistakes);
        let announcements = AnnouncementConfig::read(&mut table, mistakes);
        let tracks = table
            .tables(mistakes, "track", "[[virtual-router.track]]")
            .into_iter()
            .filter_map(|track| TrackConfig::read(track, mistakes))
            .collect();
        let load_sharing = LoadSharingConfig::read(
            table.table(mistakes, "load-sharing", "[virtual-router.load-sharing]"),
            mistakes,
        );
        if load_sharing.is_some() && source_mac.value == SourceMac::Virtual {
            mistakes.note(
                &source_mac.span,
                Mistake::new(
                    "frames from the virtual MAC would have switches deliver everything to one router",
                    "remove `source-mac`, or the table [virtual-router.load-sharing]",
                ),
            );
        }
        let is_server = load_sharing
            .as_ref()
            .is_some_and(|sharing| sharing.role == Role::SubstitutionServer);
        if is_server && priority.value == PRIORITY_OWNER {
            mistakes.note(
                &priority.span,
                Mistake::new(
                    "a substitution server never is master, and so no owner either",
                    "choose a priority of 1 to 254, or remove `role`",
                ),
            );
        }
        table.close(mistakes);
        Some(Self {
            vrid: vrid?,
            port: port?,
            version: version.value,
            virtual_addresses,
            priority,
            advertisement_interval,
            preempt: preempt.value,
            preempt_delay: preempt_delay.value,
            accept: accept.value,
            password,
            checksum: checksum.map_or(Checksum::Auto, |checksum| checksum.value),
            unicast_peers,
            unicast_ttl_min: unicast_ttl_min.value,
            source_mac: source_mac.value,
            notify,
            announcements,
            tracks,
            load_sharing,
        })
    }

    /// Whether this router does control work for the group, and routes nothing.
    fn is_server(&self) -> bool {
        let sharing = self.load_sharing.as_ref();
        sharing.is_some_and(|sharing| sharing.role == Role::SubstitutionServer)
    }

    fn check(&self, ports: &Ports, mistakes: &mut Mistakes) {
        let port = ports.find(&self.port, mistakes);
        let mut seen = HashSet::new();
        for address in self.virtual_addresses.iter().chain(&self.unicast_peers) {
            if !seen.insert(address.value) {
                mistakes.note(
                    &address.span,
                    Mistake::new(
                        format!("{} is given twice", address.value),
                        "give it once, as virtual address or as peer",
                    ),
                );
            }
        }
        self.check_peers(ports, mistakes);
        track::check(&self.tracks, ports, mistakes);
        if let Some(port) = port {
            self.check_on_port(port, mistakes);
        }
    }

    fn check_peers(&self, ports: &Ports, mistakes: &mut Mistakes) {
        if let Some(first_too_many) = self.unicast_peers.get(UNICAST_PEERS_MAX) {
            mistakes.note(
                &first_too_many.span,
                Mistake::new(
                    format!("{} unicast peers are too many", self.unicast_peers.len()),
                    format!(
                        "name {UNICAST_PEERS_MAX} at most, or have the routers reach each other by multicast"
                    ),
                ),
            );
        }
        for peer in &self.unicast_peers {
            let address = peer.value;
            let connected = ports.connected(address).ok().flatten();
            let prefix = connected.map_or(Ipv4Prefix::host(address), |(_, prefix)| prefix);
            if let Err(mistake) = check_host(address, prefix) {
                mistakes.note(&peer.span, mistake);
            }
            if ports.addresses().any(|(_, own)| own.addr() == address) {
                mistakes.note(
                    &peer.span,
                    Mistake::new(
                        format!("peer {address} is this router itself"),
                        "name the other routers only",
                    ),
                );
            }
        }
    }

    fn check_on_port(&self, port: &PortConfig, mistakes: &mut Mistakes) {
        let Some(own) = port.addresses.first() else {
            mistakes.note(
                &self.port.span,
                Mistake::new(
                    format!(
                        "port \"{}\" has no address to advertise from",
                        port.name.value
                    ),
                    "give the port `addresses`",
                ),
            );
            return;
        };
        if let Some(sharing) = &self.load_sharing {
            sharing.check_on_port(port, mistakes);
        }
        for address in &self.virtual_addresses {
            let within = port
                .addresses
                .iter()
                .find(|prefix| prefix.contains(address.value));
            let Some(prefix) = within else {
                mistakes.note(
                    &address.span,
                    Mistake::new(
                        format!(
                            "{} is outside the prefix of port \"{}\", {}",
                            address.value,
                            port.name.value,
                            own.masked()
                        ),
                        "use an address that the hosts there take for a neighbour's",
                    ),
                );
                continue;
            };
            if let Err(mistake) = check_host(address.value, prefix.value) {
                mistakes.note(&address.span, mistake);
            }
            let owned = port
                .addresses
                .iter()
                .any(|prefix| prefix.addr() == address.value);
            match (owned, self.priority.value == 255) {
                (true, false) => mistakes.note(
                    &address.span,
                    Mistake::new(
                        format!(
                            "{} is this router's own address, which makes it the owner",
                            address.value
                        ),
                        "write `priority = 255`, or use an address that no router has of its own",
                    ),
                ),
                (false, true) => mistakes.note(
                    &self.priority.span,
                    Mistake::new(
                        format!(
                            "priority 255 is for the owner, but {} is no address of port \"{}\"",
                            address.value, port.name.value
                        ),
                        "choose 1 to 254",
                    ),
                ),
                (true, true) | (false, false) => {}
            }
        }
    }

    /// This router's own address on the port, with its prefix, from which it advertises.
    pub fn local(&self, port: &PortConfig) -> Option<Ipv4Prefix> {
        let first = self.virtual_addresses.first()?.value;
        let addresses = &port.addresses;
        let near = addresses.iter().find(|own| own.contains(first));
        near.or(addresses.first()).map(|own| own.value)
    }

    /// What the protocol needs to know, but for the tracks.
    pub fn protocol(&self) -> Option<vrrpd::Config> {
        let version = match self.version {
            2 => Version::V2 {
                authentication: match &self.password {
                    Some(password) => Authentication::text(password),
                    None => Authentication::None,
                },
            },
            _ => Version::V3 {
                checksum: self.checksum,
            },
        };
        let addresses = |list: &[Located<Ipv4Addr>]| -> Vec<IpAddr> {
            list.iter().map(|address| address.value.into()).collect()
        };
        let vrid = Vrid::new(self.vrid.value)?;
        let mut config = vrrpd::Config::new(vrid, version, addresses(&self.virtual_addresses));
        config.priority = self.priority.value;
        config.interval = self.advertisement_interval.value;
        config.preempt = self.preempt;
        config.preempt_delay = self.preempt_delay;
        config.accept = self.accept;
        if !self.unicast_peers.is_empty() {
            config.peers = Peers::Unicast {
                addresses: addresses(&self.unicast_peers),
                ttl_min: self.unicast_ttl_min,
            };
        }
        config.announcements = self.announcements.protocol();
        config.candidate = !self.is_server();
        Some(config)
    }
}

/// The most peers that [`vrrpd::Config::validate`] takes.
const UNICAST_PEERS_MAX: usize = 255;

/// What a sleep of the workers has to leave of an advertisement interval: a frame is known to be taken after some three of them.
const SLEEPS_PER_INTERVAL: u32 = 5;

pub(super) fn check(
    routers: &[VirtualRouterConfig],
    ports: &Ports,
    idle_sleep: Duration,
    mistakes: &mut Mistakes,
) {
    let mut seen = HashSet::new();
    let mut answered_for = HashMap::new();
    load_sharing::check_follow(routers, ports, mistakes);
    for router in routers {
        router.check(ports, mistakes);
        let interval = &router.advertisement_interval;
        if idle_sleep * SLEEPS_PER_INTERVAL > interval.value {
            mistakes.note(
                &interval.span,
                Mistake::new(
                    format!(
                        "workers that sleep for {} when idle hear advertisements every {} too late",
                        value::duration_text(idle_sleep),
                        value::duration_text(interval.value)
                    ),
                    format!(
                        "let `idle-sleep` of [workers] be {} at most, or advertise less often",
                        value::duration_text(interval.value / SLEEPS_PER_INTERVAL)
                    ),
                ),
            );
        }
        if !seen.insert((&router.port.value, router.vrid.value)) {
            mistakes.note(
                &router.vrid.span,
                Mistake::new(
                    format!(
                        "there are two virtual routers with VRID {} on port \"{}\"",
                        router.vrid.value,
                        router.port.value.escape_debug()
                    ),
                    "give every virtual router of a port a VRID of its own",
                ),
            );
            continue;
        }
        for address in &router.virtual_addresses {
            let other = answered_for
                .insert((&router.port.value, address.value), router.vrid.value)
                .filter(|other| *other != router.vrid.value);
            if let Some(other) = other {
                mistakes.note(
                    &address.span,
                    Mistake::new(
                        format!(
                            "{} is a virtual address of VRID {other} on port \"{}\" already",
                            address.value,
                            router.port.value.escape_debug()
                        ),
                        "give every virtual address to one virtual router, once",
                    ),
                );
            }
        }
    }
}

fn address(value: &DeValue<'_>) -> Result<Ipv4Addr, Mistake> {
    value::parsed("an IPv4 address", "192.0.2.1")(value)
}

/// A program by its whole path, since it is run without a shell, and what it is given.
fn notify(table: &mut Section<'_, '_>, mistakes: &mut Mistakes) -> Vec<String> {
    let words = table.list(mistakes, "notify", value::text);
    if let Some(program) = words.first().filter(|word| !word.starts_with('/')) {
        mistakes.note(
            &program.span,
            Mistake::new(
                format!("\"{}\" is no absolute path", program.escape_debug()),
                "write the program's whole path; it is run without a shell",
            ),
        );
    }
    words.into_iter().map(|word| word.value).collect()
}

fn password(value: &DeValue<'_>) -> Result<String, Mistake> {
    let password = value::text(value)?;
    if (1..=8).contains(&password.len()) && password.is_ascii() {
        return Ok(password);
    }
    Err(Mistake::new(
        "this does not fit the field for the password",
        "use 1 to 8 ASCII characters",
    ))
}

/// An interval that the version can say: whole seconds in version 2, centiseconds in version 3.
fn interval(version: u8) -> impl Fn(&DeValue<'_>) -> Result<Duration, Mistake> {
    let (unit, unit_text, max) = match version {
        2 => (
            Duration::from_secs(1),
            "whole seconds",
            Duration::from_secs(255),
        ),
        _ => (
            Duration::from_millis(10),
            "hundredths of a second",
            Duration::from_millis(40_950),
        ),
    };
    move |value| {
        let any = Duration::ZERO..=Duration::MAX;
        let interval = value::duration(any)(value)?;
        if (unit..=max).contains(&interval) && interval.as_micros().is_multiple_of(unit.as_micros())
        {
            return Ok(interval);
        }
        Err(Mistake::new(
            format!(
                "VRRP version {version} cannot say an interval of {}",
                value::duration_text(interval)
            ),
            format!(
                "choose {unit_text} from {} to {}",
                value::duration_text(unit),
                value::duration_text(max)
            ),
        ))
    }
}
