//! Two workers, each on a queue of its own, while routes and verdicts change under them: every packet takes the old way or the
//! new one, with nothing else of it changed than a router changes, and all counters add up. What they send is read from pipes
//! while they send it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::fs::File;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::DiscardReason;
use dataplane::dpdk::{Eal, Rss};
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{Dataplane, Group, MatchOn, NextHop, PortConfig, RouteChange, WorkerConfig};

const VRID: u8 = 3;
const HOSTS: u8 = 64;
const IP_OCTETS: u64 = 46;
const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const CHANGES: usize = 400;
/// What each worker receives at least between two changes: a burst of before the change may be under way.
const PACKETS: u64 = 2 * 64;
const WORKERS: usize = 2;
const WAYS: usize = 3;

/// Where packets go to, and which ways the routes give them, one after the other.
const DESTINATIONS: [(Ipv4Addr, [bool; WAYS]); 4] = [
    (Ipv4Addr::new(20, 0, 0, 1), [true, true, true]),
    (Ipv4Addr::new(20, 0, 0, 2), [true, true, false]),
    (Ipv4Addr::new(20, 0, 1, 1), [true, true, false]),
    (Ipv4Addr::new(20, 1, 0, 1), [true, false, false]),
];

/// By whether a host is odd it is this router's or not.
fn destination(host: u8) -> usize {
    usize::from(host / 2) % DESTINATIONS.len()
}

/// A padless frame.
fn frame([to, from]: [MacAddr; 2], host: u8, ttl: u8) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    frame.extend([8, 0, 0x45, 0, 0, IP_OCTETS as u8, 0, 0, 0, 0, ttl, 17]);
    frame.extend([0, 0, 10, 0, 0, host]);
    frame.extend(DESTINATIONS[destination(host)].0.octets());
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(60, host);
    frame
}

/// By which ways a worker sent packets to which destination.
type Sent = [[AtomicU64; WAYS]; DESTINATIONS.len()];

/// Reads what a worker sends, until the port closes, and checks each frame.
fn watch(pipe: &Path, sent: &Sent) {
    for (_, octets) in capture::frames(BufReader::new(File::open(pipe).unwrap())) {
        let host = octets[29];
        let possible = DESTINATIONS[destination(host)].1;
        let way = (0..WAYS)
            .filter(|&way| possible[way])
            .find(|&way| octets == frame([way_mac(way), WAN_MAC], host, 63));
        assert!(way.is_some(), "no way: {octets:02x?}");
        sent[destination(host)][way.unwrap()].fetch_add(1, Ordering::Relaxed);
    }
}

fn start(replayed: &Path, nothing: &Path, pipes: &[PathBuf]) -> Dataplane {
    let prefix = format!("--file-prefix=two{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    let queue = format!("rx_pcap={}", replayed.display());
    let mut wan = "net_pcap1".to_owned();
    for pipe in pipes {
        wan += &format!(",rx_pcap={},tx_pcap={}", nothing.display(), pipe.display());
    }
    let ports = vec![
        PortConfig {
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            rss: Rss::None,
            ..PortConfig::new("lan", &format!("net_pcap0,{queue},{queue},infinite_rx=1"))
        },
        PortConfig {
            mac: Some(WAN_MAC),
            rss: Rss::None,
            ..PortConfig::new("wan", &wan)
        },
    ];
    let config = WorkerConfig {
        count: WORKERS as u16,
        ..WorkerConfig::default()
    };
    Dataplane::start(eal, ports, &config).unwrap().0
}

fn gateway(way: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 1 + way as u8)
}

fn way_mac(way: usize) -> MacAddr {
    MacAddr([2, 0, 0, 0, 1, way as u8])
}

/// The even hosts are this router's to route, or the odd ones; each has a condition of its own.
fn verdicts(odd: u8) -> Arc<VerdictTable> {
    let mut table = VerdictTable::builder(Verdict::Discard, u32::from(HOSTS))
        .connected("10.0.0.0/24".parse().unwrap(), 0);
    for host in 0..HOSTS {
        let verdict = if host % 2 == odd {
            Verdict::Route
        } else {
            Verdict::Discard
        };
        table = table.condition([10, 0, 0, host].into(), verdict, host.into());
    }
    Arc::new(table.build().unwrap())
}

