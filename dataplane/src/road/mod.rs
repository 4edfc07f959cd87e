//! The packet road, one file a station: receive → parse → verdict → route → neighbour → rewrite → transmit; and its
//! doors: discard, punt, hold. Each station is a function over a burst. A packet leaves the road where a station hands its
//! buffer to a door; the others go on in the order in which they came.

mod discard;
mod doors;
mod header;
mod hold;
mod irregular;
mod neighbour;
mod paired;
mod parse;
mod punt;
mod receive;
mod rewrite;
mod route;
mod transmit;
mod verdict;
mod watch;

use arrayvec::ArrayVec;

pub(crate) use doors::Doors;
pub(crate) use hold::{HeldLimit, release};
pub(crate) use neighbour::neighbour;
pub(crate) use paired::paired;
pub(crate) use parse::parse;
pub use punt::{PuntReason, Punted};
pub(crate) use receive::{Ingress, receive};
pub(crate) use rewrite::rewrite;
pub(crate) use route::route;
pub(crate) use transmit::{Egress, drain_backlog, transmit};
pub(crate) use verdict::verdict;

use crate::backlog::{self, Held};
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::fib::HopIndex;

/// A packet on the road, and what the stations have found out about it.
pub(crate) struct Packet {
    /// None once the packet has left the road.
    mbuf: Option<Mbuf>,
    /// The next hop's MAC, as a word.
    mac: u64,
    /// Source address, host order.
    source: u32,
    /// Destination address, host order.
    destination: u32,
    /// The index of the counter of its condition; [`NO_CONDITION`] if none.
    condition: u32,
    /// Total length of the IP packet.
    total_octets: u16,
    /// The VRID of the virtual MAC that it came to, or [`OWN_MAC`].
    via: u16,
    hop: HopIndex,
    /// The index of the port that it leaves by.
    egress: u16,
}

impl Packet {
    /// A packet that was parsed and judged before it was held.
    fn released(held: Held<Mbuf>) -> Self {
        let headers = held.packet.data().first_chunk();
        let headers = headers.unwrap_or(&[0; header::HEADERS_OCTETS]);
        Self {
            mac: 0,
            source: header::source(headers),
            destination: header::destination(headers),
            condition: held.condition,
            total_octets: header::total_octets(headers),
            via: held.via,
            hop: 0,
            egress: 0,
            mbuf: Some(held.packet),
        }
    }
}

/// Stands for "to the port's own MAC" where otherwise a VRID stands.
const OWN_MAC: u16 = 256;

/// Stands for "no condition".
pub(crate) const NO_CONDITION: u32 = u32::MAX;

/// A burst on the road.
pub(crate) type Packets = ArrayVec<Packet, BURST_MAX>;

/// Closes the gaps that packets left.
#[cold]
fn close_ranks(packets: &mut Packets) {
    packets.retain(|packet| packet.mbuf.is_some());
}

impl backlog::Packet for Mbuf {
    fn ip_octets(&self) -> &[u8] {
        let ip = self
            .data()
            .get(header::ETHERNET_OCTETS..)
            .unwrap_or_default();
        let total = ip.get(2..4).map_or(0, |length| {
            usize::from(u16::from_be_bytes([length[0], length[1]]))
        });
        ip.get(..total).unwrap_or(ip)
    }
}
