//! VRRP packets in and out of Ethernet frames. What they say is the business of [`vrrpd`].

use std::net::{IpAddr, Ipv4Addr};

use dataplane::addr::MacAddr;
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::ipv4::{Ipv4Error, Packet, Protocol};
use vrrpd::Received;
use vrrpd::wire::TTL;

use crate::control::host::Originated;

/// Internetwork control (CS6), in which routers speak to each other (RFC 4594 section 3.2).
const TRAFFIC_CLASS: u8 = 0xc0;

/// The VRRP packet in `frame`, or `None` if there is no whole one: another protocol, a fragment, a damaged header.
pub(super) fn read(frame: &[u8]) -> Option<Received<'_>> {
    let frame = Frame::parse(frame).ok()?;
    if frame.ether_type != EtherType::IPV4 {
        return None;
    }
    let packet = Packet::parse(frame.payload).ok()?;
    if packet.protocol != Protocol::VRRP || packet.is_fragment() {
        return None;
    }
    Some(Received {
        src: IpAddr::V4(packet.source),
        dst: IpAddr::V4(packet.destination),
        ttl: packet.ttl,
        payload: packet.payload,
    })
}

/// The frame from `mac` that brings `payload` to the multicast group `destination`.
///
/// # Errors
///
/// The payload is longer than an IPv4 packet can be.
pub(super) fn multicast(
    mac: MacAddr,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: &[u8],
) -> Result<Vec<u8>, Ipv4Error> {
    let link = (mac, MacAddr::multicast_v4(destination));
    frame(link, TRAFFIC_CLASS, (source, destination), payload)
}

/// The frame from `mac` that brings a message about load sharing to every router of a group. It travels as the traffic
/// does: to the virtual MAC, and in the traffic's class, so that no switch lets it overtake data.
///
/// # Errors
///
/// The payload is longer than an IPv4 packet can be.
pub(super) fn to_group(
    mac: MacAddr,
    vrid: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: &[u8],
) -> Result<Vec<u8>, Ipv4Error> {
    let link = (mac, MacAddr::virtual_v4(vrid));
    frame(link, 0, (source, destination), payload)
}

/// The frame between two link addresses with a VRRP packet between two others.
fn frame(
    (from, to): (MacAddr, MacAddr),
    traffic_class: u8,
    (source, destination): (Ipv4Addr, Ipv4Addr),
    payload: &[u8],
) -> Result<Vec<u8>, Ipv4Error> {
    let packet = Packet {
        traffic_class,
        // A packet that is never cut needs no number (RFC 6864 section 4.1).
        identification: 0,
        reserved_flag: false,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset_octets: 0,
        ttl: TTL,
        protocol: Protocol::VRRP,
        source,
        destination,
        options: &[],
        payload,
    };
    let mut octets = Vec::with_capacity(packet.total_octets());
    packet.emit(&mut octets)?;
    let mut frame = Vec::new();
    Frame {
        destination: to,
        source: from,
        ether_type: EtherType::IPV4,
        payload: &octets,
    }
    .emit(&mut frame);
    Ok(frame)
}

/// The packet that brings `payload` to a unicast peer.
pub(super) fn unicast(source: Ipv4Addr, destination: Ipv4Addr, payload: Vec<u8>) -> Originated {
    Originated {
        traffic_class: TRAFFIC_CLASS,
        ttl: TTL,
        protocol: Protocol::VRRP,
        source: Some(source),
        destination,
        payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrpd::wire::GROUP_IPV4;

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    fn advertisement(payload: &[u8]) -> Vec<u8> {
        multicast(MAC, LOCAL, GROUP_IPV4, payload).unwrap()
    }

    #[test]
    fn an_advertisement_goes_to_the_groups_mac_with_ttl_255_as_internetwork_control() {
        #[rustfmt::skip]
        let expected = [
            0x01, 0x00, 0x5e, 0x00, 0x00, 0x12, 2, 0, 0, 0, 0, 1, 0x08, 0x00,
            0x45, 0xc0, 0, 23, 0, 0, 0x40, 0, 255, 112, 0xd8, 0xa1, 192, 0, 2, 2, 224, 0, 0, 18,
            7, 8, 9,
        ];
        assert_eq!(advertisement(&[7, 8, 9]), expected);
    }

    #[test]
    fn a_message_about_load_sharing_travels_as_the_traffic_does() {
        let group = Ipv4Addr::new(192, 0, 2, 1);
        let sent = to_group(MAC, 7, LOCAL, group, &[7, 8, 9]).unwrap();
        let sent = Frame::parse(&sent).unwrap();
        assert_eq!(sent.destination, MacAddr([0, 0, 0x5e, 0, 1, 7]));
        assert_eq!(sent.source, MAC);
        let packet = Packet::parse(sent.payload).unwrap();
        assert_eq!((packet.traffic_class, packet.ttl), (0, 255));
        assert_eq!((packet.source, packet.destination), (LOCAL, group));
        assert_eq!(packet.payload, [7, 8, 9]);
    }

    #[test]
    fn link_padding_is_no_part_of_what_is_read() {
        let mut padded = advertisement(&[1, 2, 3]);
        padded.resize(60, 0xee);
        let received = read(&padded).unwrap();
        assert_eq!(received.payload, [1, 2, 3]);
        assert_eq!((received.src, received.ttl), (LOCAL.into(), 255));
        assert_eq!(received.dst, IpAddr::V4(GROUP_IPV4));
    }

    #[test]
    fn other_protocols_fragments_and_cut_frames_are_not_read() {
        let good = advertisement(&[1, 2, 3]);
        for octets in 0..good.len() {
            assert!(read(&good[..octets]).is_none(), "{octets} octets");
        }
        let emitted = |change: fn(&mut Packet<'_>)| {
            let parsed = Frame::parse(&good).unwrap();
            let mut packet = Packet::parse(parsed.payload).unwrap();
            change(&mut packet);
            let mut octets = Vec::new();
            packet.emit(&mut octets).unwrap();
            let mut out = Vec::new();
            Frame {
                payload: &octets,
                ..parsed
            }
            .emit(&mut out);
            out
        };
        assert!(read(&emitted(|_| {})).is_some());
        assert!(read(&emitted(|packet| packet.protocol = Protocol::UDP)).is_none());
        assert!(read(&emitted(|packet| packet.more_fragments = true)).is_none());
        assert!(read(&emitted(|packet| packet.fragment_offset_octets = 8)).is_none());
        let mut arp = good.clone();
        arp[13] = 6;
        assert!(read(&arp).is_none());
    }
}
