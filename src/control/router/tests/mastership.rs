//! Whatever happens to a router, and in whatever order within a round of the control loop: only a master speaks for the virtual address.

use dataplane::wire::arp::{Operation, Packet as Arp};
use dataplane::wire::ethernet::{EtherType, Frame};
use dataplane::wire::ipv4::{Packet, Protocol};
use proptest::prelude::*;
use vrrpd::wire::{Fields, GROUP_IPV4, v3};
use vrrpd::{PseudoHeader, State, Vrid};

use super::*;

const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);
/// Routers below and above this one by address.
const OTHERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 1, 9), Ipv4Addr::new(192, 0, 2, 3)];

/// A round of the control loop: what it finds, in the order in which it looks.
#[derive(Clone, Debug)]
struct Round {
    after: Duration,
    link: Option<bool>,
    /// Advertisements: from which of the others, and their priorities.
    heard: Vec<(usize, u8)>,
    /// The host asks by ARP, and by an echo request, for the virtual address.
    asked: [bool; 2],
}

fn round() -> impl Strategy<Value = Round> {
    let priority = prop_oneof![Just(0), Just(50), Just(100), Just(200), any::<u8>()];
    let link = prop_oneof![10 => Just(None), 1 => Just(Some(false)), 2 => Just(Some(true))];
    (
        0..20_u64,
        link,
        prop::collection::vec((0..2_usize, priority), 0..3),
        any::<[bool; 2]>(),
    )
        .prop_map(|(after, link, heard, asked)| Round {
            after: Duration::from_millis(after),
            link,
            heard,
            asked,
        })
}

fn framed(destination: MacAddr, ether_type: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Frame {
        destination,
        source: HOST_MAC,
        ether_type,
        payload,
    }
    .emit(&mut frame);
    frame
}

fn packet(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: Protocol,
    ttl: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut octets = Vec::new();
    let packet = Packet {
        traffic_class: 0,
        identification: 0,
        reserved_flag: false,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset_octets: 0,
        ttl,
        protocol,
        source,
        destination,
        options: &[],
        payload,
    };
    packet.emit(&mut octets).unwrap();
    octets
}

fn advertisement(from: Ipv4Addr, priority: u8) -> Vec<u8> {
    let fields = Fields {
        vrid: Vrid::new(GROUP.vrid).unwrap(),
        priority,
        interval: Duration::from_millis(10),
        addresses: &[VIRTUAL.into()],
    };
    let without = PseudoHeader::Without;
    let payload = v3::emit(&fields, from.into(), GROUP_IPV4.into(), without);
    let packet = packet(from, GROUP_IPV4, Protocol::VRRP, vrrpd::wire::TTL, &payload);
    framed(MacAddr::multicast_v4(GROUP_IPV4), EtherType::IPV4, &packet)
}

fn arp(operation: Operation, target: Ipv4Addr, destination: MacAddr) -> Vec<u8> {
    let mut payload = Vec::new();
    let packet = Arp {
        operation,
        sender_mac: HOST_MAC,
        sender: HOST,
        target_mac: MacAddr::ZERO,
        target,
    };
    packet.emit(&mut payload);
    framed(destination, EtherType::ARP, &payload)
}

fn echo_request() -> Vec<u8> {
    const CHECKSUMMED: [u8; 8] = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let packet = packet(HOST, VIRTUAL, Protocol::ICMP, 64, &CHECKSUMMED);
    framed(MacAddr::virtual_v4(GROUP.vrid), EtherType::IPV4, &packet)
}

/// Whether a frame speaks for the virtual address as only its master may.
fn speaks_for_virtual(frame: &[u8]) -> bool {
    let frame = Frame::parse(frame).unwrap();
    match frame.ether_type {
        EtherType::ARP => Arp::parse(frame.payload).unwrap().sender == VIRTUAL,
        _ => {
            let packet = Packet::parse(frame.payload).unwrap();
            packet.protocol == Protocol::ICMP && packet.source == VIRTUAL
        }
    }
}

fn state(router: &Router<Vec<u8>>) -> State {
    let (_, group, _) = router.vrrp().groups().next().unwrap();
    group.state()
}

/// Carries out what is asked for; how many of the frames spoke for the virtual address, which only a master's may.
fn carry_out(
    router: &mut Router<Vec<u8>>,
    workers: &mut Noted,
    now: Time,
) -> Result<usize, TestCaseError> {
    router.carry_out(now, workers);
    let frames = std::mem::take(&mut workers.frames);
    let frames = frames.iter();
    let spoken = frames
        .filter(|(_, frame)| speaks_for_virtual(frame))
        .count();
    let state = state(router);
    prop_assert!(spoken == 0 || state == State::Master, "a {} speaks", state);
    Ok(spoken)
}

/// The rounds, one after the other; how many answers and announcements there were.
fn go_round(rounds: Vec<Round>) -> Result<usize, TestCaseError> {
    let (mut router, mut workers) = running();
    let mut now = Time::ZERO;
    // The host is known, so that no answer has to wait for it.
    let own = Ipv4Addr::new(192, 0, 2, 2);
    router.on_punt(now, 0, arp(Operation::Request, own, MacAddr::BROADCAST));
    let mut spoken = carry_out(&mut router, &mut workers, now)?;
    for round in rounds {
        now = now + round.after;
        if let Some(up) = round.link {
            router.on_link(now, 0, up);
        }
        for (from, priority) in round.heard {
            router.on_vrrp(now, 0, &advertisement(OTHERS[from], priority));
        }
        let [by_arp, by_echo] = round.asked;
        if by_arp {
            let asked = arp(Operation::Request, VIRTUAL, MacAddr::BROADCAST);
            router.on_punt(now, 0, asked);
        }
        if by_echo {
            router.on_punt(now, 0, echo_request());
        }
        spoken += carry_out(&mut router, &mut workers, now)?;
        router.tick(now);
        spoken += carry_out(&mut router, &mut workers, now)?;
    }
    Ok(spoken)
}

proptest! {
    #[test]
    fn a_backup_never_speaks_for_the_virtual_address(rounds in prop::collection::vec(round(), 0..60)) {
        go_round(rounds)?;
    }
}

#[test]
fn a_master_does_speak_for_it_and_one_that_hears_a_higher_one_before_it_is_asked_does_not() {
    let asked = |after, heard: &[(usize, u8)]| Round {
        after: Duration::from_millis(after),
        link: None,
        heard: heard.to_vec(),
        asked: [true, true],
    };
    // Master after 37 ms; it announces, and answers twice in each of three rounds.
    let waits = (0..8).map(|_| Round {
        asked: [false, false],
        ..asked(5, &[])
    });
    let waits: Vec<Round> = waits.collect();
    let rounds = |last: &[Round]| [&waits[..], last].concat();
    let alone = [asked(0, &[]), asked(1, &[]), asked(1, &[(0, 50)])];
    assert_eq!(go_round(rounds(&alone)).unwrap(), 1 + 6);
    let ousted = [asked(0, &[]), asked(1, &[(0, 200)]), asked(1, &[])];
    assert_eq!(go_round(rounds(&ousted)).unwrap(), 1 + 2);
}
