//! Station 5: what the next hop means: which port, which MAC, or which door.

use super::header::{ETHERNET_OCTETS, is_too_old};
use super::packets::{Notes, Places, Way, runs};
use super::{Doors, Packets, PuntReason};
use crate::backlog::{Held, Place};
use crate::counters::DiscardReason;
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::hop::{Hop, NextHop};
use crate::tables::Tables;

/// What becomes of a packet whose next hop's MAC is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It waits for it.
    Waits(Place),
    /// It has waited; the control thread tells its sender, or sends it after all.
    GivenUp,
}

/// Finds each packet's egress port and the MAC to send it to.
#[inline(never)]
pub(crate) fn neighbour(
    packets: &mut Packets,
    port: u16,
    tables: &Tables,
    doors: &mut Doors,
    missing: Missing,
) {
    let places = packets.places();
    let notes = &mut packets.notes;
    notes.one_way = None;
    // Behind packets that wait for a next hop none goes there directly.
    let queues = doors.backlog.awaits_any() && missing != Missing::GivenUp;
    // Most often a whole burst goes to one gateway.
    if !queues
        && runs(&notes.hops[places.clone()]).next() == Some(places.clone())
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
        let destination = notes.destinations[place];
        if let Some(hop) = hops.get(usize::from(notes.hops[place]))
            && let Some(mac) = hop.mac_for(destination)
            && !(queues && is_awaited(hop, destination, doors))
        {
            notes.egress[place] = hop.egress;
            notes.macs[place] = mac;
        } else {
            leaving.add(place);
        }
    }
    if !leaving.is_empty() {
        packets.sift(leaving, |mbuf, notes, place| {
            leave(mbuf, notes, place % BURST_MAX, port, tables, doors, missing);
            None
        });
    }
}

/// Whether packets wait for the MAC that this next hop needs.
#[cold]
fn is_awaited(hop: &Hop, destination: u32, doors: &Doors) -> bool {
    let neighbour = hop.kind.neighbour(destination);
    neighbour.is_some_and(|neighbour| doors.backlog.awaits(neighbour))
}

/// Sends a packet that goes to no resolved neighbour through its door.
#[cold]
fn leave(
    mut mbuf: Mbuf,
    notes: &Notes,
    place: usize,
    port: u16,
    tables: &Tables,
    doors: &mut Doors,
    missing: Missing,
) {
    let Some(hop) = tables.hop(notes.hops[place]) else {
        return;
    };
    // Who sends it on later need not know what was padding.
    mbuf.truncate(notes.total_octets[place].saturating_add(ETHERNET_OCTETS as u16));
    let destination = notes.destinations[place];
    let Some(neighbour) = hop.kind.neighbour(destination) else {
        let reason = match hop.kind {
            NextHop::Broadcast => return doors.discard(mbuf, DiscardReason::Broadcast),
            NextHop::Blackhole => return doors.discard(mbuf, DiscardReason::Blackhole),
            NextHop::Local => PuntReason::ForUs,
            _ => PuntReason::Unreachable,
        };
        return doors.punt(mbuf, port, notes.vias[place], reason);
    };
    let egress = tables.ports.get(usize::from(hop.egress));
    let fits = egress.is_some_and(|egress| notes.total_octets[place] <= egress.mtu);
    match missing {
        // What cannot go there as it is is the control thread's business, whether the next hop is there or not.
        Missing::Waits(kept) if fits && !is_too_old(&mbuf) => {
            let held = Held {
                condition: notes.entries[place].condition(),
                // It was asked for, if at all, when the packet was judged.
                fingerprint: 0,
                port,
                via: notes.vias[place],
                packet: mbuf,
            };
            doors.park(neighbour, held, kept);
        }
        Missing::Waits(_) | Missing::GivenUp => {
            let reason = PuntReason::NoNeighbour {
                egress: neighbour.port,
                next_hop: neighbour.address,
            };
            doors.punt(mbuf, port, notes.vias[place], reason);
        }
    }
}
