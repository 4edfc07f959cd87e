use dataplane::addr::Ipv4Prefix;
use proptest::prelude::*;

use super::*;

const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const VIRTUAL_MAC: MacAddr = MacAddr::virtual_v4(7);
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 77);

fn port() -> Port {
    Port {
        index: 3,
        mac: OWN_MAC,
        mtu_octets: 1500,
        addresses: vec![Ipv4Prefix::new(OWN, 24).unwrap()],
        further_networks: Vec::new(),
    }
}

fn group(is_master: bool) -> Virtual {
    Virtual {
        port: 3,
        vrid: 7,
        addresses: vec![VIRTUAL],
        is_master,
        accepts: false,
        sends_from_virtual_mac: false,
    }
}

fn ask(target: Ipv4Addr) -> Packet {
    Packet {
        operation: Operation::Request,
        sender_mac: PEER_MAC,
        sender: PEER,
        target_mac: MacAddr::ZERO,
        target,
    }
}

/// What `packet` means when it comes from its sender to `destination`, and what was counted.
fn heard(groups: &[Virtual], destination: MacAddr, packet: &Packet) -> (Received, ArpCounters) {
    let octets = framed(packet.sender_mac, destination, packet);
    let frame = Frame::parse(&octets).unwrap();
    let mut counters = ArpCounters::default();
    let received = receive(&port(), groups, &frame, &mut counters);
    (received, counters)
}

fn answer_to(groups: &[Virtual], packet: &Packet) -> Option<(MacAddr, MacAddr, Packet)> {
    let (received, counters) = heard(groups, MacAddr::BROADCAST, packet);
    assert_eq!(counters.answers_sent, u64::from(received.answer.is_some()));
    received.answer.map(|octets| read(&octets))
}

/// Ethernet source and destination, and the packet.
fn read(octets: &[u8]) -> (MacAddr, MacAddr, Packet) {
    let frame = Frame::parse(octets).unwrap();
    assert_eq!(frame.ether_type, EtherType::ARP);
    (
        frame.source,
        frame.destination,
        Packet::parse(frame.payload).unwrap(),
    )
}

#[test]
fn a_request_for_an_own_address_is_answered_with_the_own_mac() {
    let (source, destination, reply) = answer_to(&[], &ask(OWN)).unwrap();
    assert_eq!((source, destination), (OWN_MAC, PEER_MAC));
    assert_eq!(
        reply,
        Packet {
            operation: Operation::Reply,
            sender_mac: OWN_MAC,
            sender: OWN,
            target_mac: PEER_MAC,
            target: PEER,
        }
    );
}

#[test]
fn the_master_answers_for_the_virtual_address_with_the_virtual_mac_in_a_frame_of_its_own() {
    let (source, _, reply) = answer_to(&[group(true)], &ask(VIRTUAL)).unwrap();
    assert_eq!(source, OWN_MAC);
    assert_eq!((reply.sender, reply.sender_mac), (VIRTUAL, VIRTUAL_MAC));
}

#[test]
fn source_mac_virtual_puts_the_virtual_mac_on_the_frame_too() {
    let group = Virtual {
        sends_from_virtual_mac: true,
        ..group(true)
    };
    let (source, _, reply) = answer_to(std::slice::from_ref(&group), &ask(VIRTUAL)).unwrap();
    assert_eq!((source, reply.sender_mac), (VIRTUAL_MAC, VIRTUAL_MAC));
    let (source, _, reply) = answer_to(std::slice::from_ref(&group), &ask(OWN)).unwrap();
    assert_eq!((source, reply.sender_mac), (OWN_MAC, OWN_MAC));
    let (source, ..) = read(&announcement(&port(), &group, VIRTUAL));
    assert_eq!(source, VIRTUAL_MAC);
}

#[test]
fn a_backup_does_not_answer_for_the_virtual_address_but_learns_who_will_use_it() {
    let (received, counters) = heard(&[group(false)], MacAddr::BROADCAST, &ask(VIRTUAL));
    assert_eq!(received.answer, None);
    assert_eq!(
        received.neighbour,
        Some((PEER, PEER_MAC, Evidence::Question))
    );
    assert_eq!(counters.requests_for_master, 1);
}

