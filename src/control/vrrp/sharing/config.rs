//! What a group's configuration comes to: how its router takes part in load sharing.

use std::net::{IpAddr, Ipv4Addr};

use dataplane::MatchOn;
use dataplane::addr::Ipv4Prefix;
use vrrpd::sharing::load_sharing::{Config, ConfigError, MEMBER_AGE_DEFAULT};
use vrrpd::sharing::moves;
use vrrpd::sharing::names::{BootId, RouterId};
use vrrpd::sharing::wire::{Group, Key};
use vrrpd::{Family, Version};

use crate::config::LoadSharingConfig;
use crate::control::vrrp::driver::GroupKey;

/// The group that another one follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Which it is.
    pub key: GroupKey,
    /// This router's name in it.
    pub router: Ipv4Addr,
    /// The prefix of its link.
    pub connected: Ipv4Prefix,
}

/// One group's, with what it takes from the virtual router and the port.
#[derive(Clone, Debug)]
pub struct SharingConfig {
    /// The port's name.
    pub port_name: String,
    /// The VRID.
    pub vrid: u8,
    /// This router's address on the port.
    pub local: Ipv4Addr,
    /// The prefix of the link, or of the followed group's link: where the end systems are.
    pub connected: Ipv4Prefix,
    /// The group that this one follows.
    pub follow: Option<GroupKey>,
    /// Addresses on the link that are no end system's.
    pub routers: Vec<Ipv4Addr>,
    /// What the operator decides.
    pub settings: LoadSharingConfig,
    group: Group,
    router: RouterId,
    keys: Vec<Key>,
    priority: u8,
    interval: std::time::Duration,
}

impl PartialEq for SharingConfig {
    /// Keys are derived from the settings, and compared there.
    fn eq(&self, other: &Self) -> bool {
        let facts = |config: &Self| {
            let SharingConfig {
                local,
                connected,
                follow,
                group,
                router,
                priority,
                interval,
                ..
            } = *config;
            (
                (local, connected, follow),
                (group, router, priority, interval),
            )
        };
        facts(self) == facts(other)
            && self.routers == other.routers
            && self.settings == other.settings
    }
}

impl SharingConfig {
    /// What `settings` come to for a virtual router; `None` if it has no first IPv4 address, or a key cannot be derived.
    #[must_use]
    pub fn new(
        settings: &LoadSharingConfig,
        protocol: &vrrpd::Config,
        port_name: &str,
        local: Ipv4Addr,
        connected: Ipv4Prefix,
        leader: Option<Leader>,
    ) -> Option<Self> {
        let id = settings.router_id.as_ref().map(|id| id.value);
        let id = id.unwrap_or_else(|| leader.map_or(local, |leader| leader.router));
        let destination @ IpAddr::V4(_) = *protocol.addresses.first()? else {
            return None;
        };
        let virtuals = protocol
            .addresses
            .iter()
            .filter_map(|address| match address {
                IpAddr::V4(address) => Some(*address),
                IpAddr::V6(_) => None,
            });
        let plain = settings.plain_members.iter().map(|member| member.value);
        Some(Self {
            port_name: port_name.to_owned(),
            vrid: protocol.vrid.get(),
            local,
            connected: leader.map_or(connected, |leader| leader.connected),
            follow: leader.map(|leader| leader.key),
            routers: virtuals.chain(plain).chain([local]).collect(),
            group: Group {
                version: match protocol.version {
                    Version::V2 { .. } => 2,
                    Version::V3 { .. } => 3,
                },
                vrid: protocol.vrid,
                destination,
            },
            router: RouterId::new(id.to_bits())?,
            keys: settings.keys.derive(protocol.vrid, Family::Ipv4)?,
            priority: protocol.priority,
            interval: protocol.interval,
            settings: settings.clone(),
        })
    }

    /// Whether the part that this describes can go on as what `other` describes; else it begins anew.
    #[must_use]
    pub fn continues_as(&self, other: &Self) -> bool {
        (self.router, self.local, self.group) == (other.router, other.local, other.group)
            && (self.connected, self.follow) == (other.connected, other.follow)
            && self.settings.match_on == other.settings.match_on
            && self.settings.role == other.settings.role
    }

    /// Whether the end systems are on this link, and are this group's to know.
    #[must_use]
    pub fn is_at_end_systems(&self) -> bool {
        self.follow.is_none() && self.settings.match_on == MatchOn::Source
    }

    /// Whether end systems on the link are learned from their packets.
    pub(super) fn learns(&self) -> bool {
        self.settings.discovery.learn && self.is_at_end_systems()
    }

    /// Whether those behind further routers are.
    pub(super) fn learns_behind(&self) -> bool {
        self.settings.discovery.learn_behind && self.is_at_end_systems()
    }

    /// Whether it matters whose packets no condition names.
    pub(super) fn watches_rest(&self) -> bool {
        self.learns() || self.learns_behind()
    }

    /// Checks that the parts make sense.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.part(BootId(0)).validate()
    }

    /// For the protocol, in the life `boot`.
    pub(super) fn part(&self, boot: BootId) -> Config {
        let settings = &self.settings;
        let address = |address: Ipv4Addr| IpAddr::V4(address);
        Config {
            group: self.group,
            local: self.local.into(),
            router: self.router,
            boot,
            keys: self.keys.clone(),
            plain_members: settings
                .plain_members
                .iter()
                .map(|member| address(member.value))
                .collect(),
            priority: self.priority,
            interval: self.interval,
            role: settings.role,
            weight: settings.weight,
            mode: settings.mode,
            moves: moves::Config {
                skew: settings.skew,
                hold_time: settings.hold_time,
                hold_limit: settings.hold_limit,
                drain_limit: settings.drain_limit,
                repeat: settings.confirm_interval,
                active_max: usize::from(settings.moves_at_a_time),
                ..moves::Config::default()
            },
            batch_len_max: usize::from(settings.batch_size),
            end_systems: settings
                .end_systems()
                .map(|(system, node)| (address(system), node.map(address)))
                .collect(),
            end_systems_max: settings.end_systems_max as usize,
            end_system_age: settings.end_system_age,
            member_age: MEMBER_AGE_DEFAULT,
            review: settings.review(),
            follows: self.follow.is_some(),
        }
    }
}
