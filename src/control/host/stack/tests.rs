use std::time::Duration;

use dataplane::addr::Ipv4Prefix;
use dataplane::wire::arp::{Operation, Packet as Arp};
use dataplane::wire::icmp::{Message, Type};
use dataplane::wire::ipv4::Protocol;
use dataplane::wire::udp::Datagram;
use proptest::prelude::*;

use super::super::driver::Route;
use super::super::fragment;
use super::super::pending::PendingLimits;
use super::*;

const LAN: PortIndex = 0;
const WAN: PortIndex = 1;
const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);
const LAN_OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const WAN_OWN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 5);
const UNREACHABLE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const BLACKHOLE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

/// Two connected networks and a server behind a gateway.
struct Table;

impl Routes for Table {
    fn route(&self, destination: Ipv4Addr) -> Option<Route> {
        match destination.octets() {
            _ if destination == LAN_OWN || destination == WAN_OWN => Some(Route::Local),
            [192, 0, 2, 255] => Some(Route::Broadcast),
            [192, 0, 2, _] => Some(Route::Connected { port: LAN }),
            [198, 51, 100, _] => Some(Route::Connected { port: WAN }),
            [203, 0, 113, _] => Some(Route::Gateway {
                port: WAN,
                address: GATEWAY,
            }),
            _ if destination == UNREACHABLE => Some(Route::Unreachable),
            _ if destination == BLACKHOLE => Some(Route::Blackhole),
            _ => None,
        }
    }
}

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn router_with(config: HostConfig) -> HostStack<Vec<u8>> {
    let port = |index, mac, own, mtu_octets| Port {
        index,
        mac,
        mtu_octets,
        addresses: vec![Ipv4Prefix::new(own, 24).unwrap()],
        further_networks: Vec::new(),
    };
    let mut router = HostStack::new(config);
    router.set_ports([
        port(LAN, LAN_MAC, LAN_OWN, 1500),
        port(WAN, WAN_MAC, WAN_OWN, 600),
    ]);
    router.set_virtuals(vec![Virtual {
        port: LAN,
        vrid: 7,
        addresses: vec![VIRTUAL],
        is_master: true,
        accepts: true,
        sends_from_virtual_mac: false,
    }]);
    router
}

/// A router that knows the host and the gateway.
fn router() -> HostStack<Vec<u8>> {
    let mut router = router_with(HostConfig::default());
    for (port, address, mac) in [(LAN, HOST, HOST_MAC), (WAN, GATEWAY, GATEWAY_MAC)] {
        router.resolve(at(0), port, address);
        router.on_punt(at(0), &Table, port, arp_reply(port, address, mac));
    }
    outputs(&mut router);
    router.clear_counters();
    router
}

fn arp_reply(port: PortIndex, sender: Ipv4Addr, sender_mac: MacAddr) -> Vec<u8> {
    let (target, target_mac) = match port {
        LAN => (LAN_OWN, LAN_MAC),
        _ => (WAN_OWN, WAN_MAC),
    };
    let mut payload = Vec::new();
    Arp {
        operation: Operation::Reply,
        sender_mac,
        sender,
        target_mac,
        target,
    }
    .emit(&mut payload);
    framed(target_mac, sender_mac, EtherType::ARP, &payload)
}

fn framed(destination: MacAddr, source: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Frame {
        destination,
        source,
        ether_type,
        payload,
    }
    .emit(&mut frame);
    frame
}

/// A UDP datagram of the host's.
fn datagram(destination: Ipv4Addr, octets: usize) -> Vec<u8> {
    let mut udp = Vec::new();
    Datagram {
        source_port: 5000,
        destination_port: 5001,
        has_checksum: true,
        payload: &vec![7; octets],
    }
    .emit(HOST, destination, &mut udp)
    .unwrap();
    udp
}

