//! A router whose groups share their load, with nobody else there.

use dataplane::wire::arp::{Operation, Packet as Arp};
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::icmp::{Message, Type};
use dataplane::wire::ipv4::{Packet, Protocol};
use vrrpd::sharing::names::{Condition, Seen};

use super::*;

const TEXT: &str = r#"
    [[port]]
    name = "lan"
    device = "net_null0"
    addresses = ["192.0.2.2/28"]
    [[port]]
    name = "wan"
    device = "net_null1"
    addresses = ["198.51.100.2/24"]
    [[virtual-router]]
    vrid = 7
    port = "lan"
    virtual-addresses = ["192.0.2.1"]
    advertisement-interval = "10ms"
    [virtual-router.load-sharing]
    authentication = "none"
    [[virtual-router]]
    vrid = 8
    port = "wan"
    virtual-addresses = ["198.51.100.1"]
    advertisement-interval = "10ms"
    [virtual-router.load-sharing]
    authentication = "none"
    match = "destination"
    follow = "lan/7"
"#;

const LAN: PortIndex = 0;
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const OWN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

fn running() -> (Router<Vec<u8>>, Noted, Time) {
    let (mut router, mut workers) = (Router::new(HostConfig::default(), 7), Noted::default());
    let macs = [OWN_MAC, MacAddr([2, 0, 0, 0, 0, 3])];
    router
        .configure(Time::ZERO, &config(TEXT), &macs, &mut workers)
        .unwrap();
    for port in [0, 1] {
        router.on_link(Time::ZERO, port, true);
    }
    router.carry_out(Time::ZERO, &mut workers);
    let now = rounds(&mut router, &mut workers, Time::ZERO, 500);
    (router, workers, now)
}

/// Rounds of the control loop, one a millisecond.
fn rounds(router: &mut Router<Vec<u8>>, workers: &mut Noted, from: Time, count: u64) -> Time {
    let at = |ms| from + Duration::from_millis(ms);
    for ms in 1..=count {
        router.hear_workers(at(ms), workers);
        router.carry_out(at(ms), workers);
        router.tick(at(ms));
        router.carry_out(at(ms), workers);
        router.publish(workers);
    }
    at(count)
}

fn framed(ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Frame {
        destination: OWN_MAC,
        source: HOST_MAC,
        ether_type,
        payload,
    }
    .emit(&mut frame);
    frame
}

/// What every group has of an end system: how it was seen.
fn seen(router: &Router<Vec<u8>>, address: Ipv4Addr) -> Vec<Option<Seen>> {
    let condition = Condition::Address(address.into());
    let parts = router.vrrp().parts();
    parts
        .map(|(_, part)| part.table().row(condition).map(|row| row.seen))
        .collect()
}

#[test]
fn every_other_address_of_the_end_systems_link_is_asked_for_and_none_of_the_carriers() {
    let (_, workers, _) = running();
    let mut asked: Vec<Ipv4Addr> = Vec::new();
    for (port, frame) in &workers.frames {
        let frame = Frame::parse(frame).unwrap();
        if frame.ether_type == EtherType::ARP {
            let packet = Arp::parse(frame.payload).unwrap();
            // Whoever asks for its own address announces it.
            if packet.sender != packet.target {
                assert_eq!((*port, packet.sender), (LAN, OWN));
                asked.push(packet.target);
            }
        }
    }
    let all: Vec<Ipv4Addr> = (3..15).map(|host| Ipv4Addr::new(192, 0, 2, host)).collect();
    assert_eq!(asked, all);
}

