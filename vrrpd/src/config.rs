//! What an operator decides about a virtual router, and which decisions make sense. How they are written in a
//! file is the program's business.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::track::Track;
use crate::wire::v2::Authentication;
use crate::wire::v3::INTERVAL_MAX_CENTISECONDS;
use crate::wire::{Family, PRIORITY_OWNER, TTL, Vrid};

/// Which version a virtual router speaks, with what only that version has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// RFC 3768: IPv4 only, intervals in seconds.
    V2 {
        /// How members authenticate themselves.
        authentication: Authentication,
    },
    /// RFC 9568: IPv4 and IPv6, intervals in centiseconds.
    V3 {
        /// How the checksum of what is sent over IPv4 is computed.
        checksum: Checksum,
    },
}

impl Version {
    /// The number on the wire.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Version::V2 { .. } => crate::wire::v2::VERSION,
            Version::V3 { .. } => crate::wire::v3::VERSION,
        }
    }

    /// What an advertisement interval of this version must be a multiple of, and the greatest.
    const fn interval_limits(&self) -> (Duration, Duration) {
        match self {
            Version::V2 { .. } => (Duration::from_secs(1), Duration::from_secs(u8::MAX as u64)),
            Version::V3 { .. } => (
                Duration::from_millis(10),
                Duration::from_millis(INTERVAL_MAX_CENTISECONDS as u64 * 10),
            ),
        }
    }
}

/// How version 3 computes the checksum of what it sends over IPv4; see [`crate::wire::v3`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// As in the advertisement accepted last; as RFC 9568 says until there is one.
    #[default]
    Auto,
    /// With the pseudo-header, as keepalived does unless told otherwise.
    With,
    /// Without the pseudo-header, as RFC 9568 says.
    Without,
}

/// Whom advertisements are sent to and accepted from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// The multicast group of the family.
    #[default]
    Multicast,
    /// These routers alone, one copy each.
    Unicast {
        /// The other routers' addresses.
        addresses: Vec<IpAddr>,
        /// The least TTL accepted: 255 when they are on the link, less by each router between.
        ttl_min: u8,
    },
}

/// How a new master tells the link that the virtual addresses are with it: gratuitous ARP, or unsolicited
/// neighbour advertisements (RFC 9568 §6.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcements {
    /// How often each address is announced after a take-over; the RFC asks for one.
    pub rounds: u8,
    /// The time from the start of one round to the start of the next.
    pub round_interval: Duration,
    /// How many addresses are announced back to back.
    pub burst: u8,
    /// The time from one burst to the next.
    pub burst_interval: Duration,
    /// How long after a round a master that stays master announces again; `None` for never.
    pub refresh: Option<Duration>,
}

impl Default for Announcements {
    /// Five rounds, a second apart, 16 addresses a millisecond, no refresh.
    fn default() -> Announcements {
        Announcements {
            rounds: 5,
            round_interval: Duration::from_secs(1),
            burst: 16,
            burst_interval: Duration::from_millis(1),
            refresh: None,
        }
    }
}

/// The configuration of one virtual router on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The virtual router identifier.
    pub vrid: Vrid,
    /// The version, with its options.
    pub version: Version,
    /// The virtual addresses: 1 to 255, all of one family. Over IPv6 the first is a link-local one.
    pub addresses: Vec<IpAddr>,
    /// The configured priority, 1 to 255; 255 is for the router that owns the addresses.
    pub priority: u8,
    /// The time between two advertisements of this router as master: whole seconds to 255 s in version 2,
    /// centiseconds to 40.95 s in version 3.
    pub interval: Duration,
    /// Whether this router as backup ousts a master of lower priority. An owner always does.
    pub preempt: bool,
    /// How long it tolerates such a master first, from the first advertisement heard of it. It then stops heeding
    /// those, so it takes over one down interval later. Takes no effect when the master falls silent or resigns.
    pub preempt_delay: Duration,
    /// Whether the master, if it is not the owner, accepts packets to the virtual addresses (RFC 9568
    /// `Accept_Mode`), so that they answer a ping.
    pub accept: bool,
    /// Whom advertisements are sent to and accepted from.
    pub peers: Peers,
    /// Conditions that the priority depends on.
    pub tracks: Vec<Track>,
    /// How a take-over is announced to the link.
    pub announcements: Announcements,
    /// Whether this router may become master. One that may not is a backup always, and says by [`Output::MasterLost`](crate::Output::MasterLost) when it
    /// misses the master: a substitution server, which routes nothing.
    pub candidate: bool,
}

impl Config {
    /// A virtual router with the defaults: priority 100, an interval of 1 s, preemption at once, accept mode on,
    /// multicast, nothing tracked.
    #[must_use]
    pub fn new(vrid: Vrid, version: Version, addresses: Vec<IpAddr>) -> Config {
        Config {
            vrid,
            version,
            addresses,
            priority: 100,
            interval: Duration::from_secs(1),
            preempt: true,
            preempt_delay: Duration::ZERO,
            accept: true,
            peers: Peers::default(),
            tracks: Vec::new(),
            announcements: Announcements::default(),
            candidate: true,
        }
    }