fn packet(destination: Ipv4Addr, payload: &[u8]) -> Packet<'_> {
    Packet {
        traffic_class: 0,
        identification: 99,
        reserved_flag: false,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset_octets: 0,
        ttl: 64,
        protocol: Protocol::UDP,
        source: HOST,
        destination,
        options: &[],
        payload,
    }
}

fn from_host(packet: &Packet<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    packet.emit(&mut octets).unwrap();
    framed(LAN_MAC, HOST_MAC, EtherType::IPV4, &octets)
}

fn outputs(router: &mut HostStack<Vec<u8>>) -> Vec<Output<Vec<u8>>> {
    std::iter::from_fn(|| router.poll_output()).collect()
}

/// What comes of a frame from the host.
fn punted(router: &mut HostStack<Vec<u8>>, now: Time, frame: Vec<u8>) -> Vec<Output<Vec<u8>>> {
    router.on_punt(now, &Table, LAN, frame);
    outputs(router)
}

/// Ticks whenever the router wants it until `end`.
fn run(router: &mut HostStack<Vec<u8>>, end: Time) -> Vec<Output<Vec<u8>>> {
    let mut seen = Vec::new();
    while let Some(next) = router.poll_timeout().filter(|next| *next <= end) {
        router.tick(next, &Table);
        seen.extend(outputs(router));
    }
    seen
}

/// The one frame that was sent to the host, checked down to the ICMP message: source, type, code, rest, quote.
fn icmp_to_host(outputs: &[Output<Vec<u8>>]) -> (Ipv4Addr, Type, u8, [u8; 4], Vec<u8>) {
    let [Output::Transmit { port: LAN, frame }] = outputs else {
        panic!("{outputs:?}");
    };
    let frame = Frame::parse(frame).unwrap();
    assert_eq!((frame.destination, frame.source), (HOST_MAC, LAN_MAC));
    let packet = Packet::parse(frame.payload).unwrap();
    assert_eq!(
        (packet.protocol, packet.destination),
        (Protocol::ICMP, HOST)
    );
    let message = Message::parse(packet.payload).unwrap();
    (
        packet.source,
        message.kind,
        message.code,
        message.rest,
        message.payload.to_vec(),
    )
}

/// The counters that moved.
fn moved(router: &HostStack<Vec<u8>>) -> Vec<(&'static str, u64)> {
    router
        .counters()
        .iter()
        .filter(|(_, count)| *count > 0)
        .collect()
}

#[test]
fn a_packet_waits_for_the_gateway_and_goes_on_rewritten() {
    let mut router = router_with(HostConfig::default());
    let udp = datagram(SERVER, 100);
    let sent = from_host(&packet(SERVER, &udp));
    let asked = punted(&mut router, at(1), sent);
    let [Output::Transmit { port: WAN, frame }] = asked.as_slice() else {
        panic!("{asked:?}");
    };
    let question = Arp::parse(Frame::parse(frame).unwrap().payload).unwrap();
    assert_eq!((question.target, question.sender), (GATEWAY, WAN_OWN));

    router.on_punt(at(1), &Table, WAN, arp_reply(WAN, GATEWAY, GATEWAY_MAC));
    let aged = Packet {
        ttl: 63,
        ..packet(SERVER, &udp)
    };
    let mut octets = Vec::new();
    aged.emit(&mut octets).unwrap();
    assert_eq!(
        outputs(&mut router),
        [
            Output::Answered {
                port: WAN,
                address: GATEWAY,
            },
            Output::Forward {
                port: WAN,
                packet: framed(GATEWAY_MAC, WAN_MAC, EtherType::IPV4, &octets),
            },
            Output::SetNeighbour {
                port: WAN,
                address: GATEWAY,
                mac: Some(GATEWAY_MAC),
            },
        ]
    );
    assert_eq!(router.packets_waiting(), 0);
}