#[test]
fn two_workers_lose_nothing_while_routes_and_verdicts_change() {
    let dir = std::env::temp_dir().join(format!("two-workers-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (replayed, nothing) = (dir.join("in.pcap"), dir.join("nothing.pcap"));
    let to_group = [MacAddr::virtual_v4(VRID), MacAddr([2, 0, 0, 0, 9, 1])];
    capture::write(&replayed, (0..HOSTS).map(|host| frame(to_group, host, 64)));
    capture::write(&nothing, []);
    let pipes: Vec<PathBuf> = (0..WORKERS)
        .map(|worker| dir.join(format!("worker{worker}")))
        .collect();
    let sent: Arc<[Sent; WORKERS]> = Arc::default();
    let mut watchers = Vec::new();
    for (worker, pipe) in pipes.iter().enumerate() {
        nix::unistd::mkfifo(pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (pipe, sent) = (pipe.clone(), Arc::clone(&sent));
        watchers.push(thread::spawn(move || watch(&pipe, &sent[worker])));
    }
    let mut plane = start(&replayed, &nothing, &pipes);
    std::fs::remove_dir_all(&dir).unwrap();
    let add = |prefix: &str, way| RouteChange::Add {
        prefix: prefix.parse().unwrap(),
        next_hop: NextHop::Gateway {
            port: 1,
            address: gateway(way),
        },
    };
    let delete = |prefix: &str| RouteChange::Delete {
        prefix: prefix.parse().unwrap(),
    };
    for way in 0..WAYS {
        plane.set_neighbour(1, gateway(way), Some(way_mac(way)));
    }
    plane.change_routes(&[add("20.0.0.0/8", 0)]).unwrap();
    let tables = [verdicts(0), verdicts(1)];
    let group = Group {
        verdicts: Arc::clone(&tables[0]),
        match_on: MatchOn::Source,
    };
    plane.set_group(0, VRID, Some(group)).unwrap();
    plane.start_forwarding();

    let received = |plane: &Dataplane| {
        let workers = plane.counters().workers.into_iter();
        let received = workers.map(|worker| worker.ports[0].rx_packets);
        received.collect::<Vec<u64>>()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    for change in 0..CHANGES {
        let routes = match change % 4 {
            0 => vec![add("20.0.0.0/16", 1), add("20.0.0.1/32", 2)],
            1 => vec![delete("20.0.0.0/16"), add("20.0.0.0/25", 1)],
            2 => vec![delete("20.0.0.1/32")],
            _ => vec![delete("20.0.0.0/25")],
        };
        plane.change_routes(&routes).unwrap();
        // In steps of another number, so that every verdict meets every route.
        let verdicts = Arc::clone(&tables[change % 3 % 2]);
        plane.set_verdicts(0, VRID, verdicts);
        plane.maintain();
        let then = received(&plane);
        while (received(&plane).iter().zip(&then)).any(|(now, then)| now - then <= PACKETS) {
            let watched = watchers.iter().all(|watcher| !watcher.is_finished());
            assert!(
                watched && Instant::now() < deadline,
                "{sent:?} {:?}",
                plane.counters()
            );
            thread::yield_now();
        }
    }
    plane.stop_forwarding();

    let counters = plane.counters();
    let total = counters.total();
    let (received, forwarded) = (total.ports[0].rx_packets, total.ports[1].tx_packets);
    let discarded = total.discarded(DiscardReason::NotInCharge);
    println!("{received} received, {forwarded} sent: {sent:?}");
    assert_eq!(received, forwarded + discarded, "{counters:?}");
    assert_eq!(total.discarded_total(), discarded, "{counters:?}");
    assert!(
        forwarded > 0 && discarded > 0,
        "both verdicts were in force: {counters:?}"
    );
    assert_eq!(
        total.ports[0].rx_octets,
        received * (IP_OCTETS + 14),
        "{counters:?}"
    );
    assert_eq!(
        total.ports[1].tx_octets,
        forwarded * (IP_OCTETS + 14),
        "{counters:?}"
    );
    let by_condition = (0..u32::from(HOSTS)).map(|host| plane.condition_octets(host));
    assert_eq!(
        by_condition.sum::<u64>(),
        forwarded * IP_OCTETS,
        "{counters:?}"
    );
    for worker in &counters.workers {
        let handled = worker.ports[1].tx_packets + worker.discarded_total();
        assert_eq!(worker.ports[0].rx_packets, handled, "{counters:?}");
    }
    assert_eq!(plane.shutdown().mbufs, 0);
    for watcher in watchers {
        watcher.join().unwrap();
    }
    for (worker, sent) in counters.workers.iter().zip(&*sent) {
        let sent = sent
            .each_ref()
            .map(|ways| ways.each_ref().map(|frames| frames.load(Ordering::Relaxed)));
        let forwarded = sent.iter().flatten().sum::<u64>();
        assert_eq!(forwarded, worker.ports[1].tx_packets, "{sent:?}");
        let possible = DESTINATIONS.map(|(_, possible)| possible);
        assert_eq!(sent.map(|ways| ways.map(|frames| frames > 0)), possible);
    }
}
