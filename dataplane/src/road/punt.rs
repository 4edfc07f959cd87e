//! The door to the control thread: one bounded ring for each class, so that a storm of one cannot starve another.

use std::net::Ipv4Addr;

use super::Doors;
use crate::counters::{DiscardReason, PuntCause, PuntClass};
use crate::dpdk::Mbuf;

/// Why a frame is for the control thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PuntReason {
    /// IP protocol 112: an advertisement, or a message of the extension to a virtual or own MAC.
    Vrrp,
    /// ARP.
    Arp,
    /// For an address of this router, or an ICMP information request from a host that does not know its network.
    ForUs,
    /// The next hop is not resolved.
    NoNeighbour {
        /// The port that the packet would leave by.
        egress: u16,
        /// Whose MAC is missing: the destination's or the gateway's.
        next_hop: Ipv4Addr,
    },
    /// The TTL is 1, and the packet is not for this router.
    TtlExceeded,
    /// No route, or one that says unreachable.
    Unreachable,
    /// Larger than the next network takes, and not to be cut.
    FragmentationNeeded {
        /// What the next network takes, in octets.
        mtu: u16,
    },
    /// Larger than the next network takes, to be cut (RFC 1812 section 5.2.6).
    Fragment {
        /// What the next network takes, in octets.
        mtu: u16,
    },
}

impl PuntReason {
    /// The ring that it goes through.
    #[must_use]
    pub const fn class(self) -> PuntClass {
        match self {
            Self::Vrrp => PuntClass::Vrrp,
            Self::Arp => PuntClass::Arp,
            _ => PuntClass::Rest,
        }
    }

    /// The counter that it goes under.
    #[must_use]
    pub const fn cause(self) -> PuntCause {
        match self {
            Self::Vrrp => PuntCause::Vrrp,
            Self::Arp => PuntCause::Arp,
            Self::ForUs => PuntCause::ForUs,
            Self::NoNeighbour { .. } => PuntCause::NoNeighbour,
            Self::TtlExceeded => PuntCause::TtlExceeded,
            Self::Unreachable => PuntCause::Unreachable,
            Self::FragmentationNeeded { .. } => PuntCause::FragmentationNeeded,
            Self::Fragment { .. } => PuntCause::Fragment,
        }
    }
}

/// A frame for the control thread, as it was received, less its padding if it went past the parser.
#[derive(Debug)]
pub struct Punted {
    /// Why.
    pub reason: PuntReason,
    /// The index of the port that received it.
    pub port: u16,
    /// The VRID of the group to whose virtual MAC it came; none if it came to the port's own MAC, or a group address.
    pub via: Option<u8>,
    /// The frame.
    pub mbuf: Mbuf,
}

impl Doors {
    /// Hands a frame to the control thread; if its ring is full, discards it.
    #[cold]
    pub(crate) fn punt(&mut self, mbuf: Mbuf, port: u16, via: u16, reason: PuntReason) {
        let class = reason.class();
        let punted = Punted {
            reason,
            port,
            via: u8::try_from(via).ok(),
            mbuf,
        };
        match self.shared.punts[class as usize].push(punted) {
            Ok(()) => self.shared.counters.punts(reason.cause()).add(1),
            Err(punted) => self.discard(
                punted.mbuf,
                match class {
                    PuntClass::Vrrp => DiscardReason::PuntVrrpOverflow,
                    PuntClass::Arp => DiscardReason::PuntArpOverflow,
                    PuntClass::Rest => DiscardReason::PuntRestOverflow,
                },
            ),
        }
    }
}
