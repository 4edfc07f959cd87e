//! Frames: their decoders, and the router's own host, which hears them.

use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::addr::{Ipv4Prefix, MacAddr};
use dataplane::wire::{arp, ethernet, icmp, ipv4, tcp, udp};
use manifold::control::host::{
    HostConfig, HostStack, Output, Port, PortIndex, Route, Routes, Virtual,
};
use vrrpd::Time;

/// A frame from anywhere: whatever every layer accepts, it writes back.
pub(crate) fn frame(octets: &[u8]) {
    if let Ok(packet) = arp::Packet::parse(octets) {
        let mut again = Vec::new();
        packet.emit(&mut again);
        assert!(octets.starts_with(&again));
    }
    if let Ok(frame) = ethernet::Frame::parse(octets) {
        let mut again = Vec::new();
        frame.emit(&mut again);
        assert_eq!(again, octets);
    }
    // The packet is tried from the first octet on, so that a fuzzer need not find an Ethernet header first.
    if let Ok(packet) = ipv4::Packet::parse(octets) {
        let mut again = Vec::new();
        packet
            .emit(&mut again)
            .expect("an accepted packet is not too long");
        // Not the octets are compared: of a checksum's two zeros only one is written.
        assert_eq!(ipv4::Packet::parse(&again), Ok(packet));
        let _ = icmp::Message::parse(packet.payload);
        let _ = udp::Datagram::parse(packet.payload, packet.source, packet.destination);
        let _ = tcp::Segment::parse(packet.payload, packet.source, packet.destination);
    }
}

/// A connected network on each of two ports, everything else behind a gateway.
struct Table;

impl Routes for Table {
    fn route(&self, destination: Ipv4Addr) -> Option<Route> {
        match destination.octets() {
            [192, 0, 2, 1] | [198, 51, 100, 1] => Some(Route::Local),
            [192, 0, 2, 255] => Some(Route::Broadcast),
            [192, 0, 2, _] => Some(Route::Connected { port: 0 }),
            [198, 51, 100, _] => Some(Route::Connected { port: 1 }),
            [10, ..] => Some(Route::Unreachable),
            [172, ..] => None,
            _ => Some(Route::Gateway {
                port: 1,
                address: Ipv4Addr::new(198, 51, 100, 2),
            }),
        }
    }
}

/// The host's stack under any sequence of frames and delays: no panic, no queue without bound, no entry in the past, and what
/// it sends can be read. A run is a list of frames, each behind its length and the port and time of its arrival.
pub(crate) fn host(octets: &[u8]) {
    let mut stack: HostStack<Vec<u8>> = HostStack::new(HostConfig::default());
    let port = |index: PortIndex, address, mtu_octets| Port {
        index,
        mac: MacAddr([2, 0, 0, 0, 0, index as u8 + 1]),
        mtu_octets,
        addresses: Ipv4Prefix::new(address, 24).into_iter().collect(),
        further_networks: Vec::new(),
    };
    stack.set_ports([
        port(0, Ipv4Addr::new(192, 0, 2, 1), 1500),
        port(1, Ipv4Addr::new(198, 51, 100, 1), 600),
    ]);
    stack.set_virtuals(vec![Virtual {
        port: 0,
        vrid: 7,
        addresses: vec![Ipv4Addr::new(192, 0, 2, 254)],
        is_master: true,
        accepts: true,
        sends_from_virtual_mac: false,
    }]);
    let mut now = Time::ZERO;
    let mut rest = octets;
    while let Some(([length, arrival], behind)) = rest.split_first_chunk::<2>() {
        let (frame, behind) = behind.split_at(behind.len().min(usize::from(*length) * 2));
        rest = behind;
        now = now + Duration::from_millis(u64::from(arrival >> 1) * 20);
        stack.tick(now, &Table);
        stack.on_punt(now, &Table, u16::from(arrival & 1), frame.to_vec());
        let mut outputs = 0;
        while let Some(output) = stack.poll_output() {
            outputs += 1;
            assert!(outputs <= 8192, "an entry without end");
            if let Output::Transmit { frame, .. } = output {
                ethernet::Frame::parse(&frame).expect("what is sent can be read");
            }
        }
        assert!(
            stack.poll_timeout().is_none_or(|at| at >= now),
            "asks for an entry in the past"
        );
    }
}
