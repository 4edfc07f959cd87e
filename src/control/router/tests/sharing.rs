//! A router whose groups share their load, with nobody else there.

use dataplane::wire::arp::{Operation, Packet as Arp};
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::icmp::{Message, Type};
use dataplane::wire::ipv4::{Packet, Protocol};
use vrrpd::sharing::names::{Condition, MemberState, Seen};

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
    [[route]]
    prefix = "10.9.0.0/24"
    via = "192.0.2.14"
    [[route]]
    prefix = "0.0.0.0/0"
    via = "192.0.2.13"
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

/// The answer to a question for `sender`, which has [`HOST_MAC`].
fn answer(sender: Ipv4Addr) -> Vec<u8> {
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
}

#[test]
fn who_answers_the_sweep_is_in_both_groups_and_routed_and_who_was_not_asked_is_not() {
    let (mut router, mut workers, now) = running();
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

/// The information requests sent so far: port, receiver of the frame, source, destination, identifier and sequence number.
fn information_requests(workers: &Noted) -> Vec<(PortIndex, MacAddr, Ipv4Addr, Ipv4Addr, [u8; 4])> {
    let read = |(port, frame): &(PortIndex, Vec<u8>)| {
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
    };
    workers.frames.iter().filter_map(read).collect()
}

#[test]
fn who_replies_to_the_information_request_is_taken_up_and_a_reply_to_another_is_ignored() {
    let (mut router, mut workers, now) = running();
    let [(port, to, source, destination, numbers)] = information_requests(&workers)[..] else {
        panic!("one request, to be heard on the LAN: {:?}", workers.frames);
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
fn who_sends_through_the_further_router_that_packets_to_it_go_to_is_taken_up_and_nobody_else() {
    let (mut router, mut workers, now) = running();
    let node = Ipv4Addr::new(192, 0, 2, 14);
    let behind = |last| Ipv4Addr::new(10, 9, 0, last);
    let learned = |address, from| Learned {
        port: LAN,
        vrid: 7,
        address,
        from,
    };
    let spoofer = MacAddr([2, 0, 0, 0, 0, 66]);
    let unrouted = Ipv4Addr::new(10, 8, 0, 1);
    workers.learned.extend([
        learned(behind(1), HOST_MAC),
        learned(behind(2), spoofer),
        // Behind the default route is everything.
        learned(unrouted, HOST_MAC),
    ]);
    let now = rounds(&mut router, &mut workers, now, 300);
    for address in [behind(1), behind(2), unrouted] {
        assert_eq!(seen(&router, address), [None, None], "nobody vouches yet");
    }
    let asked = |(_, frame): &&(PortIndex, Vec<u8>)| {
        let frame = Frame::parse(frame).unwrap();
        let question = Arp::parse(frame.payload);
        question.is_ok_and(|question| question.target == node)
    };
    assert!(
        workers.frames.iter().filter(asked).count() >= 2,
        "the sweep asks once"
    );
    router.on_punt(now, LAN, answer(node));
    let now = rounds(&mut router, &mut workers, now, 300);
    let known = |router: &Router<Vec<u8>>, address: Ipv4Addr| {
        let (_, lan) = router.vrrp().parts().next().unwrap();
        let row = lan.table().row(Condition::Address(address.into()));
        row.map(|row| (row.seen, row.node))
    };
    let there = Some((Seen::Traffic, Some(node.into())));
    assert_eq!(known(&router, behind(1)), there);
    // It is in the group that follows, too.
    assert_eq!(seen(&router, behind(1))[1], Some(Seen::Configured));
    for address in [behind(2), unrouted] {
        assert_eq!(seen(&router, address), [None, None]);
    }
    // Who vouches is known now.
    workers.learned.push_back(learned(behind(3), HOST_MAC));
    workers.learned.push_back(learned(behind(4), spoofer));
    let now = rounds(&mut router, &mut workers, now, 300);
    assert_eq!(known(&router, behind(3)), there);
    assert_eq!(known(&router, behind(4)), None);

    // Switched off, nobody more is.
    let text = TEXT.replace(
        "authentication = \"none\"\n    [[",
        "authentication = \"none\"\n    learn-behind = false\n    [[",
    );
    assert_ne!(text, TEXT);
    let macs = [OWN_MAC, MacAddr([2, 0, 0, 0, 0, 3])];
    router
        .configure(now, &config(&text), &macs, &mut workers)
        .unwrap();
    workers.learned.push_back(learned(behind(5), HOST_MAC));
    rounds(&mut router, &mut workers, now, 300);
    assert_eq!(known(&router, behind(5)), None);
    assert_eq!(known(&router, behind(1)), there);
}

#[test]
fn end_systems_are_looked_for_again_whenever_rates_are_collected() {
    let (mut router, mut workers, now) = running();
    // Long after the first round, and long before the next that nothing gives reason for.
    let now = rounds(&mut router, &mut workers, now, 2000);
    assert_eq!(information_requests(&workers).len(), 1);
    router.vrrp_mut().review_now(now);
    let now = rounds(&mut router, &mut workers, now, 5);
    assert_eq!(information_requests(&workers).len(), 2);
    rounds(&mut router, &mut workers, now, 2000);
    assert_eq!(information_requests(&workers).len(), 2);
}

#[test]
fn a_review_by_hand_is_of_the_group_that_is_followed_and_never_of_the_one_that_follows() {
    let (mut router, mut workers, now) = running();
    let asked = router.vrrp_mut().review_now(now);
    let [asked] = &asked[..] else {
        panic!("one group decides for both: {asked:?}");
    };
    assert_eq!((asked.port_name.as_str(), asked.vrid), ("lan", 7));
    assert!(asked.outcome.is_ok(), "{asked:?}");
    rounds(&mut router, &mut workers, now, 300);
    let collections = router.vrrp().parts();
    let collections: Vec<u64> = collections
        .map(|(_, part)| part.counters().collections)
        .collect();
    assert_eq!(collections, [1, 0]);
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

#[test]
fn a_group_that_begins_while_the_router_drains_drains_too() {
    let (mut router, mut workers, now) = running();
    router.vrrp_mut().drain(now);
    let anew = "authentication = \"none\"\n    router-id = \"10.0.0.1\"\n    [[";
    let text = TEXT.replacen("authentication = \"none\"\n    [[", anew, 1);
    assert_ne!(text, TEXT);
    let macs = [OWN_MAC, MacAddr([2, 0, 0, 0, 0, 3])];
    router
        .configure(now, &config(&text), &macs, &mut workers)
        .unwrap();
    let states = router.vrrp().parts().map(|(_, part)| part.state());
    let states: Vec<MemberState> = states.collect();
    assert_eq!(states, [MemberState::Draining; 2]);
    rounds(&mut router, &mut workers, now, 300);
    assert!(
        router.vrrp().is_drained(),
        "nobody else could take anything"
    );
}

/// Two routers on the LAN that share its end systems.
struct Pair {
    routers: [(Router<Vec<u8>>, Noted); 2],
    /// Whether the second has a link.
    is_linked: bool,
    now: Time,
}

/// What `routers` of a pair are configured with, one of them by its number.
fn text_of_pair(number: usize, load_sharing: &str) -> String {
    format!(
        r#"
        [[port]]
        name = "lan"
        device = "net_null0"
        addresses = ["192.0.2.{}/28"]
        [[virtual-router]]
        vrid = 7
        port = "lan"
        virtual-addresses = ["192.0.2.1"]
        advertisement-interval = "20ms"
        {load_sharing}"#,
        number + 2
    )
}

const SHARED: &str = r#"
        [virtual-router.load-sharing]
        authentication = "none"
        end-systems = ["192.0.2.9", "192.0.2.10"]"#;

impl Pair {
    /// The first is in charge of everything, and the other is about to come.
    fn new() -> Self {
        let routers =
            [7, 8].map(|seed| (Router::new(HostConfig::default(), seed), Noted::default()));
        let mut pair = Self {
            routers,
            is_linked: false,
            now: Time::ZERO,
        };
        for number in 0..2 {
            pair.configure(number, SHARED);
        }
        pair.routers[0].0.on_link(pair.now, LAN, true);
        for _ in 0..500 {
            pair.round();
        }
        pair.routers[1].0.on_link(pair.now, LAN, true);
        pair.is_linked = true;
        pair
    }

    fn configure(&mut self, number: usize, load_sharing: &str) {
        let (router, workers) = &mut self.routers[number];
        let mac = MacAddr([2, 0, 0, 0, 0, number as u8 + 2]);
        let config = config(&text_of_pair(number, load_sharing));
        router
            .configure(self.now, &config, &[mac], workers)
            .unwrap();
        router.publish(workers);
    }

    /// A millisecond, with a round of either's control loop; what one sends the other hears.
    fn round(&mut self) {
        for number in 0..2 {
            let (router, workers) = &mut self.routers[number];
            self.now = rounds(router, workers, self.now, 1);
            for (_, frame) in std::mem::take(&mut workers.frames) {
                let is_vrrp = frame.get(23) == Some(&vrrpd::wire::PROTOCOL);
                if is_vrrp && self.is_linked {
                    self.routers[1 - number].0.on_vrrp(self.now, LAN, &frame);
                }
            }
        }
    }

    fn until(&mut self, is_so: impl Fn(&Noted) -> bool, number: usize) {
        for _ in 0..5000 {
            if is_so(&self.routers[number].1) {
                return;
            }
            self.round();
        }
        panic!("it never comes to that: {:?}", self.routers[number].1.asked);
    }
}

/// Configurations by which sharing begins anew, or ends.
const OTHERS: [&str; 3] = [
    "",
    r#"
        [virtual-router.load-sharing]
        authentication = "none"
        router-id = "10.0.0.1"
        end-systems = ["192.0.2.9", "192.0.2.10"]"#,
    r#"
        [virtual-router.load-sharing]
        authentication = "none"
        role = "substitution-server""#,
];

#[test]
fn what_a_router_records_for_a_move_it_records_no_more_when_its_part_begins_anew() {
    for other in OTHERS {
        let mut pair = Pair::new();
        let records = |asked: &(HandoverId, HandoverStep)| match asked {
            (id, HandoverStep::StartRecording { .. }) => Some(*id),
            _ => None,
        };
        pair.until(
            |workers| workers.asked.iter().any(|asked| records(asked).is_some()),
            0,
        );
        let recorded: Vec<HandoverId> =
            pair.routers[0].1.asked.iter().filter_map(records).collect();
        pair.configure(0, other);
        let asked = &pair.routers[0].1.asked;
        for id in recorded {
            assert!(
                asked.contains(&(id, HandoverStep::StopRecording)),
                "{other}: {asked:?}"
            );
        }
    }
}

#[test]
fn what_a_router_holds_for_a_move_it_drops_when_its_part_begins_anew() {
    use dataplane::verdict::Verdict;
    for other in OTHERS {
        let mut pair = Pair::new();
        let holds = |workers: &Noted| {
            let hosts = [9, 10].map(|host| Ipv4Addr::new(192, 0, 2, host).to_bits());
            let mut tables = workers.verdicts.values();
            tables.any(|table| {
                hosts
                    .iter()
                    .any(|host| table.get(*host).verdict() == Verdict::Hold)
            })
        };
        pair.until(holds, 1);
        pair.configure(1, other);
        let asked = &pair.routers[1].1.asked;
        let drops = |(_, step): &(HandoverId, HandoverStep)| *step == HandoverStep::DropBacklog;
        assert!(asked.iter().any(drops), "{other}: {asked:?}");
    }
}