#[test]
fn a_neighbour_that_never_answers_is_reported_to_each_sender() {
    let mut router = router();
    let silent = Ipv4Addr::new(192, 0, 2, 66);
    let udp = datagram(silent, 10);
    let sent = from_host(&packet(silent, &udp));
    punted(&mut router, at(1), sent.clone());
    let seen = run(&mut router, at(4));
    assert_eq!(
        seen.len(),
        4,
        "two more requests, word for the workers and the error: {seen:?}"
    );
    let settled = Output::Settled {
        port: LAN,
        address: silent,
    };
    assert_eq!(seen[2], settled);
    let (source, kind, code, _, quote) = icmp_to_host(&seen[3..]);
    assert_eq!((source, kind, code), (LAN_OWN, Type::UNREACHABLE, 1));
    assert_eq!(quote, &sent[14..]);
    let (_, _, code, ..) = icmp_to_host(&punted(&mut router, at(5), sent));
    assert_eq!(code, 1);
    assert_eq!(router.counters().packets.neighbour_unreachable, 2);
}

#[test]
fn an_error_that_finds_no_neighbour_ends_there() {
    let mut router = router_with(HostConfig::default());
    let udp = datagram(NOWHERE, 10);
    punted(&mut router, at(1), from_host(&packet(NOWHERE, &udp)));
    assert_eq!(router.packets_waiting(), 1);
    let seen = run(&mut router, at(100));
    assert!(seen.iter().all(|output| match output {
        Output::Transmit { frame, .. } => Frame::parse(frame).unwrap().ether_type == EtherType::ARP,
        output => matches!(output, Output::Settled { .. }),
    }));
    assert_eq!(router.packets_waiting(), 0);
    assert_eq!(router.counters().packets.neighbour_unreachable, 1);
}

#[test]
fn each_problem_is_reported_from_the_port_where_the_packet_came_in() {
    let mut router = router();
    let short = [0; 8];
    let ending = Packet {
        ttl: 1,
        ..packet(SERVER, &short)
    };
    for (offender, kind, code, counted) in [
        (ending, Type::TIME_EXCEEDED, 0, "host-ttl-exceeded"),
        (
            packet(NOWHERE, &short),
            Type::UNREACHABLE,
            0,
            "host-unreachable",
        ),
        (
            packet(UNREACHABLE, &short),
            Type::UNREACHABLE,
            1,
            "host-unreachable",
        ),
    ] {
        router.clear_counters();
        let answer = punted(&mut router, at(1), from_host(&offender));
        let (source, seen_kind, seen_code, _, quote) = icmp_to_host(&answer);
        assert_eq!((source, seen_kind, seen_code), (LAN_OWN, kind, code));
        assert_eq!(quote, &from_host(&offender)[14..]);
        assert!(moved(&router).contains(&(counted, 1)));
    }
}

#[test]
fn a_packet_too_long_that_may_not_be_cut_is_answered_with_the_mtu() {
    let mut router = router();
    let udp = datagram(SERVER, 700);
    let offender = Packet {
        dont_fragment: true,
        ..packet(SERVER, &udp)
    };
    let answer = punted(&mut router, at(1), from_host(&offender));
    let (_, kind, code, rest, _) = icmp_to_host(&answer);
    assert_eq!((kind, code), (Type::UNREACHABLE, 4));
    assert_eq!(rest, [0, 0, 0x02, 0x58]);
}

#[test]
fn a_packet_too_long_that_may_be_cut_is_cut() {
    let mut router = router();
    let udp = datagram(SERVER, 1000);
    let seen = punted(&mut router, at(1), from_host(&packet(SERVER, &udp)));
    let mut whole = Vec::new();
    for output in &seen {
        let Output::Transmit { port: WAN, frame } = output else {
            panic!("{output:?}");
        };
        let frame = Frame::parse(frame).unwrap();
        assert_eq!((frame.destination, frame.source), (GATEWAY_MAC, WAN_MAC));
        let part = Packet::parse(frame.payload).unwrap();
        assert!(part.total_octets() <= 600);
        assert_eq!((part.ttl, part.identification), (63, 99));
        whole.extend_from_slice(part.payload);
    }
    assert_eq!((seen.len(), whole), (2, udp));
}

