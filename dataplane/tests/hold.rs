//! What is held takes the rest of the road when it is let go, each packet through the door that it would have gone through
//! before, and no more is held than was said.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::{DiscardReason, PuntClass, WorkerCounts};
use dataplane::dpdk::Eal;
use dataplane::handover::{HandoverDone, HandoverId, HandoverStep};
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{
    Dataplane, Group, MatchOn, Neighbour, NextHop, PortConfig, PuntReason, RouteChange,
    WorkerConfig,
};

const VRID: u8 = 3;
const LAN: u16 = 1;
const WAN: u16 = 0;
const CONDITION: u32 = 5;

const KNOWN: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 1);
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(30, 0, 0, 1);
const NOWHERE: Ipv4Addr = Ipv4Addr::new(40, 0, 0, 1);
const MISSING: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A padded frame to the group.
fn frame(to: Ipv4Addr, ttl: u8) -> Vec<u8> {
    let mut frame = MacAddr::virtual_v4(VRID).0.to_vec();
    frame.extend([2, 0, 0, 0, 9, 1, 8, 0]);
    frame.extend([0x45, 0, 0, 28, 0, 0, 0, 0, ttl, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend(to.octets());
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(60, 0);
    frame
}

fn start() -> Dataplane {
    let prefix = format!("--file-prefix=hold{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    // What goes into such a ring comes out of it again, at the same port.
    let port = |number: u8, name: &str| PortConfig {
        mac: Some(MacAddr([2, 0, 0, 0, 0, number])),
        ..PortConfig::new(name, &format!("net_ring{number}"))
    };
    let config = WorkerConfig {
        backlog: 16,
        ..WorkerConfig::default()
    };
    let (mut plane, _) =
        Dataplane::start(eal, vec![port(0, "wan"), port(1, "lan")], &config).unwrap();
    let gateway = |address| NextHop::Gateway { port: WAN, address };
    let route = |prefix: &str, next_hop| RouteChange::Add {
        prefix: prefix.parse().unwrap(),
        next_hop,
    };
    plane
        .change_routes(&[
            route("20.0.0.0/8", gateway(Ipv4Addr::new(192, 0, 2, 1))),
            route("30.0.0.0/8", gateway(MISSING)),
        ])
        .unwrap();
    plane.set_neighbour(
        WAN,
        [192, 0, 2, 1].into(),
        Some(MacAddr([2, 0, 0, 0, 0, 9])),
    );
    let verdicts = VerdictTable::builder(Verdict::Discard, 0)
        .condition([10, 0, 0, 1].into(), Verdict::Hold, CONDITION)
        .build()
        .unwrap();
    let group = Group {
        verdicts: Arc::new(verdicts),
        match_on: MatchOn::Source,
    };
    plane.set_group(LAN, VRID, Some(group)).unwrap();
    plane.start_forwarding();
    plane
}

fn send(plane: &mut Dataplane, to: Ipv4Addr, ttl: u8) {
    let mbuf = plane.new_frame(&frame(to, ttl)).unwrap();
    plane.transmit(LAN, mbuf).unwrap();
}

fn wait<T: std::fmt::Debug>(
    plane: &mut Dataplane,
    mut poll: impl FnMut(&mut Dataplane) -> Option<T>,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = poll(plane) {
            return found;
        }
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        std::thread::yield_now();
    }
}

fn wait_until(plane: &mut Dataplane, what: impl Fn(&WorkerCounts) -> bool) -> WorkerCounts {
    wait(plane, |plane| {
        let counts = plane.counters().total();
        what(&counts).then_some(counts)
    })
}

#[test]
fn held_packets_go_through_the_doors_that_they_would_have_gone_through() {
    let mut plane = start();
    for (to, ttl) in [
        (KNOWN, 64),
        (UNKNOWN, 64),
        (NOWHERE, 64),
        (KNOWN, 1),
        (KNOWN, 64),
    ] {
        send(&mut plane, to, ttl);
    }
    for _ in 0..10 {
        send(&mut plane, KNOWN, 64);
    }
    // Three quarters of the backlog are for what is held.
    let counts = wait_until(&mut plane, |counts| {
        counts.held == 12 && counts.discarded(DiscardReason::HoldOverflow) == 3
    });
    assert_eq!(counts.ports[usize::from(WAN)].tx_packets, 0);
    plane.ask_backlog(0).unwrap();
    assert!(plane.ask_backlog(0).is_err(), "one question at a time");
    let view = wait(&mut plane, |plane| plane.take_backlog(0));
    assert_eq!(view.held, [(CONDITION, 12)]);
    assert_eq!(view.waiting, [0, 0]);
    assert_eq!(plane.condition_octets(CONDITION), 0);

    let id = HandoverId(1);
    let step = HandoverStep::Release(Vec::new());
    plane.hand_over(id, &[CONDITION], step).unwrap();
    // Without the padding of their first link.
    let sent = |counts: &WorkerCounts, packets| {
        let wan = counts.ports[usize::from(WAN)];
        (wan.tx_packets, wan.tx_octets) == (packets, packets * 42)
    };
    let counts = wait_until(&mut plane, |counts| sent(counts, 9));
    assert_eq!(counts.held, 0);
    assert_eq!(plane.condition_octets(CONDITION), 12 * 28);
    let mut punted = Vec::new();
    plane.poll_punts(PuntClass::Rest, 9, &mut |frame| {
        assert_eq!((frame.port, frame.via), (LAN, Some(VRID)));
        assert_eq!(
            frame.mbuf.data()[22],
            if punted.len() == 1 { 1 } else { 64 }
        );
        punted.push(frame.reason);
    });
    let expected = [PuntReason::Unreachable, PuntReason::TtlExceeded];
    // Each leaves by the station that cannot go on with it, so that only those of one station keep their order.
    assert_eq!(punted, expected);
    // Its next hop was asked for when it was held, and it waits on.
    let missing = Neighbour {
        port: WAN,
        address: MISSING,
    };
    assert_eq!(plane.poll_wanted(), Some(missing));
    assert_eq!((counts.unresolved, plane.poll_wanted()), (1, None));

    plane.set_neighbour(WAN, MISSING, Some(MacAddr([2, 0, 0, 0, 0, 8])));
    wait_until(&mut plane, |counts| sent(counts, 10));

    // What comes under the hold from now on goes straight on.
    send(&mut plane, KNOWN, 64);
    let counts = wait_until(&mut plane, |counts| sent(counts, 11));
    assert_eq!(counts.held, 0);
    let done = wait(&mut plane, Dataplane::poll_handovers);
    assert_eq!(done, (id, HandoverDone::Released));
    assert_eq!(plane.shutdown().mbufs, 0);
}
