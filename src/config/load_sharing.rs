//! `[virtual-router.load-sharing]`: how the routers of a group forward at once. What follows from it is decided by
//! [`vrrpd::sharing`].

mod discovery;
mod follow;
mod keys;

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use dataplane::MatchOn;
use dataplane::addr::Ipv4Prefix;
use serde::{Serialize, Serializer};
use toml::de::DeValue;
use vrrpd::sharing::load_sharing::Role;
use vrrpd::sharing::moves;
use vrrpd::sharing::names::Mode;
use vrrpd::sharing::review;

use super::mistake::{Located, Mistake};
use super::port::PortConfig;
use super::section::{Mistakes, Section};
use super::value;

pub use discovery::DiscoveryConfig;
pub use follow::GroupName;
pub(super) use follow::check as check_follow;
pub use keys::{KeyConfig, Keys, Secret};

/// The most end systems of a group.
const END_SYSTEMS_MAX: u32 = 1 << 20;

/// How a group shares its load.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadSharingConfig {
    /// How conditions change hands.
    #[serde(serialize_with = "serialize_mode")]
    pub mode: Mode,
    /// How every router gets what is sent to the virtual MAC.
    pub delivery: Delivery,
    /// This router's name in the group; without it, its address on the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_id: Option<Located<Ipv4Addr>>,
    /// What this router is there for.
    #[serde(serialize_with = "serialize_role")]
    pub role: Role,
    /// This router's share relative to the others'; 0 for none.
    pub weight: u16,
    /// Which address of a packet is that of the end system.
    #[serde(rename = "match", serialize_with = "serialize_match")]
    pub match_on: MatchOn,
    /// The group that decides for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow: Option<Located<GroupName>>,
    /// What messages are authenticated with.
    #[serde(flatten)]
    pub keys: Keys,
    /// Members that know VRRP alone.
    pub plain_members: Vec<Located<Ipv4Addr>>,
    /// Timer mode: for how long the new router does not route.
    #[serde(serialize_with = "value::serialize_duration")]
    pub hold_time: Duration,
    /// For how long a router that may not give a condition away says so before it keeps it.
    #[serde(serialize_with = "value::serialize_duration")]
    pub hold_limit: Duration,
    /// For how long the old router waits until what it had accepted is sent.
    #[serde(serialize_with = "value::serialize_duration")]
    pub drain_limit: Duration,
    /// By how much a frame may reach one port of the link later than another.
    #[serde(serialize_with = "value::serialize_duration")]
    pub skew: Duration,
    /// The time from one confirmation of a move to the next.
    #[serde(serialize_with = "value::serialize_duration")]
    pub confirm_interval: Duration,
    /// Conditions in one move at most.
    pub batch_size: u16,
    /// Moves under way in each direction at a time.
    pub moves_at_a_time: u8,
    /// Packets of a condition that a worker remembers while the condition is about to leave.
    pub recording_room: u32,
    /// Conditions at most, the rest not counted.
    pub end_systems_max: u32,
    /// For how long an end system that is not seen any more is remembered.
    #[serde(serialize_with = "value::serialize_duration")]
    pub end_system_age: Duration,
    /// How end systems are found.
    #[serde(flatten)]
    pub discovery: DiscoveryConfig,
    /// The time that rates and overflows are averaged over.
    #[serde(serialize_with = "value::serialize_duration")]
    pub review_window: Duration,
    /// For how long a router that has asked for a review, and one that has held one, do not again.
    #[serde(serialize_with = "value::serialize_duration")]
    pub review_hold: Duration,
    /// The traffic in Mbit/s above which a router asks for a review.
    pub review_rate_mbit: u32,
    /// The overflows a second above which a router asks for a review.
    pub review_overflows: u32,
    /// By how much, in percent of the mean, routers may differ.
    pub review_difference_percent: u16,
    /// By how many overflows a second routers may differ.
    pub review_overflow_difference: u32,
    /// How much more than its share a router may have after a review, in percent.
    pub tolerance_percent: u16,
    /// End systems that are there whether or not they are seen.
    #[serde(serialize_with = "value::serialize_prefixes")]
    pub end_systems: Vec<Located<Ipv4Prefix>>,
    /// Further routers, and the end systems behind them.
    pub node: Vec<NodeConfig>,
}

/// How every router gets what is sent to the virtual MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The link floods it: a hub, a bridge or switch that does not learn the virtual MAC.
    Flood,
}

