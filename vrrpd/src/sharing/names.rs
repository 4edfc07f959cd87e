//! The names that routers of a group use among themselves: for each other, for terms of authority, for the packets meant,
//! for a hand-over. What is done under these names is not here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use crate::Family;

/// A router of the group, whatever its addresses. Configured, or the router's IPv4 address on the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// The router `value`, if it is not 0.
    #[must_use]
    pub const fn new(value: u32) -> Option<RouterId> {
        match NonZeroU32::new(value) {
            Some(value) => Some(RouterId(value)),
            None => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for RouterId {
    /// Dotted, as routing protocols write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from_bits(self.get()).fmt(f)
    }
}

/// One life of a router: drawn at random when it starts, and the nonce that others prove their freshness with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One authority's term. A higher counter wins, and the higher issuer among equal ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    /// Above every counter that the issuer had heard.
    pub counter: u32,
    /// Who issues the allocations; `None` only in the epoch before the first.
    pub issuer: Option<RouterId>,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.issuer {
            Some(issuer) => write!(f, "{} of {issuer}", self.counter),
            None => f.write_str("none"),
        }
    }
}

/// An allocation: which authority's, and the how manieth. Later ones are greater, also across authorities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The authority's term.
    pub epoch: Epoch,
    /// The allocation's number within it, from 1.
    pub generation: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation {} in epoch {}", self.generation, self.epoch)
    }
}

/// Which packets are meant. They are matched by source on a LAN-side group, by destination on a carrier-side one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// Those of every end system that no other condition names. Orders before all others.
    Rest,
    /// Those of one end system.
    Address(IpAddr),
}

impl Condition {
    /// The condition as the address that stands for it on the wire; the rest is the unspecified one.
    #[must_use]
    pub const fn address(self, family: Family) -> IpAddr {
        match (self, family) {
            (Condition::Address(address), _) => address,
            (Condition::Rest, Family::Ipv4) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (Condition::Rest, Family::Ipv6) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The greatest condition of a family.
    pub(crate) const fn last(family: Family) -> Condition {
        Condition::Address(match family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::BROADCAST),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)),
        })
    }

    /// The condition just below this one; the rest is below everything, itself included.
    pub(crate) fn before(self) -> Condition {
        match self {
            Condition::Rest => Condition::Rest,
            Condition::Address(IpAddr::V4(address)) => {
                IpAddr::V4(Ipv4Addr::from_bits(address.to_bits().saturating_sub(1))).into()
            }
            Condition::Address(IpAddr::V6(address)) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits().saturating_sub(1))).into()
            }
        }
    }
}

impl From<IpAddr> for Condition {
    fn from(address: IpAddr) -> Condition {
        if address.is_unspecified() {
            Condition::Rest
        } else {
            Condition::Address(address)
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Rest => f.write_str("rest"),
            Condition::Address(address) => address.fmt(f),
        }
    }
}

/// A hand-over, by everything that tells it from any other: two routers may hand over to each other twice in
/// a generation, and a fence must never be taken for that of another move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoveName {
    /// The allocation that ordered it.
    pub version: Version,
    /// Who hands over (P).
    pub from: RouterId,
    /// Who takes over (N).
    pub to: RouterId,
    /// Which part of what this allocation moves from the one to the other.
    pub batch: u16,
}

impl fmt::Display for MoveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batch {} from {} to {}, {}",
            self.batch, self.from, self.to, self.version
        )
    }
}

/// How conditions change hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// After a set time; what arrives in between is lost (A4).
    Timer,
    /// Packet by packet; nothing is lost or doubled (A5, A6).
    Sequence,
}

/// What the authority makes of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// Gets a share.
    Working,
    /// Answers, and waits for the next allocation.
    Suspended,
    /// Gives its share away before it stops.
    Draining,
    /// Does not answer.
    Faulty,
    /// Does the control work, and forwards nothing (A14).
    SubstitutionServer,
    /// Should do the control work, and does not answer.
    SubstitutionServerFaulty,
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemberState::Working => "working",
            MemberState::Suspended => "suspended",
            MemberState::Draining => "draining",
            MemberState::Faulty => "faulty",
            MemberState::SubstitutionServer => "substitution-server",
            MemberState::SubstitutionServerFaulty => "substitution-server-faulty",
        })
    }
}

/// How an end system was last noticed (A18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Not at all: it is configured.
    #[default]
    Configured,
    /// It answered an ICMP information request.
    InformationReply,
    /// It answered ARP or neighbour discovery.
    Neighbour,
    /// It sent a packet.
    Traffic,
}

/// A hash of a whole IP packet as received, the same wherever the same frame arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub u64);
