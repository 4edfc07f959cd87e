//! A frame from anywhere: whatever every layer accepts, it writes back.
#![no_main]

use dataplane::wire::{arp, ethernet, icmp, ipv4, tcp, udp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
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
});
