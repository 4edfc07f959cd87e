//! Packets for a next hop whose MAC is not known wait at the worker that received them, and none overtakes another, whenever the MAC becomes known.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::{DiscardReason, PuntCause, PuntClass};
use dataplane::dpdk::Eal;
use dataplane::{Dataplane, Neighbour, NextHop, PortConfig, PuntReason, RouteChange, WorkerConfig};

const LAN: u16 = 1;
const WAN: u16 = 0;
const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const GATEWAY: Neighbour = Neighbour {
    port: WAN,
    address: Ipv4Addr::new(192, 0, 2, 2),
};
/// On a network of its own port.
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
const TTL: u8 = 64;

/// A frame to the router with a number in it.
fn frame(to: Ipv4Addr, number: u16, ttl: u8) -> Vec<u8> {
    let mut frame = LAN_MAC.0.to_vec();
    frame.extend([2, 0, 0, 0, 9, 1, 8, 0]);
    let [high, low] = number.to_be_bytes();
    frame.extend([0x45, 0, 0, 28, high, low, 0, 0, ttl, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend(to.octets());
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// A directory of this test's own, and where in it is what goes out.
fn directory() -> (PathBuf, PathBuf) {
    let dir = std::env::temp_dir().join(format!("unresolved-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let output = dir.join("out.pcap");
    (dir, output)
}

fn start(dir: &Path, output: &Path) -> Dataplane {
    let nothing = dir.join("nothing.pcap");
    capture::write(&nothing, []);
    let prefix = format!("--file-prefix=unresolved{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    // What goes into such a ring comes out of it again, at the same port.
    let lan = PortConfig {
        mac: Some(LAN_MAC),
        ..PortConfig::new("lan", "net_ring1")
    };
    let files = format!("rx_pcap={},tx_pcap={}", nothing.display(), output.display());
    let wan = PortConfig::new("wan", &format!("net_pcap0,{files}"));
    let ports = vec![wan, lan];
    let (mut plane, _) = Dataplane::start(eal, ports, &WorkerConfig::default()).unwrap();
    let route = |prefix: &str, next_hop| RouteChange::Add {
        prefix: prefix.parse().unwrap(),
        next_hop,
    };
    let gateway = NextHop::Gateway {
        port: WAN,
        address: GATEWAY.address,
    };
    let routes = [
        route("20.0.0.0/8", gateway),
        route("192.0.2.0/24", NextHop::Connected { port: WAN }),
    ];
    plane.change_routes(&routes).unwrap();
    plane.start_forwarding();
    plane
}

fn send(plane: &mut Dataplane, to: Ipv4Addr, number: u16, ttl: u8) {
    let mbuf = plane.new_frame(&frame(to, number, ttl)).unwrap();
    plane.transmit(LAN, mbuf).unwrap();
}

fn wait_until(plane: &mut Dataplane, mut done: impl FnMut(&mut Dataplane) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done(plane) {
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        std::thread::yield_now();
    }
}

/// The numbers of the packets that were punted, with the reasons.
fn punted(plane: &mut Dataplane) -> Vec<(u16, PuntReason)> {
    let mut punted = Vec::new();
    plane.poll_punts(PuntClass::Rest, usize::MAX, &mut |frame| {
        let octets = frame.mbuf.data();
        punted.push((u16::from_be_bytes([octets[18], octets[19]]), frame.reason));
    });
    punted
}

fn wait_for_question(plane: &mut Dataplane, neighbour: Neighbour) {
    wait_until(plane, |plane| plane.poll_wanted() == Some(neighbour));
}

#[test]
fn none_overtakes_another_whenever_the_mac_becomes_known() {
    const BEHIND: u16 = 200;
    let (dir, output) = directory();
    let mut plane = start(&dir, &output);
    let (mut number, mut all) = (0, 0);
    for (round, to) in (0..40).zip([Ipv4Addr::new(20, 0, 0, 1), HOST].into_iter().cycle()) {
        let neighbour = match to {
            HOST => Neighbour {
                port: WAN,
                address: HOST,
            },
            _ => GATEWAY,
        };
        // No more than may wait.
        for _ in 0..=round {
            send(&mut plane, to, number, TTL);
            number += 1;
        }
        wait_for_question(&mut plane, neighbour);
        for sent in 0..BEHIND {
            send(&mut plane, to, number, TTL);
            number += 1;
            if sent == round / 2 {
                plane.set_neighbour(WAN, neighbour.address, Some(MacAddr([2, 0, 0, 0, 0, 9])));
            }
        }
        all += 1 + round + BEHIND;
        wait_until(&mut plane, |plane| {
            plane.counters().total().ports[usize::from(WAN)].tx_packets == all.into()
        });
        plane.set_neighbour(WAN, neighbour.address, None);
        assert_eq!(plane.counters().total().unresolved, 0);
    }
    let counts = plane.counters().total();
    println!("{} of {all} packets had to wait", counts.parked);
    assert_eq!(counts.discarded_total(), 0);
    assert_eq!(plane.shutdown().mbufs, 0);
    let sent = capture::read(&output).into_iter();
    let numbers = sent.map(|(_, frame)| u16::from_be_bytes([frame[18], frame[19]]));
    assert!(numbers.eq(0..all));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn who_is_given_up_for_leaves_in_order_by_the_door_to_the_control_thread() {
    let (dir, output) = directory();
    let mut plane = start(&dir, &output);
    for number in 0..70 {
        send(&mut plane, HOST, number, TTL);
    }
    let neighbour = Neighbour {
        port: WAN,
        address: HOST,
    };
    wait_for_question(&mut plane, neighbour);
    // What is too old for another hop does not wait.
    send(&mut plane, HOST, 99, 1);
    let reason = PuntReason::NoNeighbour {
        egress: WAN,
        next_hop: HOST,
    };
    let mut seen = Vec::new();
    wait_until(&mut plane, |plane| {
        seen.extend(punted(plane));
        !seen.is_empty()
    });
    assert_eq!(seen, [(99, reason)]);
    let counts = plane.counters().total();
    assert_eq!((counts.unresolved, counts.parked), (64, 70));
    assert_eq!(counts.discarded(DiscardReason::NeighbourOverflow), 6);
    plane.ask_backlog(0).unwrap();
    let mut view = None;
    wait_until(&mut plane, |plane| {
        view = plane.take_backlog(0);
        view.is_some()
    });
    assert_eq!(view.unwrap().unresolved, [(neighbour, 64)]);

    plane.settle_neighbour(neighbour);
    let mut seen = Vec::new();
    wait_until(&mut plane, |plane| {
        seen.extend(punted(plane));
        seen.len() == 64
    });
    let expected: Vec<(u16, PuntReason)> = (6..70).map(|number| (number, reason)).collect();
    assert_eq!(seen, expected);
    let counts = plane.counters().total();
    assert_eq!(
        (counts.unresolved, counts.punted(PuntCause::NoNeighbour)),
        (0, 65)
    );
    assert!(plane.poll_wanted().is_none(), "it was asked for once");

    // It is asked for anew when it is needed anew.
    send(&mut plane, HOST, 100, TTL);
    wait_for_question(&mut plane, neighbour);
    assert_eq!(plane.shutdown().mbufs, 0);
    std::fs::remove_dir_all(dir).unwrap();
}