/// A further router on the link.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeConfig {
    /// Its address on the link.
    pub address: Located<Ipv4Addr>,
    /// The end systems behind it.
    #[serde(serialize_with = "value::serialize_prefixes")]
    pub end_systems: Vec<Located<Ipv4Prefix>>,
}

const MODES: [(&str, Mode); 2] = [("sequence", Mode::Sequence), ("timer", Mode::Timer)];
const DELIVERIES: [(&str, Delivery); 1] = [("flood", Delivery::Flood)];
const MATCHES: [(&str, MatchOn); 2] = [
    ("source", MatchOn::Source),
    ("destination", MatchOn::Destination),
];

const ROLES: [(&str, Role); 2] = [
    ("router", Role::Router),
    ("substitution-server", Role::SubstitutionServer),
];

fn serialize_role<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
    let word = ROLES.iter().find(|(_, known)| known == role);
    serializer.serialize_str(word.map_or("router", |(word, _)| word))
}

fn serialize_mode<S: Serializer>(mode: &Mode, serializer: S) -> Result<S::Ok, S::Error> {
    let word = MODES.iter().find(|(_, known)| known == mode);
    serializer.serialize_str(word.map_or("sequence", |(word, _)| word))
}

fn serialize_match<S: Serializer>(on: &MatchOn, serializer: S) -> Result<S::Ok, S::Error> {
    let word = MATCHES.iter().find(|(_, known)| known == on);
    serializer.serialize_str(word.map_or("source", |(word, _)| word))
}

/// Every move takes 16 octets of each worker for each, which the control thread touches at once: a mebibyte is a fraction of a
/// millisecond.
const RECORDING_ROOM_MAX: u32 = 65_536;

impl LoadSharingConfig {
    /// What `review-difference-percent` can be.
    pub const DIFFERENCE_PERCENT: RangeInclusive<u16> = 2..=1000;