#[test]
fn a_virtual_address_is_answered_for_on_its_own_port_only() {
    let group = Virtual {
        port: 4,
        ..group(true)
    };
    assert_eq!(answer_to(&[group], &ask(VIRTUAL)), None);
}

#[test]
fn the_owner_of_the_virtual_address_speaks_for_it_as_master_alone() {
    let owned = |is_master| Virtual {
        addresses: vec![OWN],
        ..group(is_master)
    };
    let (_, _, reply) = answer_to(&[owned(true)], &ask(OWN)).unwrap();
    assert_eq!(reply.sender_mac, VIRTUAL_MAC);
    assert_eq!(answer_to(&[owned(false)], &ask(OWN)), None);
    let (source, _, asked) = read(&request(&port(), &[owned(true)], PEER, None));
    assert_eq!(
        (source, asked.sender, asked.sender_mac),
        (OWN_MAC, OWN, VIRTUAL_MAC)
    );
    let (_, _, asked) = read(&request(&port(), &[owned(false)], PEER, None));
    assert_eq!(
        (asked.sender, asked.sender_mac),
        (Ipv4Addr::UNSPECIFIED, OWN_MAC)
    );
}

#[test]
fn a_request_for_somebody_else_only_mentions_its_sender() {
    let (received, counters) = heard(&[], MacAddr::BROADCAST, &ask(STRANGER));
    assert_eq!(
        received.neighbour,
        Some((PEER, PEER_MAC, Evidence::Mention))
    );
    assert_eq!(received.answer, None);
    assert_eq!(counters.requests_for_others, 1);
}

#[test]
fn a_reply_to_this_router_is_an_answer_and_any_other_a_mention() {
    let reply = |target| Packet {
        operation: Operation::Reply,
        target_mac: OWN_MAC,
        ..ask(target)
    };
    for (destination, target, evidence) in [
        (OWN_MAC, OWN, Evidence::Answer),
        (OWN_MAC, Ipv4Addr::UNSPECIFIED, Evidence::Answer),
        (MacAddr::BROADCAST, Ipv4Addr::UNSPECIFIED, Evidence::Mention),
        (MacAddr::BROADCAST, PEER, Evidence::Mention),
        (OWN_MAC, STRANGER, Evidence::Mention),
    ] {
        let (received, _) = heard(&[], destination, &reply(target));
        assert_eq!(received.neighbour, Some((PEER, PEER_MAC, evidence)));
        assert_eq!(received.answer, None);
    }
}

#[test]
fn a_probe_is_answered_and_nothing_learned_from_it() {
    let probe = Packet {
        sender: Ipv4Addr::UNSPECIFIED,
        ..ask(OWN)
    };
    let (received, _) = heard(&[], MacAddr::BROADCAST, &probe);
    assert!(received.answer.is_some());
    assert_eq!(received.neighbour, None);
}

#[test]
fn another_master_that_speaks_as_the_virtual_address_is_answered_and_no_neighbour() {
    let question = Packet {
        sender: VIRTUAL,
        sender_mac: VIRTUAL_MAC,
        ..ask(OWN)
    };
    let (received, counters) = heard(&[group(false)], MacAddr::BROADCAST, &question);
    let (_, destination, _) = read(&received.answer.unwrap());
    assert_eq!(destination, VIRTUAL_MAC);
    assert_eq!(received.neighbour, None);
    assert_eq!(counters.conflicts, 0);
}

#[test]
fn who_claims_an_address_of_this_router_is_reported_and_not_believed() {
    for address in [OWN, VIRTUAL] {
        let claim = Packet {
            sender: address,
            ..ask(address)
        };
        let (received, counters) = heard(&[group(true)], MacAddr::BROADCAST, &claim);
        let conflict = Conflict {
            address,
            mac: PEER_MAC,
        };
        assert_eq!(
            received,
            Received {
                conflict: Some(conflict),
                ..Received::default()
            }
        );
        assert_eq!(counters.conflicts, 1);
    }
}

