//! Next hops: where a route leads, as the control thread names it and as workers read it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::backlog::Neighbour;
use crate::neighbours::{MacCell, Neighbours};

/// Where a route leads. Ports are given by their index in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// To the destination itself, which is on the network of this port.
    Connected {
        /// The port.
        port: u16,
    },
    /// To a further router.
    Gateway {
        /// The port on whose network the router is.
        port: u16,
        /// The router.
        address: Ipv4Addr,
    },
    /// To this router itself: the address is its own.
    Local,
    /// Nowhere: the address is the broadcast address of a network, and directed broadcasts are off (RFC 2644).
    Broadcast,
    /// Nowhere, and the sender is told so.
    Unreachable,
    /// Nowhere, silently.
    Blackhole,
}

impl NextHop {
    /// The port that it leads out of, if any.
    #[must_use]
    pub const fn egress(self) -> Option<u16> {
        match self {
            Self::Connected { port } | Self::Gateway { port, .. } => Some(port),
            Self::Local | Self::Broadcast | Self::Unreachable | Self::Blackhole => None,
        }
    }

    /// Whose MAC is needed to send something by way of it to an address (host order), if it leads anywhere.
    #[must_use]
    pub(crate) const fn neighbour(self, destination: u32) -> Option<Neighbour> {
        match self {
            Self::Connected { port } => Some(Neighbour {
                port,
                address: Ipv4Addr::from_bits(destination),
            }),
            Self::Gateway { port, address } => Some(Neighbour { port, address }),
            Self::Local | Self::Broadcast | Self::Unreachable | Self::Blackhole => None,
        }
    }
}

/// A next hop as workers read it.
#[derive(Debug)]
pub(crate) struct Hop {
    /// The gateway's MAC, written in place when it is resolved; never set for other kinds.
    pub(crate) mac: MacCell,
    /// The port that it leads out of; 0 if it leads nowhere.
    pub(crate) egress: u16,
    /// What it is.
    pub(crate) kind: NextHop,
    /// Of a connected network, its neighbours.
    pub(crate) neighbours: Option<Arc<Neighbours>>,
}

impl Hop {
    /// A next hop whose gateway, if it is one, is not resolved yet.
    #[must_use]
    pub(crate) fn new(kind: NextHop, neighbours: Option<Arc<Neighbours>>) -> Self {
        Self {
            mac: MacCell::default(),
            egress: kind.egress().unwrap_or(0),
            kind,
            neighbours,
        }
    }

    /// The MAC word by which it leads to an address (host order), if it leads anywhere and that is known.
    #[inline(always)]
    #[must_use]
    pub(crate) fn mac_for(&self, destination: u32) -> Option<u64> {
        match self.mac.load() {
            Some(mac) => Some(mac),
            None => self.neighbours.as_ref()?.get(destination),
        }
    }
}
