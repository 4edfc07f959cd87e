//! The rings to the control thread: a storm of one class fills its own and takes no place from the others, and what is too much
//! counts to a frame.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::{DiscardReason, PuntCause, PuntClass};
use dataplane::dpdk::{Eal, Rss};
use dataplane::{Dataplane, NextHop, PortConfig, Punted, RouteChange, WorkerConfig};

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Of the class that storms.
const STORM: u16 = 3000;
/// Of each other class.
const OTHERS: u16 = 300;
const CLASSES: [PuntClass; 3] = [PuntClass::Vrrp, PuntClass::Arp, PuntClass::Rest];

/// How many frames of a class wait for the control thread at most (`RINGS` in `plane/start.rs`).
fn ring(class: PuntClass) -> u16 {
    match class {
        PuntClass::Vrrp => 2048,
        PuntClass::Arp | PuntClass::Rest => 1024,
    }
}

/// How many frames of a class come in a storm of another, or of its own.
fn offered(class: PuntClass, storming: PuntClass) -> u16 {
    if class == storming { STORM } else { OTHERS }
}

/// How many of them find room.
fn kept(class: PuntClass, storming: PuntClass) -> u16 {
    offered(class, storming).min(ring(class))
}

fn overflow(class: PuntClass) -> DiscardReason {
    match class {
        PuntClass::Vrrp => DiscardReason::PuntVrrpOverflow,
        PuntClass::Arp => DiscardReason::PuntArpOverflow,
        PuntClass::Rest => DiscardReason::PuntRestOverflow,
    }
}

fn cause(class: PuntClass) -> PuntCause {
    match class {
        PuntClass::Vrrp => PuntCause::Vrrp,
        PuntClass::Arp => PuntCause::Arp,
        PuntClass::Rest => PuntCause::TtlExceeded,
    }
}

/// A frame with a number in its sender's MAC, and its file's.
fn frame(class: PuntClass, file: u8, number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let packet = |ttl, protocol, destination: [u8; 4]| {
        let mut packet = vec![0x45, 0, 0, 46, 0, 0, 0, 0, ttl, protocol, 0, 0, 10, 0, 0, 1];
        packet.extend(destination);
        let sum = dataplane::wire::checksum::of(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet
    };
    let (to, ether_type, packet) = match class {
        PuntClass::Vrrp => {
            let group = [0x01, 0, 0x5e, 0, 0, 0x12];
            (group, [8, 0], packet(255, 112, [224, 0, 0, 18]))
        }
        PuntClass::Arp => ([0xff; 6], [8, 6], vec![0, 1, 8, 0, 6, 4, 0, 1]),
        PuntClass::Rest => (OWN.0, [8, 0], packet(1, 17, [20, 0, 0, 1])),
    };
    let mut frame = to.to_vec();
    frame.extend([2, 0, 9, file, high, low]);
    frame.extend(ether_type);
    frame.extend(packet);
    frame.resize(60, 0);
    frame
}

/// A storm, the frames of the other classes evenly among it.
fn replayed(class: PuntClass, file: u8) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..STORM {
        frames.push(frame(class, file, number));
        if number % (STORM / OTHERS) == 0 {
            let others = CLASSES.iter().filter(|&&other| other != class);
            frames.extend(others.map(|&other| frame(other, file, number / (STORM / OTHERS))));
        }
    }
    frames
}

fn start(device: &str) -> Dataplane {
    let prefix = format!("--file-prefix=rings{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    let ports = vec![
        PortConfig {
            mac: Some(OWN),
            rss: Rss::None,
            ..PortConfig::new("lan", device)
        },
        PortConfig {
            rss: Rss::None,
            ..PortConfig::new("wan", "net_null0,no-rx=1")
        },
    ];
    let config = WorkerConfig {
        count: CLASSES.len() as u16,
        // There may be more of them than processors.
        idle_sleep: Duration::from_micros(100),
        backlog: 64,
        ..WorkerConfig::default()
    };
    let (mut plane, _) = Dataplane::start(eal, ports, &config).unwrap();
    let gateway = [192, 0, 2, 1].into();
    plane
        .change_routes(&[RouteChange::Add {
            prefix: "20.0.0.0/8".parse().unwrap(),
            next_hop: NextHop::Gateway {
                port: 1,
                address: gateway,
            },
        }])
        .unwrap();
    plane.set_neighbour(1, gateway, Some(MacAddr([2, 0, 0, 0, 0, 7])));
    plane
}

#[test]
fn a_storm_of_one_class_takes_no_place_from_the_others() {
    let dir = std::env::temp_dir().join(format!("punt-rings-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    // A file for each class that storms, and a worker for each file: every worker has rings of its own.
    let mut device = "net_pcap0".to_owned();
    let mut all = 0;
    for (file, &class) in CLASSES.iter().enumerate() {
        let path = dir.join(format!("{class}.pcap"));
        let frames = replayed(class, file as u8);
        all += frames.len() as u64;
        capture::write(&path, frames);
        device += &format!(",rx_pcap={}", path.display());
    }
    let mut plane = start(&device);
    let mbufs = plane.mempool().in_use;
    plane.start_forwarding();
    // Nothing is polled before all of it has come.
    let deadline = Instant::now() + Duration::from_secs(10);
    while plane.frames_received(0) < all {
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        std::thread::yield_now();
    }
    plane.stop_forwarding();

    let counters = plane.counters();
    for (&storming, counts) in CLASSES.iter().zip(&counters.workers) {
        for class in CLASSES {
            let (offered, kept) = (offered(class, storming), kept(class, storming));
            let seen = (
                counts.punted(cause(class)),
                counts.discarded(overflow(class)),
            );
            let expected = (u64::from(kept), u64::from(offered - kept));
            assert_eq!(seen, expected, "{class} in a storm of {storming}");
        }
        let punted = PuntCause::ALL.iter().map(|&cause| counts.punted(cause));
        let punted = punted.sum::<u64>();
        // Under no other reason either.
        let too_many = counts.discarded(overflow(storming));
        assert_eq!(counts.discarded_total(), too_many, "{counts:?}");
        assert_eq!(counts.ports[0].rx_packets, punted + too_many, "{counts:?}");
    }

    // Those that came first are there, in their order.
    for class in CLASSES {
        let mut numbers: HashMap<u8, Vec<u16>> = HashMap::new();
        let waiting = CLASSES.iter().map(|&storming| kept(class, storming));
        let waiting = waiting.map(usize::from).sum::<usize>();
        let mut take = |frame: Punted| {
            let octets = frame.mbuf.data();
            let number = u16::from_be_bytes([octets[10], octets[11]]);
            numbers.entry(octets[9]).or_default().push(number);
        };
        // No more at a time than the control thread asks for.
        assert_eq!(plane.poll_punts(class, 10, &mut take), 10);
        assert_eq!(plane.poll_punts(class, usize::MAX, &mut take), waiting - 10);
        for (file, &storming) in CLASSES.iter().enumerate() {
            let seen = &numbers[&(file as u8)];
            assert!(
                seen.iter().copied().eq(0..kept(class, storming)),
                "{class} in a storm of {storming}"
            );
        }
    }
    assert_eq!(plane.mempool().in_use, mbufs);
    assert_eq!(plane.shutdown().mbufs, 0);
    std::fs::remove_dir_all(&dir).unwrap();
}