    /// What the table says; none if there is no such table.
    pub(super) fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Option<Self> {
        if !table.is_there() {
            return None;
        }
        let usual = moves::Config::default();
        let short = |low_ms, high_s| {
            value::duration(Duration::from_millis(low_ms)..=Duration::from_secs(high_s))
        };
        let review_window = table.with_default(
            mistakes,
            "review-window",
            Duration::from_secs(10),
            short(100, 3600),
        );
        let review_hold = table.with_default(
            mistakes,
            "review-hold",
            Duration::from_secs(60),
            short(100, 86_400),
        );
        let review_difference_percent = table.with_default(
            mistakes,
            "review-difference-percent",
            20,
            value::integer(Self::DIFFERENCE_PERCENT, "percent"),
        );
        let tolerance_percent = table.with_default(
            mistakes,
            "tolerance-percent",
            5,
            value::integer(1..=999, "percent"),
        );
        if review_hold.value < review_window.value {
            mistakes.note(
                &review_hold.span,
                Mistake::new(
                    format!(
                        "`review-hold` of {:?} is shorter than `review-window`, {:?}: a review would not see what the last one changed",
                        review_hold.value, review_window.value
                    ),
                    "make it as long as the window, or longer",
                ),
            );
        }
        if tolerance_percent.value >= review_difference_percent.value {
            mistakes.note(
                &tolerance_percent.span,
                Mistake::new(
                    format!(
                        "`tolerance-percent` of {} is not less than `review-difference-percent`, {}: a review would undo the last one",
                        tolerance_percent.value, review_difference_percent.value
                    ),
                    "lower it, or raise the difference",
                ),
            );
        }
        let read = Self {
            mode: table
                .with_default(mistakes, "mode", Mode::Sequence, value::choice(&MODES))
                .value,
            delivery: table
                .with_default(
                    mistakes,
                    "delivery",
                    Delivery::Flood,
                    value::choice(&DELIVERIES),
                )
                .value,
            router_id: table.optional(mistakes, "router-id", router_id),
            role: table
                .with_default(mistakes, "role", Role::Router, value::choice(&ROLES))
                .value,
            weight: table
                .with_default(mistakes, "weight", 100, value::integer(0..=u16::MAX, ""))
                .value,
            match_on: table
                .with_default(mistakes, "match", MatchOn::Source, value::choice(&MATCHES))
                .value,
            follow: table.optional(mistakes, "follow", GroupName::read),
            keys: Keys::read(&mut table, mistakes),
            plain_members: table.list(
                mistakes,
                "plain-members",
                value::parsed("an IPv4 address", "192.0.2.4"),
            ),
            hold_time: table
                .with_default(mistakes, "hold-time", usual.hold_time, short(0, 60))
                .value,
            hold_limit: table
                .with_default(mistakes, "hold-limit", usual.hold_limit, short(10, 60))
                .value,
            drain_limit: table
                .with_default(mistakes, "drain-limit", usual.drain_limit, short(1, 60))
                .value,
            skew: table
                .with_default(mistakes, "skew", usual.skew, short(0, 1))
                .value,
            confirm_interval: table
                .with_default(mistakes, "confirm-interval", usual.repeat, short(1, 1))
                .value,
            batch_size: table
                .with_default(
                    mistakes,
                    "batch-size",
                    128,
                    value::integer(1..=255, "conditions"),
                )
                .value,
            moves_at_a_time: table
                .with_default(
                    mistakes,
                    "moves-at-a-time",
                    4,
                    value::integer(1..=64, "moves"),
                )
                .value,
            recording_room: table
                .with_default(
                    mistakes,
                    "recording-room",
                    4096,
                    value::integer(64..=RECORDING_ROOM_MAX, "packets"),
                )
                .value,
            end_systems_max: table
                .with_default(
                    mistakes,
                    "end-systems-max",
                    65_536,
                    value::integer(1..=END_SYSTEMS_MAX, "end systems"),
                )
                .value,
            end_system_age: table
                .with_default(
                    mistakes,
                    "end-system-age",
                    Duration::from_secs(1800),
                    short(1000, 86_400),
                )
                .value,
            discovery: DiscoveryConfig::read(&mut table, mistakes),
            review_window: review_window.value,
            review_hold: review_hold.value,
            review_rate_mbit: table
                .with_default(
                    mistakes,
                    "review-rate-mbit",
                    10,
                    value::integer(0..=u32::MAX, "Mbit/s"),
                )
                .value,
            review_overflows: table
                .with_default(
                    mistakes,
                    "review-overflows",
                    1,
                    value::integer(0..=u32::MAX, "overflows a second"),
                )
                .value,
            review_difference_percent: review_difference_percent.value,
            review_overflow_difference: table
                .with_default(
                    mistakes,
                    "review-overflow-difference",
                    1,
                    value::integer(0..=u32::MAX, "overflows a second"),
                )
                .value,
            tolerance_percent: tolerance_percent.value,
            end_systems: table.list(mistakes, "end-systems", end_system),
            node: table
                .tables(mistakes, "node", "[[virtual-router.load-sharing.node]]")
                .into_iter()
                .filter_map(|node| NodeConfig::read(node, mistakes))
                .collect(),
        };
        read.check_end_systems(mistakes);
        table.close(mistakes);
        Some(read)
    }

    /// When the load is looked at, and shared anew.
    #[must_use]
    pub fn review(&self) -> review::Config {
        review::Config {
            window: self.review_window,
            rate_bit_per_s: Some(u64::from(self.review_rate_mbit) * 1_000_000),
            overflows_per_s: Some(self.review_overflows.into()),
            hold: self.review_hold,
            rate_difference_permille: self.review_difference_percent * 10,
            overflow_difference_per_s: self.review_overflow_difference.into(),
            tolerance_permille: self.tolerance_percent * 10,
        }
    }

    /// The configured end systems, each with the node behind which it is.
    pub fn end_systems(&self) -> impl Iterator<Item = (Ipv4Addr, Option<Ipv4Addr>)> {
        let on_the_link = self
            .end_systems
            .iter()
            .flat_map(|prefix| hosts(prefix.value).map(|address| (address, None)));
        let behind = self.node.iter().flat_map(|node| {
            let systems = node.end_systems.iter();
            let hosts = systems.flat_map(|prefix| hosts(prefix.value));
            hosts.map(|address| (address, Some(node.address.value)))
        });
        on_the_link.chain(behind)
    }