#[test]
fn the_router_answers_echo_for_itself_and_as_master_for_the_virtual_address() {
    for address in [LAN_OWN, WAN_OWN, VIRTUAL] {
        let mut router = router();
        let mut echo = Vec::new();
        Message {
            kind: Type::ECHO_REQUEST,
            code: 0,
            rest: [0, 1, 0, 2],
            payload: b"ping",
        }
        .emit(&mut echo);
        let request = Packet {
            protocol: Protocol::ICMP,
            ..packet(address, &echo)
        };
        let answer = punted(&mut router, at(1), from_host(&request));
        let (source, kind, _, rest, data) = icmp_to_host(&answer);
        assert_eq!((source, kind), (address, Type::ECHO_REPLY));
        assert_eq!((rest, data.as_slice()), ([0, 1, 0, 2], b"ping".as_slice()));
    }
}

#[test]
fn an_echo_request_in_fragments_is_answered_in_fragments() {
    let mut router = router();
    let mut echo = Vec::new();
    Message {
        kind: Type::ECHO_REQUEST,
        code: 0,
        rest: [0, 1, 0, 2],
        payload: &[0xab; 3000],
    }
    .emit(&mut echo);
    let request = Packet {
        protocol: Protocol::ICMP,
        ..packet(LAN_OWN, &echo)
    };
    let mut answer = Vec::new();
    for fragment in fragment::fragment(&request, 1500).unwrap() {
        assert_eq!(answer, []);
        let frame = framed(LAN_MAC, HOST_MAC, EtherType::IPV4, &fragment);
        answer = punted(&mut router, at(1), frame);
    }
    let mut payload = Vec::new();
    for output in &answer {
        let Output::Transmit { port: LAN, frame } = output else {
            panic!("{output:?}");
        };
        let part = Packet::parse(Frame::parse(frame).unwrap().payload).unwrap();
        payload.extend_from_slice(part.payload);
    }
    assert_eq!(answer.len(), 3);
    let message = Message::parse(&payload).unwrap();
    assert_eq!(
        (message.kind, message.payload),
        (Type::ECHO_REPLY, [0xab; 3000].as_slice())
    );
}

#[test]
fn a_ping_leaves_from_the_port_towards_its_destination_and_its_reply_is_told() {
    let mut router = router();
    router.ping(at(1), &Table, SERVER, 5, 6);
    let seen = outputs(&mut router);
    let [Output::Transmit { port: WAN, frame }] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    let request = Packet::parse(Frame::parse(frame).unwrap().payload).unwrap();
    assert_eq!((request.source, request.destination), (WAN_OWN, SERVER));
    let message = Message::parse(request.payload).unwrap();
    assert_eq!(message.kind, Type::ECHO_REQUEST);
    let mut echo = Vec::new();
    Message {
        kind: Type::ECHO_REPLY,
        ..message
    }
    .emit(&mut echo);
    let reply = Packet {
        protocol: Protocol::ICMP,
        source: SERVER,
        ..packet(WAN_OWN, &echo)
    };
    let told = Output::EchoReply {
        source: SERVER,
        identifier: 5,
        sequence: 6,
    };
    assert_eq!(punted(&mut router, at(1), from_host(&reply)), [told]);
}

#[test]
fn a_closed_port_is_reported_from_the_address_that_was_asked() {
    let mut router = router();
    let udp = datagram(WAN_OWN, 10);
    let answer = punted(&mut router, at(1), from_host(&packet(WAN_OWN, &udp)));
    let (source, kind, code, ..) = icmp_to_host(&answer);
    assert_eq!((source, kind, code), (WAN_OWN, Type::UNREACHABLE, 3));
}