#[test]
fn each_packet_that_is_refused_counts_under_its_reason_alone() {
    let from = |sender: [u8; 4]| Packet {
        sender: sender.into(),
        ..ask(OWN)
    };
    let at = |sender_mac| Packet {
        sender_mac,
        ..ask(OWN)
    };
    for (packet, name) in [
        (from([127, 0, 0, 1]), "arp-sender-martian"),
        (from([224, 0, 0, 1]), "arp-sender-martian"),
        (from([255, 255, 255, 255]), "arp-sender-martian"),
        (from([192, 0, 2, 0]), "arp-sender-martian"),
        (from([192, 0, 2, 255]), "arp-sender-martian"),
        (from([198, 51, 100, 1]), "arp-sender-off-link"),
        (at(MacAddr::BROADCAST), "arp-sender-mac"),
        (at(MacAddr::multicast_v4(STRANGER)), "arp-sender-mac"),
        (at(MacAddr::ZERO), "arp-sender-mac"),
        (at(OWN_MAC), "arp-looped"),
    ] {
        let (received, counters) = heard(&[], MacAddr::BROADCAST, &packet);
        assert_eq!(received, Received::default());
        let moved: Vec<_> = counters.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(moved, [(name, 1)], "{packet:?}");
    }
    let reflected = framed(PEER_MAC, MacAddr::BROADCAST, &at(OWN_MAC));
    let mut counters = ArpCounters::default();
    let frame = Frame::parse(&reflected).unwrap();
    let received = receive(&port(), &[], &frame, &mut counters);
    assert_eq!((received, counters.looped), (Received::default(), 1));
    for (at, octet, name) in [
        (15, 6, "arp-hardware"),
        (16, 0x86, "arp-protocol"),
        (21, 9, "arp-operation"),
    ] {
        let mut octets = framed(PEER_MAC, OWN_MAC, &ask(OWN));
        octets[at] = octet;
        let mut counters = ArpCounters::default();
        let _ = receive(&port(), &[], &Frame::parse(&octets).unwrap(), &mut counters);
        let moved: Vec<_> = counters.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(moved, [(name, 1)]);
    }
}

#[test]
fn a_request_goes_to_everyone_or_to_the_neighbour_alone() {
    let (source, destination, asked) = read(&request(&port(), &[], PEER, None));
    assert_eq!((source, destination), (OWN_MAC, MacAddr::BROADCAST));
    assert_eq!(
        asked,
        Packet {
            operation: Operation::Request,
            sender_mac: OWN_MAC,
            sender: OWN,
            target_mac: MacAddr::ZERO,
            target: PEER,
        }
    );
    let (_, destination, _) = read(&request(&port(), &[], PEER, Some(PEER_MAC)));
    assert_eq!(destination, PEER_MAC);
}

#[test]
fn an_announcement_tells_everyone_the_virtual_mac_in_a_frame_of_the_ports_own() {
    let (source, destination, packet) = read(&announcement(&port(), &group(true), VIRTUAL));
    assert_eq!((source, destination), (OWN_MAC, MacAddr::BROADCAST));
    assert_eq!(packet.operation, Operation::Request);
    assert_eq!((packet.sender, packet.target), (VIRTUAL, VIRTUAL));
    assert_eq!(packet.sender_mac, VIRTUAL_MAC);
}

proptest! {
    #[test]
    fn random_packets_never_panic_and_no_frame_leaves_from_the_virtual_mac(
        octets in prop::collection::vec(any::<u8>(), 0..64),
        header: bool,
    ) {
        let mut octets = octets;
        if header && let Some(start) = octets.first_chunk_mut::<8>() {
            start.copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        }
        let frame = Frame {
            destination: MacAddr::BROADCAST,
            source: PEER_MAC,
            ether_type: EtherType::ARP,
            payload: &octets,
        };
        let mut counters = ArpCounters::default();
        let received = receive(&port(), &[group(true)], &frame, &mut counters);
        if let Some(answer) = received.answer {
            prop_assert_eq!(read(&answer).0, OWN_MAC);
        }
        prop_assert!(counters.iter().any(|(_, count)| count > 0));
    }
}
