//! Two workers, each on a queue of its own, while routes and verdicts change under them: every packet takes the old way or the
//! new one, and all counters add up.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::DiscardReason;
use dataplane::dpdk::{Eal, Rss};
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{Dataplane, Group, MatchOn, NextHop, PortConfig, RouteChange, WorkerConfig};

const VRID: u8 = 3;
const HOSTS: u8 = 64;
const IP_OCTETS: u64 = 46;
/// What each worker is to have received at least.
const PACKETS: u64 = 20_000;
const CHANGES: usize = 300;

/// A padless frame to the group.
fn frame(host: u8) -> Vec<u8> {
    let mut frame = MacAddr::virtual_v4(VRID).0.to_vec();
    frame.extend([2, 0, 0, 0, 9, host, 8, 0]);
    frame.extend([
        0x45,
        0,
        0,
        IP_OCTETS as u8,
        0,
        0,
        0,
        0,
        64,
        17,
        0,
        0,
        10,
        0,
        0,
        host,
    ]);
    frame.extend([20, 0, 0, 1]);
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(60, 0);
    frame
}

fn write_pcap(path: &Path) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for frame in (0..HOSTS).map(frame) {
        for word in [0, 0, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    std::fs::write(path, file).unwrap();
}

fn start(replayed: &Path) -> Dataplane {
    let prefix = format!("--file-prefix=two{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    let queue = format!("rx_pcap={}", replayed.display());
    let ports = vec![
        PortConfig {
            mac: Some(MacAddr([2, 0, 0, 0, 0, 1])),
            rss: Rss::None,
            ..PortConfig::new("lan", &format!("net_pcap0,{queue},{queue},infinite_rx=1"))
        },
        PortConfig {
            rss: Rss::None,
            ..PortConfig::new("wan", "net_null0,no-rx=1")
        },
    ];
    let config = WorkerConfig {
        count: 2,
        ..WorkerConfig::default()
    };
    Dataplane::start(eal, ports, &config).unwrap().0
}

fn gateway(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
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
    let file = std::env::temp_dir().join(format!("two-workers-{}.pcap", std::process::id()));
    write_pcap(&file);
    let mut plane = start(&file);
    std::fs::remove_file(&file).unwrap();
    let add = |prefix: &str, last| RouteChange::Add {
        prefix: prefix.parse().unwrap(),
        next_hop: NextHop::Gateway {
            port: 1,
            address: gateway(last),
        },
    };
    let delete = |prefix: &str| RouteChange::Delete {
        prefix: prefix.parse().unwrap(),
    };
    for last in [1, 2, 3] {
        plane.set_neighbour(1, gateway(last), Some(MacAddr([2, 0, 0, 0, 1, last])));
    }
    plane.change_routes(&[add("20.0.0.0/8", 1)]).unwrap();
    let tables = [verdicts(0), verdicts(1)];
    let group = Group {
        verdicts: Arc::clone(&tables[0]),
        match_on: MatchOn::Source,
    };
    plane.set_group(0, VRID, Some(group)).unwrap();
    plane.start_forwarding();

    let (deadline, mut change) = (Instant::now() + Duration::from_secs(60), 0);
    let worked = |plane: &Dataplane| {
        let workers = plane.counters().workers;
        workers
            .iter()
            .all(|worker| worker.ports[0].rx_packets >= PACKETS)
    };
    while change < CHANGES || !worked(&plane) {
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        change += 1;
        let routes = match change % 3 {
            0 => [add("20.0.0.0/16", 2), add("20.0.0.1/32", 3)],
            1 => [delete("20.0.0.0/16"), add("20.0.0.0/25", 2)],
            _ => [delete("20.0.0.1/32"), delete("20.0.0.0/25")],
        };
        plane.change_routes(&routes).unwrap();
        plane.set_verdicts(0, VRID, Arc::clone(&tables[change % 2]));
        plane.maintain();
    }
    plane.stop_forwarding();

    let counters = plane.counters();
    let total = counters.total();
    let (received, sent) = (total.ports[0].rx_packets, total.ports[1].tx_packets);
    let discarded = total.discarded(DiscardReason::NotInCharge);
    println!("{received} received, {sent} sent, {change} changes");
    assert_eq!(received, sent + discarded, "{counters:?}");
    assert_eq!(total.discarded_total(), discarded, "{counters:?}");
    assert!(
        sent > 0 && discarded > 0,
        "both verdicts were in force: {counters:?}"
    );
    assert_eq!(
        total.ports[0].rx_octets,
        received * (IP_OCTETS + 14),
        "{counters:?}"
    );
    assert_eq!(
        total.ports[1].tx_octets,
        sent * (IP_OCTETS + 14),
        "{counters:?}"
    );
    let by_condition = (0..u32::from(HOSTS)).map(|host| plane.condition_octets(host));
    assert_eq!(by_condition.sum::<u64>(), sent * IP_OCTETS, "{counters:?}");
    for worker in &counters.workers {
        let handled = worker.ports[1].tx_packets + worker.discarded_total();
        assert_eq!(worker.ports[0].rx_packets, handled, "{counters:?}");
    }
    assert_eq!(plane.shutdown().mbufs, 0);
}
