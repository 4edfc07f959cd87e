//! A router that waits for the MACs of next hops, and the packets for them.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::PuntClass;
use dataplane::dpdk::Eal;
use dataplane::{Dataplane, Neighbour, NextHop, PortConfig, PuntReason, RouteChange, WorkerConfig};

use crate::capture;

pub(crate) const LAN: u16 = 1;
pub(crate) const WAN: u16 = 0;
const LAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(crate) const GATEWAY: Neighbour = Neighbour {
    port: WAN,
    address: Ipv4Addr::new(192, 0, 2, 2),
};
/// On a network of its own port.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 200);
pub(crate) const TTL: u8 = 64;

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
pub(crate) fn directory() -> (PathBuf, PathBuf) {
    let dir = std::env::temp_dir().join(format!("unresolved-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let output = dir.join("out.pcap");
    (dir, output)
}

pub(crate) fn start(dir: &Path, output: &Path) -> Dataplane {
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

pub(crate) fn send(plane: &mut Dataplane, to: Ipv4Addr, number: u16, ttl: u8) {
    let mbuf = plane.new_frame(&frame(to, number, ttl)).unwrap();
    plane.transmit(LAN, mbuf).unwrap();
}

pub(crate) fn wait_until(plane: &mut Dataplane, mut done: impl FnMut(&mut Dataplane) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done(plane) {
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        std::thread::yield_now();
    }
}

/// The numbers of the packets that were punted, with the reasons.
pub(crate) fn punted(plane: &mut Dataplane) -> Vec<(u16, PuntReason)> {
    let mut punted = Vec::new();
    plane.poll_punts(PuntClass::Rest, usize::MAX, &mut |frame| {
        let octets = frame.mbuf.data();
        punted.push((u16::from_be_bytes([octets[18], octets[19]]), frame.reason));
    });
    punted
}

pub(crate) fn wait_for_question(plane: &mut Dataplane, neighbour: Neighbour) {
    wait_until(plane, |plane| plane.poll_wanted() == Some(neighbour));
}