#[test]
fn what_is_dropped_counts_under_one_reason_and_is_not_answered() {
    let short = [0; 8];
    let to = |destination: [u8; 4]| from_host(&packet(destination.into(), &short));
    let martian = Packet {
        source: Ipv4Addr::LOCALHOST,
        ..packet(SERVER, &short)
    };
    let mut to_everyone = from_host(&packet(SERVER, &short));
    to_everyone[..6].fill(0xff);
    let mut broken = from_host(&packet(SERVER, &short));
    broken[24] ^= 1;
    for (frame, counted) in [
        (vec![0; 13], "host-malformed"),
        (broken, "host-malformed"),
        (
            framed(LAN_MAC, HOST_MAC, EtherType::IPV6, &short),
            "host-other-protocol",
        ),
        (from_host(&martian), "host-martian-source"),
        (to([192, 0, 2, 255]), "host-not-unicast"),
        (to([224, 0, 0, 5]), "host-not-unicast"),
        (to_everyone, "host-not-unicast"),
        (to(BLACKHOLE.octets()), "host-blackhole"),
    ] {
        let mut router = router();
        assert_eq!(punted(&mut router, at(1), frame), []);
        assert_eq!(moved(&router), [(counted, 1)]);
    }
    let mut router = router();
    router.on_punt(at(1), &Table, 9, to(SERVER.octets()));
    assert_eq!(moved(&router), [("host-no-port", 1)]);
}

#[test]
fn the_master_announces_its_virtual_address_and_nobody_elses() {
    let mut router = router();
    router.announce(LAN, 7, HOST);
    router.announce(WAN, 7, VIRTUAL);
    assert_eq!(outputs(&mut router), []);
    router.announce(LAN, 7, VIRTUAL);
    let seen = outputs(&mut router);
    let [Output::Transmit { port: LAN, frame }] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    let frame = Frame::parse(frame).unwrap();
    assert_eq!(
        (frame.destination, frame.source),
        (MacAddr::BROADCAST, LAN_MAC)
    );
    assert_eq!(
        Arp::parse(frame.payload).unwrap().sender_mac,
        MacAddr::virtual_v4(7)
    );
}

#[test]
fn an_address_conflict_is_reported_at_a_bounded_rate() {
    let mut router = router();
    let mut reports = 0;
    for _ in 0..100 {
        reports += punted(&mut router, at(1), arp_reply(LAN, LAN_OWN, HOST_MAC)).len();
    }
    assert_eq!(reports, 5);
    assert_eq!(moved(&router), [("arp-conflicts", 100)]);
}

#[test]
fn the_neighbours_of_a_port_that_changes_are_forgotten() {
    let mut router = router();
    let kept = Port {
        index: LAN,
        mac: LAN_MAC,
        mtu_octets: 9000,
        addresses: vec![Ipv4Prefix::new(LAN_OWN, 24).unwrap()],
        further_networks: Vec::new(),
    };
    router.set_ports([kept]);
    assert_eq!(
        outputs(&mut router),
        [Output::SetNeighbour {
            port: WAN,
            address: GATEWAY,
            mac: None
        }]
    );
    assert_eq!(router.neighbours().count(), 1);
}

#[test]
fn a_rewritten_packet_keeps_a_right_checksum_whatever_it_was() {
    for identification in 0..=u16::MAX {
        let mut frame = from_host(&Packet {
            identification,
            ..packet(SERVER, &[])
        });
        rewrite(&mut frame, GATEWAY_MAC, WAN_MAC);
        let frame = Frame::parse(&frame).unwrap();
        let packet = Packet::parse(frame.payload).unwrap();
        assert_eq!((packet.ttl, packet.identification), (63, identification));
    }
}

