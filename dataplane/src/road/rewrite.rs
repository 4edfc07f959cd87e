//! Station 6: what a router changes in a packet: TTL, checksum, MAC addresses, and the padding that it takes off.

use std::iter;

use super::header::{
    DONT_FRAGMENT, ETHERNET_OCTETS, HEADERS_OCTETS, TTL_AT, after_a_hop, fragment_bits, hop_octets,
    is_too_old,
};
use super::packets::{Notes, Places};
use super::{Doors, Packets, PuntReason};
use crate::dpdk::{BURST_MAX, Mbuf};
use crate::tables::Tables;

/// Makes each packet ready for the next hop. What is too large or too old to go there leaves unchanged.
#[inline]
pub(crate) fn rewrite(packets: &mut Packets, port: u16, tables: &Tables, doors: &mut Doors) {
    let leaving = unfit(packets, tables);
    if !leaving.is_empty() {
        packets.sift(leaving, |mbuf, notes, place| {
            leave(mbuf, notes, place % BURST_MAX, port, tables, doors);
            None
        });
    }
    change(packets, tables);
}

/// Where those packets are that cannot go on as they are.
#[inline(never)]
fn unfit(packets: &Packets, tables: &Tables) -> Places {
    let notes = &packets.notes;
    let mut unfit = Places::NONE;
    for run in notes.runs_by_egress(packets.places()) {
        let mtu = mtu(notes, run.start, tables);
        let lengths = &notes.total_octets[run.clone()];
        if lengths.iter().fold(0, |all, &octets| all.max(octets)) > mtu {
            for place in run {
                unfit.add_if(notes.total_octets[place] > mtu, place);
            }
        }
    }
    if packets.any_old {
        for (place, mbuf) in packets.mbufs.as_slice().iter().enumerate() {
            unfit.add_if(is_too_old(mbuf), place);
        }
    }
    unfit
}

/// The largest IP packet that the egress of a packet takes.
fn mtu(notes: &Notes, place: usize, tables: &Tables) -> u16 {
    tables
        .ports
        .get(usize::from(notes.egress(place)))
        .map_or(0, |egress| egress.mtu)
}

fn change(packets: &mut Packets, tables: &Tables) {
    let places = packets.places();
    let Packets { mbufs, notes, .. } = packets;
    for run in notes.runs_by_egress(places) {
        let Some(egress) = tables.ports.get(usize::from(notes.egress(run.start))) else {
            continue;
        };
        let mbufs = &mut mbufs.as_mut_slice()[run.clone()];
        let totals = &notes.total_octets[run.clone()];
        match notes.one_way {
            Some(way) => change_run(mbufs, totals, egress.mac, iter::repeat(way.mac)),
            None => change_run(mbufs, totals, egress.mac, notes.macs[run].iter().copied()),
        }
    }
}

/// Changes packets that leave by one port, whose MAC is `own_mac`, for the next hops `macs`.
#[inline(always)]
fn change_run(mbufs: &mut [Mbuf], totals: &[u16], own_mac: u64, macs: impl Iterator<Item = u64>) {
    for ((mbuf, &total_octets), mac) in mbufs.iter_mut().zip(totals).zip(macs) {
        let Some(headers) = mbuf.data_mut().first_chunk_mut::<HEADERS_OCTETS>() else {
            continue;
        };
        let after = after_a_hop(hop_octets(headers));
        headers[TTL_AT..TTL_AT + 4].copy_from_slice(&after.to_le_bytes());
        headers[..8].copy_from_slice(&(mac | own_mac << 48).to_le_bytes());
        headers[8..12].copy_from_slice(&((own_mac >> 16) as u32).to_le_bytes());
        // Padding is the sender's link's, and may hold what is nobody else's business.
        mbuf.truncate(total_octets + ETHERNET_OCTETS as u16);
    }
}

/// Sends a packet that cannot go on as it is to the control thread.
#[cold]
fn leave(mbuf: Mbuf, notes: &Notes, place: usize, port: u16, tables: &Tables, doors: &mut Doors) {
    let mtu = mtu(notes, place, tables);
    let Some(headers) = mbuf.data().first_chunk::<HEADERS_OCTETS>() else {
        return;
    };
    let reason = if headers[TTL_AT] <= 1 {
        PuntReason::TtlExceeded
    } else if fragment_bits(headers) & DONT_FRAGMENT != 0 {
        PuntReason::FragmentationNeeded { mtu }
    } else {
        PuntReason::Fragment { mtu }
    };
    doors.punt(mbuf, port, notes.vias[place], reason);
}
