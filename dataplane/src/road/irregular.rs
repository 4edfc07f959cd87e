//! What parse does not take straight: frames with options, for a group of hosts, for the control thread, or wrong. Every
//! check in the order in which the reasons are told apart; what passes all of them goes on as an ordinary packet does.

use super::OWN_MAC;
use super::header::{
    ETHERNET_OCTETS, HEADERS_OCTETS, Headers, PROTOCOL_AT, TTL_AT, VIRTUAL_MAC, VIRTUAL_MAC_BITS,
    VRRP, destination, destination_mac, fragment_bits, is_no_host, source, source_mac,
    total_octets,
};
use super::parse::via;
use super::punt::PuntReason;
use crate::counters::DiscardReason;
use crate::dpdk::Mbuf;
use crate::tables::{OwnAddresses, PortTable};
use crate::wire::checksum;

/// Where a frame goes.
#[derive(Debug)]
pub(super) enum Fate {
    Road {
        source: u32,
        destination: u32,
        total_octets: u16,
        via: u16,
    },
    Punt {
        via: u16,
        reason: PuntReason,
    },
    Discard(DiscardReason),
}

use Fate::Discard;

/// To whom a frame is addressed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    /// The port's own MAC, or that of a group on it: `via`.
    Router(u16),
    /// A broadcast or multicast MAC.
    Many,
}

const ICMP: u8 = 1;
const ICMP_INFORMATION_REQUEST: u8 = 15;
/// 224.0.0.18 (RFC 9568 section 5.1.1.2).
const VRRP_GROUP: u32 = 0xe000_0012;

/// Decides on a frame.
#[cold]
pub(super) fn examine(mbuf: &Mbuf, port: &PortTable, own: &OwnAddresses) -> Fate {
    if mbuf.is_chained() {
        return Discard(DiscardReason::Chained);
    }
    examine_frame(mbuf.data(), mbuf.is_tagged(), port, own)
}

/// The same, of a frame in one piece, from which the driver has taken a VLAN tag or not.
pub(super) fn examine_frame(
    data: &[u8],
    is_tagged: bool,
    port: &PortTable,
    own: &OwnAddresses,
) -> Fate {
    use DiscardReason as Reason;

    if data.len() < ETHERNET_OCTETS {
        return Discard(Reason::Runt);
    }
    // What is missing of a short frame reads as zero; its length is checked before that could matter.
    let mut headers: Headers = [0; HEADERS_OCTETS];
    let present = data.len().min(HEADERS_OCTETS);
    headers[..present].copy_from_slice(&data[..present]);

    let from = source_mac(&headers);
    // A master without load sharing may advertise from the virtual MAC, as the RFC has it; nothing else may come from it,
    // whoever it is for.
    if from & VIRTUAL_MAC_BITS == VIRTUAL_MAC
        && port.has_group((from >> 40) as u8)
        && !is_advertisement(&headers)
    {
        return Discard(Reason::VirtualSource);
    }
    let to = match recipient(destination_mac(&headers), port) {
        Some(to) => to,
        None => return Discard(Reason::NotForUs),
    };
    let via = match to {
        To::Router(via) => via,
        To::Many => OWN_MAC,
    };
    if from == port.mac {
        return Discard(Reason::OwnSource);
    }
    if from & 1 != 0 {
        return Discard(Reason::MulticastSource);
    }
    if is_tagged {
        return Discard(Reason::Vlan);
    }
    match u16::from_be_bytes([headers[12], headers[13]]) {
        0x0800 => {}
        0x0806 => {
            return Fate::Punt {
                via,
                reason: PuntReason::Arp,
            };
        }
        0x86dd => return Discard(Reason::Ipv6),
        0x8100 | 0x88a8 | 0x9100 => return Discard(Reason::Vlan),
        _ => return Discard(Reason::UnknownProtocol),
    }
    ipv4(data, &headers, to, via, own)
}

fn recipient(mac: u64, port: &PortTable) -> Option<To> {
    match via(mac, port) {
        Some(via) => Some(To::Router(via)),
        None if mac & 1 != 0 => Some(To::Many),
        None => None,
    }
}

fn is_advertisement(headers: &Headers) -> bool {
    headers[12..14] == [0x08, 0x00]
        && headers[PROTOCOL_AT] == VRRP
        && destination(headers) == VRRP_GROUP
}