/// A frame that may be anything, but is often nearly right.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let address = prop_oneof![
        Just(LAN_OWN),
        Just(VIRTUAL),
        Just(HOST),
        Just(SERVER),
        Just(GATEWAY),
        Just(NOWHERE),
        any::<[u8; 2]>().prop_map(|[c, d]| Ipv4Addr::new(192, 0, c % 4, d)),
        any::<Ipv4Addr>(),
    ];
    let payload = prop::collection::vec(any::<u8>(), 0..900);
    let ipv4 = (
        address.clone(),
        address.clone(),
        payload.clone(),
        any::<(u8, bool, bool, u8)>(),
        prop::sample::select(vec![1, 6, 17, 89]),
    )
        .prop_map(|(source, destination, payload, rest, protocol)| {
            let (ttl, dont_fragment, more_fragments, options) = rest;
            let options = vec![options; usize::from(options % 11) * 4];
            from_host(&Packet {
                source,
                ttl: ttl % 3,
                dont_fragment,
                more_fragments,
                protocol: Protocol(protocol),
                options: &options,
                ..packet(destination, &payload)
            })
        });
    let arp = (address.clone(), address, any::<[u8; 6]>(), any::<bool>()).prop_map(
        |(sender, target, sender_mac, reply)| {
            let mut payload = Vec::new();
            Arp {
                operation: if reply {
                    Operation::Reply
                } else {
                    Operation::Request
                },
                sender_mac: MacAddr(sender_mac),
                sender,
                target_mac: LAN_MAC,
                target,
            }
            .emit(&mut payload);
            framed(LAN_MAC, HOST_MAC, EtherType::ARP, &payload)
        },
    );
    let random = prop::collection::vec(any::<u8>(), 0..100);
    let ipv4_of_anything =
        payload.prop_map(|payload| framed(LAN_MAC, HOST_MAC, EtherType::IPV4, &payload));
    prop_oneof![4 => ipv4, 4 => arp, 1 => random, 1 => ipv4_of_anything]
}

proptest! {
    #[test]
    fn no_frame_panics_and_every_packet_is_sent_dropped_or_waits(
        frames in prop::collection::vec((frame(), 0_u16..3, 0_u64..1500), 0..60),
    ) {
        let mut config = HostConfig::default();
        config.neighbours.pending = PendingLimits { per_neighbour: 2, total: 4 };
        config.neighbours.max_neighbours = 8;
        let mut router = router_with(config);
        let mut now = at(1);
        let mut forwarded = 0;
        for (frame, ingress, millis) in frames {
            now = now + Duration::from_millis(millis);
            router.tick(now, &Table);
            router.on_punt(now, &Table, ingress, frame);
            for output in outputs(&mut router) {
                match output {
                    Output::Forward { .. } => forwarded += 1,
                    Output::Transmit { port, frame } => {
                        let frame = Frame::parse(&frame).unwrap();
                        let own = if port == LAN { LAN_MAC } else { WAN_MAC };
                        prop_assert_eq!(frame.source, own);
                        if frame.ether_type == EtherType::IPV4 {
                            let packet = Packet::parse(frame.payload).unwrap();
                            let mtu_octets = if port == LAN { 1500 } else { 600 };
                            prop_assert!(packet.total_octets() <= mtu_octets);
                        }
                    }
                    Output::SetNeighbour { .. }
                    | Output::Settled { .. }
                    | Output::EchoReply { .. }
                    | Output::Answered { .. }
                    | Output::InformationReply { .. }
                    | Output::Conflict { .. } => {}
                }
            }
            prop_assert!(router.packets_waiting() <= 4);
        }
        let left = run(&mut router, now + Duration::from_secs(10));
        forwarded += left.iter().filter(|output| matches!(output, Output::Forward { .. })).count();
        prop_assert_eq!(router.packets_waiting(), 0);
        prop_assert!(forwarded as u64 <= router.counters().packets.forwarded);
        let neighbours = router.counters().neighbours;
        prop_assert_eq!(
            neighbours.packets_queued,
            neighbours.packets_released + neighbours.packets_failed + neighbours.packets_overflowed
        );
    }
}