    fn check_end_systems(&self, mistakes: &mut Mistakes) {
        let mut seen = HashSet::new();
        let systems = self.node.iter().flat_map(|node| &node.end_systems);
        for prefix in self.end_systems.iter().chain(systems) {
            let room = u64::from(self.end_systems_max);
            if (seen.len() + hosts(prefix.value).count()) as u64 > room {
                mistakes.note(
                    &prefix.span,
                    Mistake::new(
                        format!("there are more end systems than `end-systems-max`, {room}"),
                        "raise `end-systems-max`, or name fewer",
                    ),
                );
                return;
            }
            let mut hosts = hosts(prefix.value);
            if let Some(twice) = hosts.find(|address| !seen.insert(*address)) {
                mistakes.note(
                    &prefix.span,
                    Mistake::new(
                        format!("end system {twice} is given twice"),
                        "name each end system once, on the link or behind a node",
                    ),
                );
            }
        }
    }

    /// Checks what has to fit the port.
    pub(super) fn check_on_port(&self, port: &PortConfig, mistakes: &mut Mistakes) {
        let is_near = |address: Ipv4Addr| port.addresses.iter().any(|own| own.contains(address));
        let nodes = self.node.iter().map(|node| &node.address);
        for address in self.plain_members.iter().chain(nodes) {
            if !is_near(address.value) {
                mistakes.note(
                    &address.span,
                    Mistake::new(
                        format!(
                            "{} is in no prefix of port \"{}\"",
                            address.value, port.name.value
                        ),
                        "use the address that the router has on this link",
                    ),
                );
            }
        }
        for prefix in &self.end_systems {
            // Where packets are on their way *to* end systems, those are on another link.
            if !is_near(prefix.addr()) && self.match_on == MatchOn::Source {
                mistakes.note(
                    &prefix.span,
                    Mistake::new(
                        format!(
                            "{} is in no prefix of port \"{}\"",
                            prefix.addr(),
                            port.name.value
                        ),
                        "if it is behind a further router, write it under a [[virtual-router.load-sharing.node]]",
                    ),
                );
            }
        }
    }
}

impl NodeConfig {
    fn read(mut table: Section<'_, '_>, mistakes: &mut Mistakes) -> Option<Self> {
        let address = table.required(
            mistakes,
            "address",
            "\"192.0.2.9\"",
            value::parsed("an IPv4 address", "192.0.2.9"),
        );
        let end_systems = table.list(mistakes, "end-systems", end_system);
        table.close(mistakes);
        Some(Self {
            address: address?,
            end_systems,
        })
    }
}

/// The hosts of a prefix: all addresses of a /31 or /32, else all but the first and the last.
fn hosts(prefix: Ipv4Prefix) -> impl Iterator<Item = Ipv4Addr> {
    let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
    let edge = u32::from(prefix.len() < 31);
    (first + edge..=last - edge).map(Ipv4Addr::from_bits)
}

fn router_id(value: &DeValue<'_>) -> Result<Ipv4Addr, Mistake> {
    let id: Ipv4Addr = value::parsed("a router id", "192.0.2.2")(value)?;
    if id.is_unspecified() {
        return Err(Mistake::new(
            "0.0.0.0 names no router",
            "choose another, or leave `router-id` out",
        ));
    }
    Ok(id)
}

/// An address, or a prefix that stands for all its hosts.
fn end_system(value: &DeValue<'_>) -> Result<Ipv4Prefix, Mistake> {
    const LENGTH_MIN: u8 = 12;
    const WHAT: &str = "an IPv4 address or prefix";
    const EXAMPLE: &str = "192.0.2.17";
    let is_host = |address: Ipv4Addr| !address.is_multicast() && !address.is_unspecified();
    let no_host = |address| {
        Err(Mistake::new(
            format!("{address} is no host's address"),
            "name addresses that hosts have",
        ))
    };
    if let Some(address) = value.as_str().and_then(|text| text.parse().ok()) {
        if !is_host(address) {
            return no_host(address);
        }
        return Ipv4Prefix::new(address, 32).map_err(|error| {
            Mistake::new(error.to_string(), "write an address, as in \"192.0.2.17\"")
        });
    }
    let prefix: Ipv4Prefix = value::parsed(WHAT, EXAMPLE)(value)?;
    if prefix.len() < LENGTH_MIN {
        return Err(Mistake::new(
            format!("{prefix} has more hosts than a group can have end systems"),
            format!("name prefixes of /{LENGTH_MIN} or longer"),
        ));
    }
    if prefix.masked().addr() != prefix.addr() {
        return Err(Mistake::new(
            format!("{prefix} has bits set behind its length"),
            format!("write \"{}\"", prefix.masked()),
        ));
    }
    if !is_host(prefix.addr()) {
        return no_host(prefix.addr());
    }
    Ok(prefix)
}