    /// Whether this router owns the virtual addresses.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        self.priority == PRIORITY_OWNER
    }

    /// The family of the virtual addresses; IPv4 if there are none.
    #[must_use]
    pub fn family(&self) -> Family {
        self.addresses
            .first()
            .map_or(Family::Ipv4, |address| Family::of(*address))
    }

    /// Checks that the parts make sense, for a router whose own address on the port is `local`.
    ///
    /// # Errors
    ///
    /// The first mistake found.
    pub fn validate(&self, local: IpAddr) -> Result<(), ConfigError> {
        let family = self.family();
        if self.addresses.is_empty() || self.addresses.len() > usize::from(u8::MAX) {
            return Err(ConfigError::AddressCount(self.addresses.len()));
        }
        let mut seen = HashSet::new();
        for address in &self.addresses {
            if Family::of(*address) != family {
                return Err(ConfigError::Family {
                    address: *address,
                    family,
                });
            }
            if address.is_unspecified() || address.is_multicast() {
                return Err(ConfigError::NotUnicast(*address));
            }
            if !seen.insert(address) {
                return Err(ConfigError::Duplicate(*address));
            }
        }
        if Family::of(local) != family {
            return Err(ConfigError::Family {
                address: local,
                family,
            });
        }
        if let Some(IpAddr::V6(first)) = self.addresses.first() {
            if matches!(self.version, Version::V2 { .. }) {
                return Err(ConfigError::VersionFamily);
            }
            if !first.is_unicast_link_local() {
                return Err(ConfigError::NotLinkLocal((*first).into()));
            }
            if let (IpAddr::V6(own), Peers::Multicast) = (local, &self.peers)
                && !own.is_unicast_link_local()
            {
                return Err(ConfigError::LocalNotLinkLocal(local));
            }
        }
        if self.priority == 0 {
            return Err(ConfigError::Priority);
        }
        let (unit, max) = self.version.interval_limits();
        if self.interval.is_zero()
            || self.interval > max
            || !self.interval.as_nanos().is_multiple_of(unit.as_nanos())
        {
            return Err(ConfigError::Interval {
                interval: self.interval,
                unit,
                max,
            });
        }
        self.validate_peers(family, local)?;
        self.validate_tracks()?;
        if self.announcements.rounds == 0 || self.announcements.burst == 0 {
            return Err(ConfigError::Announcements);
        }
        Ok(())
    }

    fn validate_peers(&self, family: Family, local: IpAddr) -> Result<(), ConfigError> {
        let Peers::Unicast { addresses, ttl_min } = &self.peers else {
            return Ok(());
        };
        if addresses.is_empty() || addresses.len() > usize::from(u8::MAX) {
            return Err(ConfigError::PeerCount(addresses.len()));
        }
        if *ttl_min == 0 {
            return Err(ConfigError::TtlMin);
        }
        let mut seen = HashSet::new();
        for address in addresses {
            if Family::of(*address) != family {
                return Err(ConfigError::Family {
                    address: *address,
                    family,
                });
            }
            if address.is_unspecified() || address.is_multicast() || *address == local {
                return Err(ConfigError::NotUnicast(*address));
            }
            if !seen.insert(address) {
                return Err(ConfigError::Duplicate(*address));
            }
        }
        Ok(())
    }

    fn validate_tracks(&self) -> Result<(), ConfigError> {
        let mut seen = HashSet::new();
        for track in &self.tracks {
            if !seen.insert(&track.name) {
                return Err(ConfigError::DuplicateTrack(track.name.clone()));
            }
        }
        Ok(())
    }

    /// The least TTL or hop limit accepted.
    pub(crate) fn ttl_min(&self) -> u8 {
        match self.peers {
            Peers::Multicast => TTL,
            Peers::Unicast { ttl_min, .. } => ttl_min,
        }
    }
}

/// What is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No virtual address, or more than an advertisement can list.
    #[error("{0} virtual addresses, must be 1 to 255")]
    AddressCount(usize),
    /// An address of the other family than the first virtual address.
    #[error("{address} is not an {family} address like the first virtual address")]
    Family {
        /// The address.
        address: IpAddr,
        /// The family of the first virtual address.
        family: Family,
    },
    /// An address that no router, or no other router, can have.
    #[error("{0} is not a unicast address of a virtual router or of another router")]
    NotUnicast(IpAddr),
    /// An address given twice.
    #[error("{0} is given twice")]
    Duplicate(IpAddr),
    /// Version 2 over IPv6.
    #[error("version 2 knows no IPv6, use version 3")]
    VersionFamily,
    /// The first IPv6 address is not link-local (RFC 9568 §5.2.9).
    #[error("the first IPv6 virtual address must be a link-local one, {0} is not")]
    NotLinkLocal(IpAddr),
    /// This router would multicast from an IPv6 address that is not link-local (RFC 9568 §5.1.2.1).
    #[error("this router's IPv6 address on the port must be a link-local one, {0} is not")]
    LocalNotLinkLocal(IpAddr),
    /// Priority 0, which means "I stop".
    #[error("priority 0 is reserved, must be 1 to 255")]
    Priority,
    /// An interval that the version cannot say.
    #[error("advertisement interval {interval:?}, must be a multiple of {unit:?} up to {max:?}")]
    Interval {
        /// The interval.
        interval: Duration,
        /// What it must be a multiple of.
        unit: Duration,
        /// The greatest.
        max: Duration,
    },
    /// No unicast peer, or too many.
    #[error("{0} unicast peers, must be 1 to 255")]
    PeerCount(usize),
    /// A least TTL that would let anything in.
    #[error("the least TTL must be at least 1")]
    TtlMin,
    /// A track of which there are two.
    #[error("track \"{0}\" is given twice")]
    DuplicateTrack(String),
    /// Announcements that would never be sent.
    #[error("announcements need at least one round and bursts of at least one address")]
    Announcements,
}

#[cfg(test)]
mod tests;
