//! Station 6: what a router changes in a packet: TTL, checksum, MAC addresses, and the padding that it takes off.

use super::header::{
    CHECKSUM_AT, DONT_FRAGMENT, ETHERNET_OCTETS, HEADERS_OCTETS, TTL_AT, checksum_after_ttl,
    fragment_bits,
};
use super::{Doors, Packet, Packets, PuntReason, close_ranks};
use crate::tables::Tables;

/// Makes each packet ready for the next hop. What is too large or too old to go there leaves unchanged.
#[inline]
pub(crate) fn rewrite(packets: &mut Packets, port: u16, tables: &Tables, doors: &mut Doors) {
    let mut gone = false;
    for packet in packets.iter_mut() {
        let Some(egress) = tables.ports.get(usize::from(packet.egress)) else {
            continue;
        };
        let Some(mbuf) = packet.mbuf.as_mut() else {
            continue;
        };
        let Some(headers) = mbuf.data_mut().first_chunk_mut::<HEADERS_OCTETS>() else {
            continue;
        };
        if (headers[TTL_AT] <= 1) | (packet.total_octets > egress.mtu) {
            gone = true;
            leave(packet, port, egress.mtu, doors);
            continue;
        }
        headers[TTL_AT] -= 1;
        let checksum = u16::from_le_bytes([headers[CHECKSUM_AT], headers[CHECKSUM_AT + 1]]);
        headers[CHECKSUM_AT..CHECKSUM_AT + 2]
            .copy_from_slice(&checksum_after_ttl(checksum).to_le_bytes());
        headers[..8].copy_from_slice(&(packet.mac | egress.mac << 48).to_le_bytes());
        headers[8..12].copy_from_slice(&((egress.mac >> 16) as u32).to_le_bytes());
        // Padding is the sender's link's, and may hold what is nobody else's business.
        mbuf.truncate(packet.total_octets + ETHERNET_OCTETS as u16);
    }
    if gone {
        close_ranks(packets);
    }
}

/// Sends a packet that cannot go on as it is to the control thread.
#[cold]
fn leave(packet: &mut Packet, port: u16, mtu: u16, doors: &mut Doors) {
    let Some(mbuf) = packet.mbuf.take() else {
        return;
    };
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
    doors.punt(mbuf, port, packet.via, reason);
}
