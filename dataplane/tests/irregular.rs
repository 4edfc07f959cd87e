//! Frames that are not ordinary packets, among ordinary ones: each leaves by the door of its own reason and no other, and its
//! neighbours in the burst are routed. `net_pcap` hands them over as they are: it takes no tag out of a frame, as the kernel does
//! on the way to a packet socket, and spreads a frame that is longer than a buffer over several.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::{DiscardReason, PuntCause, PuntClass};
use dataplane::dpdk::{Eal, Rss};
use dataplane::{Dataplane, NextHop, PortConfig, PuntReason, RouteChange, WorkerConfig};

const LAN: u16 = 0;
const WAN: u16 = 1;
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const BEYOND: Ipv4Addr = Ipv4Addr::new(20, 0, 0, 1);
const ITSELF: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// Of each case, and as many ordinary ones between them: more than fit a burst.
const FRAMES: usize = 100;

/// A frame to the router, without padding.
fn frame(to: Ipv4Addr, ttl: u8, options: &[u8], payload: usize) -> Vec<u8> {
    let mut frame = OWN.0.to_vec();
    frame.extend([2, 0, 0, 0, 9, 1, 8, 0]);
    let header = 20 + options.len();
    let [high, low] = ((header + payload) as u16).to_be_bytes();
    frame.extend([0x40 | (header / 4) as u8, 0, high, low, 0, 0, 0, 0, ttl, 17]);
    frame.extend([0, 0, 10, 0, 0, 1]);
    frame.extend(to.octets());
    frame.extend(options);
    let sum = dataplane::wire::checksum::of(&frame[14..]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(14 + header + payload, 7);
    frame
}

/// With the least TTL that suffices for a hop.
fn ordinary() -> Vec<u8> {
    frame(BEYOND, 2, &[], 40)
}

fn tagged(tags: &[[u8; 2]]) -> Vec<u8> {
    let mut frame = ordinary();
    for &[high, low] in tags.iter().rev() {
        frame.splice(12..12, [high, low, 0, 5]);
    }
    frame
}

#[derive(Clone, Copy, Debug)]
enum Door {
    Discard(DiscardReason),
    Punt(PuntReason),
}

/// What the frames of a case have in common, those frames, and their door.
fn cases() -> Vec<(&'static str, Vec<Vec<u8>>, Door)> {
    use Door::{Discard, Punt};
    const CUSTOMER: [u8; 2] = [0x81, 0x00];
    const SERVICE: [u8; 2] = [0x88, 0xa8];
    const OLD_SERVICE: [u8; 2] = [0x91, 0x00];
    const OPTIONS: [u8; 4] = [1, 1, 1, 0];
    let vlan = |tags: &[[u8; 2]]| (vec![tagged(tags)], Discard(DiscardReason::Vlan));
    let one = |to, ttl, options, door| (vec![frame(to, ttl, options, 40)], door);
    let runts = (0..14).map(|octets| ordinary()[..octets].to_vec());
    let too_old = Punt(PuntReason::TtlExceeded);
    let dead = Discard(DiscardReason::TtlZero);
    // The least that takes two buffers, and what takes several.
    let chains = [2049 - 34, 9000].map(|payload| frame(BEYOND, 64, &[], payload));
    [
        (
            "shorter than an Ethernet header",
            (runts.collect(), Discard(DiscardReason::Runt)),
        ),
        (
            "longer than a buffer",
            (chains.to_vec(), Discard(DiscardReason::Chained)),
        ),
        ("tagged", vlan(&[CUSTOMER])),
        ("tagged by a provider", vlan(&[SERVICE])),
        ("tagged by a provider of old", vlan(&[OLD_SERVICE])),
        ("tagged by both", vlan(&[SERVICE, CUSTOMER])),
        ("tagged twice by the same", vlan(&[CUSTOMER, CUSTOMER])),
        ("TTL 1", one(BEYOND, 1, &[], too_old)),
        ("TTL 1 and options", one(BEYOND, 1, &OPTIONS, too_old)),
        ("TTL 0", one(BEYOND, 0, &[], dead)),
        ("TTL 0 and options", one(BEYOND, 0, &OPTIONS, dead)),
        (
            "TTL 1, at its end",
            one(ITSELF, 1, &[], Punt(PuntReason::ForUs)),
        ),
    ]
    .map(|(about, (frames, door))| (about, frames, door))
    .to_vec()
}

/// A worker for each file, so that each file's frames count by themselves.
fn start(devices: &str, workers: usize) -> Dataplane {
    let prefix = format!("--file-prefix=irregular{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    let port = |name, device: &str| PortConfig {
        rss: Rss::None,
        rx_descriptors: 64,
        tx_descriptors: 64,
        ..PortConfig::new(name, device)
    };
    let lan = PortConfig {
        mac: Some(OWN),
        ..port("lan", devices)
    };
    let config = WorkerConfig {
        count: workers as u16,
        // There are more of them than processors.
        idle_sleep: Duration::from_micros(100),
        backlog: 64,
        mbufs: Some(32 * 1024),
        ..WorkerConfig::default()
    };
    let ports = vec![lan, port("wan", "net_null0,no-rx=1")];
    let (mut plane, _) = Dataplane::start(eal, ports, &config).unwrap();
    let gateway = [192, 0, 2, 1].into();
    let route = |prefix: &str, next_hop| RouteChange::Add {
        prefix: prefix.parse().unwrap(),
        next_hop,
    };
    let beyond = NextHop::Gateway {
        port: WAN,
        address: gateway,
    };
    let itself = format!("{ITSELF}/32");
    plane
        .change_routes(&[route("20.0.0.0/8", beyond), route(&itself, NextHop::Local)])
        .unwrap();
    plane.set_neighbour(WAN, gateway, Some(MacAddr([2, 0, 0, 0, 0, 7])));
    plane
}

/// The counters that are not zero.
fn moved<T: Copy>(counters: &[T], value: impl Fn(T) -> u64) -> Vec<(T, u64)> {
    let counted = counters.iter().map(|&counter| (counter, value(counter)));
    counted.filter(|&(_, frames)| frames > 0).collect()
}

#[test]
fn each_irregular_frame_leaves_by_the_door_of_its_reason_alone() {
    let dir = std::env::temp_dir().join(format!("irregular-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let cases = cases();
    let replayed: Vec<Vec<Vec<u8>>> = cases
        .iter()
        .map(|(_, irregular, _)| {
            let irregular = irregular.iter().cycle().take(FRAMES).cloned();
            irregular.flat_map(|frame| [frame, ordinary()]).collect()
        })
        .collect();
    let mut devices = "net_pcap0".to_owned();
    for (case, frames) in replayed.iter().enumerate() {
        let path = dir.join(format!("{case}.pcap"));
        capture::write(&path, frames.iter().cloned());
        devices += &format!(",rx_pcap={}", path.display());
    }
    let mut plane = start(&devices, cases.len());
    let mbufs = plane.mempool().in_use;

    plane.start_forwarding();
    let all = (cases.len() * FRAMES * 2) as u64;
    let deadline = Instant::now() + Duration::from_secs(10);
    while plane.frames_received(LAN) < all {
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        std::thread::yield_now();
    }
    plane.stop_forwarding();

    let counters = plane.counters();
    let frames = FRAMES as u64;
    for (((about, _, door), replayed), counts) in cases.iter().zip(&replayed).zip(&counters.workers)
    {
        let expected = match *door {
            Door::Discard(reason) => (vec![(reason, frames)], vec![]),
            Door::Punt(reason) => (vec![], vec![(reason.cause(), frames)]),
        };
        let discards = moved(DiscardReason::ALL, |reason| counts.discarded(reason));
        let punts = moved(PuntCause::ALL, |cause| counts.punted(cause));
        assert_eq!((discards, punts), expected, "{about}: {counts:?}");
        let [lan, wan] = [LAN, WAN].map(|port| counts.ports[usize::from(port)]);
        let octets = replayed.iter().map(|frame| frame.len() as u64).sum();
        assert_eq!(
            (lan.rx_packets, lan.rx_octets),
            (2 * frames, octets),
            "{about}"
        );
        let octets = frames * ordinary().len() as u64;
        assert_eq!((wan.tx_packets, wan.tx_octets), (frames, octets), "{about}");
        assert_eq!(
            (counts.parked, wan.backlog, lan.tx_packets),
            (0, 0, 0),
            "{about}"
        );
    }

    // What is for the control thread is all that is not back, and comes as it was received.
    let mut expected: Vec<(Vec<u8>, PuntReason)> = cases
        .into_iter()
        .filter_map(|(_, mut irregular, door)| match door {
            Door::Punt(reason) => Some((irregular.remove(0), reason)),
            Door::Discard(_) => None,
        })
        .flat_map(|punted| vec![punted; FRAMES])
        .collect();
    assert_eq!(plane.mempool().in_use, mbufs + expected.len() as u32);
    for class in [PuntClass::Vrrp, PuntClass::Arp] {
        assert_eq!(plane.poll_punts(class, usize::MAX, &mut |_| ()), 0);
    }
    let mut punted = Vec::new();
    plane.poll_punts(PuntClass::Rest, usize::MAX, &mut |frame| {
        assert_eq!((frame.port, frame.via), (LAN, None));
        punted.push((frame.mbuf.data().to_vec(), frame.reason));
    });
    // Which worker's come first is nobody's business.
    let octets = |(frame, _): &(Vec<u8>, PuntReason)| frame.clone();
    punted.sort_by_key(octets);
    expected.sort_by_key(octets);
    assert_eq!(punted, expected);
    assert_eq!(plane.mempool().in_use, mbufs);
    assert_eq!(plane.shutdown().mbufs, 0);
    std::fs::remove_dir_all(&dir).unwrap();
}
