//! Station 5: what the next hop means: which port, which MAC, or which door.

use std::net::Ipv4Addr;

use super::packets::{Notes, Places, Way, runs};
use super::{Doors, Packets, PuntReason};
use crate::counters::DiscardReason;
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::hop::{Hop, NextHop};
use crate::tables::Tables;

/// Finds each packet's egress port and the MAC to send it to.
#[inline(never)]
pub(crate) fn neighbour(packets: &mut Packets, port: u16, tables: &Tables, doors: &mut Doors) {
    let places = packets.places();
    let notes = &mut packets.notes;
    notes.one_way = None;
    // Most often a whole burst goes to one gateway.
    if runs(&notes.hops[places.clone()]).next() == Some(places.clone())
        && let Some(hop) = tables.hop(notes.hops[0])
        && let Some(mac) = hop.mac.load()
    {
        notes.one_way = Some(Way {
            egress: hop.egress,
            mac,
        });
        return;
    }
    let mut leaving = Places::NONE;
    let hops = tables.hops.as_slice();
    for place in places {
        if let Some(hop) = hops.get(usize::from(notes.hops[place]))
            && let Some(mac) = mac(hop, notes.destinations[place])
        {
            notes.egress[place] = hop.egress;
            notes.macs[place] = mac;
        } else {
            leaving.add(place);
        }
    }
    if !leaving.is_empty() {
        packets.sift(leaving, |mbuf, notes, place| {
            leave(mbuf, notes, place % BURST_MAX, port, tables, doors);
            None
        });
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
fn leave(mbuf: Mbuf, notes: &Notes, place: usize, port: u16, tables: &Tables, doors: &mut Doors) {
    let Some(hop) = tables.hop(notes.hops[place]) else {
        return;
    };
    let reason = match hop.kind {
        NextHop::Broadcast => return doors.discard(mbuf, DiscardReason::Broadcast),
        NextHop::Blackhole => return doors.discard(mbuf, DiscardReason::Blackhole),
        NextHop::Local => PuntReason::ForUs,
        NextHop::Unreachable => PuntReason::Unreachable,
        NextHop::Connected { port } => PuntReason::NoNeighbour {
            egress: port,
            next_hop: Ipv4Addr::from_bits(notes.destinations[place]),
        },
        NextHop::Gateway { port, address } => PuntReason::NoNeighbour {
            egress: port,
            next_hop: address,
        },
    };
    doors.punt(mbuf, port, notes.vias[place], reason);
}
