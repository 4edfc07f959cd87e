//! What passes between the host and who drives it: the routes that it asks for, and what it wants done.

use std::fmt;
use std::net::Ipv4Addr;

use dataplane::addr::MacAddr;
use dataplane::wire::ipv4::Protocol;

use super::arp::Conflict;
use super::port::PortIndex;

/// Where a packet goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// It is there: the address is the router's own.
    Local,
    /// The address is the broadcast address of a network.
    Broadcast,
    /// To its destination, which is on the network of this port.
    Connected {
        /// The port.
        port: PortIndex,
    },
    /// To a further router.
    Gateway {
        /// The port on whose network the router is.
        port: PortIndex,
        /// The router.
        address: Ipv4Addr,
    },
    /// Nowhere, and its sender is told so.
    Unreachable,
    /// Nowhere, silently.
    Blackhole,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::Broadcast => "broadcast",
            Self::Connected { .. } => "connected",
            Self::Gateway { .. } => "gateway",
            Self::Unreachable => "unreachable",
            Self::Blackhole => "blackhole",
        })
    }
}

/// The routes, as the workers have them.
pub trait Routes {
    /// The best route; `None` if there is none.
    fn route(&self, destination: Ipv4Addr) -> Option<Route>;
}

/// The time to live of what has no reason for another one (RFC 1700).
pub const DEFAULT_TTL: u8 = 64;

/// A packet that this router itself sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Originated {
    /// Type of service.
    pub traffic_class: u8,
    /// Time to live, in hops.
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// The own address that it comes from; if none is given, that of the port it leaves by.
    pub source: Option<Ipv4Addr>,
    /// Where it goes.
    pub destination: Ipv4Addr,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Something for the control loop to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<P> {
    /// Send a frame of the host's own making.
    Transmit {
        /// Out of this port.
        port: PortIndex,
        /// The frame, from its Ethernet header on.
        frame: Vec<u8>,
    },
    /// Send a packet that was punted, now rewritten for its way.
    Forward {
        /// Out of this port.
        port: PortIndex,
        /// The packet.
        packet: P,
    },
    /// Tell the workers a neighbour's link address, or that it is not known any more.
    SetNeighbour {
        /// The port on whose network the neighbour is.
        port: PortIndex,
        /// The neighbour.
        address: Ipv4Addr,
        /// Its link address.
        mac: Option<MacAddr>,
    },
    /// Tell the workers that what waits for a neighbour need not any longer, though its link address is no news: it is not to be found, or known.
    Settled {
        /// The port on whose network the neighbour would be.
        port: PortIndex,
        /// The neighbour.
        address: Ipv4Addr,
    },
    /// Tell whoever sent an echo request ([`HostStack::ping`]) that it was answered.
    ///
    /// [`HostStack::ping`]: super::HostStack::ping
    EchoReply {
        /// By whom.
        source: Ipv4Addr,
        /// The request's identifier.
        identifier: u16,
        /// The request's sequence number.
        sequence: u16,
    },
    /// Tell whoever asked for a neighbour that it has answered.
    Answered {
        /// The port on whose network it is.
        port: PortIndex,
        /// The neighbour.
        address: Ipv4Addr,
    },
    /// Tell whoever sent an information request ([`HostStack::request_information`]) that it was answered.
    ///
    /// [`HostStack::request_information`]: super::HostStack::request_information
    InformationReply {
        /// The port at which the reply came in.
        port: PortIndex,
        /// By whom.
        source: Ipv4Addr,
        /// The request's identifier.
        identifier: u16,
        /// The request's sequence number.
        sequence: u16,
    },
    /// Tell the operator that somebody else claims an address of this router.
    Conflict {
        /// Where.
        port: PortIndex,
        /// Who and which.
        conflict: Conflict,
    },
}