fn ipv4(data: &[u8], headers: &Headers, to: To, via: u16, own: &OwnAddresses) -> Fate {
    use DiscardReason as Reason;

    let packet = &data[ETHERNET_OCTETS..];
    if packet.len() < HEADERS_OCTETS - ETHERNET_OCTETS {
        return Discard(Reason::ShortHeader);
    }
    if packet[0] >> 4 != 4 {
        return Discard(Reason::BadVersion);
    }
    let header_octets = usize::from(packet[0] & 0x0f) * 4;
    if header_octets < 20 || header_octets > packet.len() {
        return Discard(Reason::BadHeaderLength);
    }
    let total_octets = total_octets(headers);
    if usize::from(total_octets) < header_octets || usize::from(total_octets) > packet.len() {
        return Discard(Reason::BadTotalLength);
    }
    let (header, payload) = packet[..usize::from(total_octets)].split_at(header_octets);
    if checksum::of(header) != 0 {
        return Discard(Reason::BadChecksum);
    }
    let (source, destination) = (source(headers), destination(headers));
    let protocol = headers[PROTOCOL_AT];
    // What is on its way to another router's address is routed as anything else: it takes no place in the ring of VRRP.
    if protocol == VRRP
        && (destination == VRRP_GROUP || to != To::Many && own.contains(destination))
    {
        return Fate::Punt {
            via,
            reason: PuntReason::Vrrp,
        };
    }
    if protocol == ICMP
        && (source >> 24 == 0 || to == To::Many)
        && fragment_bits(headers) & 0x1fff == 0
        && payload.first() == Some(&ICMP_INFORMATION_REQUEST)
    {
        return Fate::Punt {
            via,
            reason: PuntReason::ForUs,
        };
    }
    if is_no_host(source) || own.contains(source) {
        return Discard(Reason::MartianSource);
    }
    match destination >> 24 {
        224..=239 => return Discard(Reason::Multicast),
        _ if destination == u32::MAX => return Discard(Reason::Broadcast),
        0 | 127 | 240.. => return Discard(Reason::MartianDestination),
        _ => {}
    }
    if to == To::Many {
        return Discard(Reason::UnicastInBroadcast);
    }
    if headers[TTL_AT] == 0 {
        return Discard(Reason::TtlZero);
    }
    match options(&header[20..]) {
        Ok(()) => Fate::Road {
            source,
            destination,
            total_octets,
            via,
        },
        Err(reason) => Discard(reason),
    }
}

/// Whether a router forwards a packet with these options.
fn options(mut options: &[u8]) -> Result<(), DiscardReason> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    loop {
        options = match *options {
            [] | [END, ..] => return Ok(()),
            [NO_OPERATION, ..] => &options[1..],
            [LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE, ..] => {
                return Err(DiscardReason::SourceRoute);
            }
            [_, length, ..] if length >= 2 => options
                .get(usize::from(length)..)
                .ok_or(DiscardReason::BadOption)?,
            _ => return Err(DiscardReason::BadOption),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::addr::MacAddr;

    /// A packet of VRRP to `to` in a frame for the MAC `mac`.
    fn vrrp(mac: MacAddr, to: Ipv4Addr) -> Fate {
        let mut frame = [0; 60];
        frame[..6].copy_from_slice(&mac.0);
        frame[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 8, 0]);
        let ip = &mut frame[ETHERNET_OCTETS..HEADERS_OCTETS];
        ip[..4].copy_from_slice(&[0x45, 0, 0, 46]);
        ip[8..10].copy_from_slice(&[64, VRRP]);
        ip[12..16].copy_from_slice(&[192, 0, 2, 7]);
        ip[16..].copy_from_slice(&to.octets());
        let sum = checksum::of(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let own = OwnAddresses::from_iter([Ipv4Addr::new(192, 0, 2, 1)]);
        examine_frame(&frame, false, &PortTable::new(OWN, 1500), &own)
    }

    const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xaa]);

    #[test]
    fn vrrp_is_for_the_control_thread_if_it_is_for_this_router_and_routed_if_for_another() {
        let group = Ipv4Addr::from_bits(VRRP_GROUP);
        let multicast = MacAddr([1, 0, 0x5e, 0, 0, 18]);
        for (mac, to) in [
            (multicast, group),
            (OWN, group),
            (OWN, Ipv4Addr::new(192, 0, 2, 1)),
        ] {
            let fate = vrrp(mac, to);
            let is_punted = matches!(
                fate,
                Fate::Punt {
                    reason: PuntReason::Vrrp,
                    ..
                }
            );
            assert!(is_punted, "{to}: {fate:?}");
        }
        let fate = vrrp(OWN, Ipv4Addr::new(198, 51, 100, 9));
        assert!(matches!(fate, Fate::Road { .. }), "{fate:?}");
    }

    #[test]
    fn only_source_routes_and_broken_options_stop_a_packet() {
        for (octets, verdict) in [
            (&[][..], Ok(())),
            (&[1, 1, 1, 0], Ok(())),
            (&[7, 7, 4, 0, 0, 0, 0, 0], Ok(())),
            (&[148, 4, 0, 0], Ok(())),
            (&[0, 131, 3, 4], Ok(())),
            (&[1, 131, 3, 4], Err(DiscardReason::SourceRoute)),
            (&[137, 7, 4, 0, 0, 0, 0, 0], Err(DiscardReason::SourceRoute)),
            (&[7, 1, 0, 0], Err(DiscardReason::BadOption)),
            (&[7, 0, 0, 0], Err(DiscardReason::BadOption)),
            (&[7, 5, 0, 0], Err(DiscardReason::BadOption)),
            (&[1, 1, 1, 7], Err(DiscardReason::BadOption)),
        ] {
            assert_eq!(options(octets), verdict, "{octets:?}");
        }
    }
}
