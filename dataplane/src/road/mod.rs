//! The packet road, one file a station: receive → parse → verdict → route → neighbour → rewrite → transmit; and its
//! doors: discard, punt, hold, and waiting for a next hop. Each station is a function over a burst. A packet leaves the road where a station hands its
//! buffer to a door; the others go on in the order in which they came.

mod discard;
mod doors;
mod header;
mod hold;
mod irregular;
mod neighbour;
mod packets;
mod paired;
mod parse;
mod punt;
mod receive;
mod rewrite;
mod route;
mod transmit;
mod unresolved;
mod verdict;
mod watch;

pub(crate) use doors::Doors;
pub(crate) use header::is_vrrp;
pub(crate) use hold::{HeldLimit, release, send_settled};
pub(crate) use neighbour::{Missing, neighbour};
pub(crate) use packets::Packets;
pub(crate) use paired::paired;
pub(crate) use parse::parse;
pub use punt::{PuntReason, Punted};
pub(crate) use receive::{Ingress, receive};
pub(crate) use rewrite::rewrite;
pub(crate) use route::route;
pub(crate) use transmit::{Egress, drain_backlog, transmit};
pub(crate) use verdict::verdict;

use crate::backlog;
use crate::dpdk::Mbuf;
use crate::verdict::CONDITIONS_MAX;

/// Stands for "to the port's own MAC" where otherwise a VRID stands.
const OWN_MAC: u16 = 256;

/// Stands for "no condition".
pub(crate) const NO_CONDITION: u32 = CONDITIONS_MAX;

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
