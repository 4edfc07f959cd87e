//! Station 5: what the next hop means: which port, which MAC, or which door.

use std::net::Ipv4Addr;

use super::{Doors, Packet, Packets, PuntReason, close_ranks};
use crate::counters::DiscardReason;
use crate::hop::{Hop, NextHop};
use crate::tables::Tables;

/// Finds each packet's egress port and the MAC to send it to.
#[inline]
pub(crate) fn neighbour(packets: &mut Packets, port: u16, tables: &Tables, doors: &mut Doors) {
    let mut gone = false;
    for packet in packets.iter_mut() {
        let Some(hop) = tables.hop(packet.hop) else {
            continue;
        };
        packet.egress = hop.egress;
        match mac(hop, packet.destination) {
            Some(mac) => packet.mac = mac,
            None => {
                gone = true;
                leave(packet, hop.kind, port, doors);
            }
        }
    }
    if gone {
        close_ranks(packets);
    }
}

/// The MAC word of the next hop, if there is one and it is resolved.
#[inline(always)]
fn mac(hop: &Hop, destination: u32) -> Option<u64> {
    match hop.mac.load() {
        Some(mac) => Some(mac),
        None => hop.neighbours.as_ref()?.get(destination),
    }
}

/// Sends a packet that goes to no resolved neighbour through its door.
#[cold]
fn leave(packet: &mut Packet, kind: NextHop, port: u16, doors: &mut Doors) {
    let Some(mbuf) = packet.mbuf.take() else {
        return;
    };
    let reason = match kind {
        NextHop::Broadcast => return doors.discard(mbuf, DiscardReason::Broadcast),
        NextHop::Blackhole => return doors.discard(mbuf, DiscardReason::Blackhole),
        NextHop::Local => PuntReason::ForUs,
        NextHop::Unreachable => PuntReason::Unreachable,
        NextHop::Connected { port } => PuntReason::NoNeighbour {
            egress: port,
            next_hop: Ipv4Addr::from_bits(packet.destination),
        },
        NextHop::Gateway { port, address } => PuntReason::NoNeighbour {
            egress: port,
            next_hop: address,
        },
    };
    doors.punt(mbuf, port, packet.via, reason);
}