#[test]
fn who_answers_the_sweep_is_in_both_groups_and_routed_and_who_was_not_asked_is_not() {
    let (mut router, mut workers, now) = running();
    let answer = |sender: Ipv4Addr| {
        let mut payload = Vec::new();
        Arp {
            operation: Operation::Reply,
            sender_mac: HOST_MAC,
            sender,
            target_mac: OWN_MAC,
            target: OWN,
        }
        .emit(&mut payload);
        framed(EtherType::ARP, &payload)
    };
    let host = Ipv4Addr::new(192, 0, 2, 9);
    router.on_punt(now, LAN, answer(host));
    let now = rounds(&mut router, &mut workers, now, 300);
    assert_eq!(
        seen(&router, host),
        [Some(Seen::Neighbour), Some(Seen::Configured)]
    );
    for (group, verdicts) in &workers.verdicts {
        let verdict = verdicts.get(host.to_bits()).verdict();
        assert_eq!(verdict, dataplane::verdict::Verdict::Route, "{group:?}");
    }
    // Long after its turn.
    let late = now + Duration::from_secs(6);
    let other = Ipv4Addr::new(192, 0, 2, 10);
    router.on_punt(late, LAN, answer(other));
    rounds(&mut router, &mut workers, late, 300);
    assert_eq!(seen(&router, other), [None, None]);
}

#[test]
fn who_replies_to_the_information_request_is_taken_up_and_a_reply_to_another_is_ignored() {
    let (mut router, mut workers, now) = running();
    let requests = workers.frames.iter().filter_map(|(port, frame)| {
        let frame = Frame::parse(frame).ok()?;
        let packet = Packet::parse(frame.payload).ok()?;
        let message = Message::parse(packet.payload).ok()?;
        let asks = message.kind == Type::INFORMATION_REQUEST;
        asks.then_some((
            *port,
            frame.destination,
            packet.source,
            packet.destination,
            message.rest,
        ))
    });
    let requests: Vec<_> = requests.collect();
    let [(port, to, source, destination, numbers)] = requests[..] else {
        panic!("one request, to be heard on the LAN: {requests:?}");
    };
    assert_eq!(
        (port, to, destination),
        (LAN, MacAddr::BROADCAST, Ipv4Addr::BROADCAST)
    );
    assert_eq!(source, Ipv4Addr::new(0, 0, 0, 2), "its network is zero");
    let reply = |from: Ipv4Addr, rest| {
        let mut message = Vec::new();
        Message {
            kind: Type::INFORMATION_REPLY,
            code: 0,
            rest,
            payload: &[],
        }
        .emit(&mut message);
        let mut packet = Vec::new();
        Packet {
            traffic_class: 0,
            identification: 1,
            reserved_flag: false,
            dont_fragment: false,
            more_fragments: false,
            fragment_offset_octets: 0,
            ttl: 64,
            protocol: Protocol::ICMP,
            source: from,
            destination: OWN,
            options: &[],
            payload: &message,
        }
        .emit(&mut packet)
        .unwrap();
        framed(EtherType::IPV4, &packet)
    };
    let (host, other) = (Ipv4Addr::new(192, 0, 2, 9), Ipv4Addr::new(192, 0, 2, 10));
    router.on_punt(now, LAN, reply(host, numbers));
    router.on_punt(
        now,
        LAN,
        reply(other, [numbers[0] ^ 1, numbers[1], numbers[2], numbers[3]]),
    );
    rounds(&mut router, &mut workers, now, 300);
    assert_eq!(seen(&router, host)[0], Some(Seen::InformationReply));
    assert_eq!(seen(&router, other), [None, None]);
}

#[test]
fn a_router_whose_carrier_side_is_down_takes_no_share_on_the_lan() {
    let (mut router, mut workers, now) = running();
    let weight = |router: &Router<Vec<u8>>| {
        let (_, lan) = router.vrrp().parts().next().unwrap();
        let own = lan.config().router;
        lan.table()
            .members()
            .find(|member| member.router == own)
            .map(|member| member.weight)
    };
    assert_eq!(weight(&router), Some(100));
    router.on_link(now, 1, false);
    let now = rounds(&mut router, &mut workers, now, 300);
    assert_eq!(weight(&router), Some(0));
    router.on_link(now, 1, true);
    rounds(&mut router, &mut workers, now, 300);
    assert_eq!(weight(&router), Some(100));
}
