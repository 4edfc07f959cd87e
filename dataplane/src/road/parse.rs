//! Station 2: which frames are ordinary IPv4 packets to be routed. Whatever is not is looked at again, thoroughly, in
//! `irregular.rs`.

use super::header::{
    ETHERNET_OCTETS, HEADERS_OCTETS, MAC_BITS, PROTOCOL_AT, TTL_AT, VIRTUAL_MAC, VIRTUAL_MAC_BITS,
    checksum_is_right, destination, is_no_host, mac_octets, source, source_mac_octets,
    total_octets, type_octets,
};
use super::irregular::{Fate, examine};
use super::{Doors, NO_CONDITION, OWN_MAC, Packet, Packets};
use crate::dpdk::{Burst, Mbuf};
use crate::tables::{PortTable, Tables};

pub(super) const VRRP: u8 = 112;

/// Moves the frames of `burst`, received on `port`, onto the road or through a door.
#[inline]
pub(crate) fn parse(
    burst: &mut Burst,
    port_index: u16,
    tables: &Tables,
    packets: &mut Packets,
    doors: &mut Doors,
) {
    let Some(port) = tables.ports.get(usize::from(port_index)) else {
        return;
    };
    for mbuf in burst.drain() {
        let (source, destination, total_octets, via) = match ordinary(&mbuf, port, tables) {
            Some(ordinary) => ordinary,
            None => match examine(&mbuf, port, tables) {
                Fate::Road {
                    source,
                    destination,
                    total_octets,
                    via,
                } => (source, destination, total_octets, via),
                Fate::Punt { via, reason } => {
                    doors.punt(mbuf, port_index, via, reason);
                    continue;
                }
                Fate::Discard(reason) => {
                    doors.discard(mbuf, reason);
                    continue;
                }
            },
        };
        let packet = Packet {
            mbuf: Some(mbuf),
            mac: 0,
            source,
            destination,
            condition: NO_CONDITION,
            total_octets,
            via,
            hop: 0,
            egress: 0,
        };
        // A burst fits, as both have the same capacity.
        if let Err(full) = packets.try_push(packet) {
            drop(full);
        }
    }
}

/// Source, destination, total length and VRID of a packet that nothing speaks against. One branch decides: the
/// conditions are computed side by side.
#[inline(always)]
fn ordinary(mbuf: &Mbuf, port: &PortTable, tables: &Tables) -> Option<(u32, u32, u16, u16)> {
    let data = mbuf.data();
    let headers = data.first_chunk::<HEADERS_OCTETS>()?;
    let to = mac_octets(headers) & MAC_BITS;
    let from = source_mac_octets(headers) & MAC_BITS;
    let (source, destination, total) =
        (source(headers), destination(headers), total_octets(headers));

    let vrid = (to >> 40) as u8;
    let to_own = to == port.mac;
    let to_group = (to & VIRTUAL_MAC_BITS == VIRTUAL_MAC) & port.has_group(vrid);
    let from_station =
        (from != port.mac) & (from & VIRTUAL_MAC_BITS != VIRTUAL_MAC) & (from & 1 == 0);
    // IPv4 without options: 08 00 45, whatever the type of service.
    let plain_ipv4 = type_octets(headers) & 0x00ff_ffff == 0x0045_0008;
    let length_fits = (total >= 20) & (usize::from(total) + ETHERNET_OCTETS <= data.len());
    let goes_on = (headers[TTL_AT] > 1) & (headers[PROTOCOL_AT] != VRRP);
    let between_hosts =
        !is_no_host(source) & !is_no_host(destination) & !tables.own.may_contain(source);

    let ordinary = (to_own | to_group)
        & from_station
        & plain_ipv4
        & length_fits
        & goes_on
        & between_hosts
        & checksum_is_right(headers)
        & mbuf.is_plain();
    ordinary.then(|| {
        (
            source,
            destination,
            total,
            if to_own { OWN_MAC } else { u16::from(vrid) },
        )
    })
}
