//! The short cuts past the road: everything out of the paired port, an odd last port being its own.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::dpdk::Eal;
use dataplane::{Dataplane, ForwardingMode, PortConfig, WorkerConfig};

const PORTS: u8 = 3;

fn own_mac(port: u8) -> MacAddr {
    MacAddr([0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x50 + port])
}

fn pair(port: u8) -> u8 {
    [1, 0, 2][usize::from(port)]
}

/// Frames that a router would not let pass, each with its port in it: to anybody, of any protocol, with a TTL of zero and no checksum,
/// tagged, and as short as there are and long.
fn frames(port: u8, macs: Option<[MacAddr; 2]>) -> Vec<Vec<u8>> {
    let strangers = [0x33, 0x44].map(|octet| MacAddr([2, octet, 0, 0, 0, port]));
    let macs = macs.unwrap_or(strangers).map(|mac| mac.0).concat();
    let rests = [
        vec![
            8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 0, 17, 0, 0, 10, 0, 0, port,
        ],
        vec![8, 6, 0, 1, 8, 0, 6, 4, 0, 1, port],
        vec![0x86, 0xdd, 0x60, port],
        vec![0x81, 0, 0, 5, 8, 0, 0x45, port],
    ];
    let kinds = rests.iter().flat_map(|rest| {
        [60, 1514].map(|octets| {
            let mut frame = [macs.as_slice(), rest].concat();
            frame.resize(octets, 7);
            frame
        })
    });
    // Of another number at each port, and more than a burst.
    let kinds: Vec<Vec<u8>> = kinds.collect();
    kinds
        .into_iter()
        .cycle()
        .take(80 + usize::from(port))
        .collect()
}

#[test]
fn the_mode_mac_sends_everything_out_of_the_paired_port_with_that_ports_macs() {
    let dir = std::env::temp_dir().join(format!("paired-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let output = |port: u8| -> PathBuf { dir.join(format!("out{port}.pcap")) };
    let prefix = format!("--file-prefix=paired{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    let ports = (0..PORTS).map(|port| {
        let input = dir.join(format!("in{port}.pcap"));
        capture::write(&input, frames(port, None));
        let (input, output) = (input.display(), output(port));
        let output = output.display();
        let device = format!("net_pcap{port},rx_pcap={input},tx_pcap={output}");
        PortConfig {
            mac: Some(own_mac(port)),
            ..PortConfig::new(&format!("port{port}"), &device)
        }
    });
    let config = WorkerConfig::default();
    let (mut plane, _) = Dataplane::start(eal, ports.collect(), &config).unwrap();
    let mbufs = plane.mempool().in_use;
    plane.set_mode(ForwardingMode::Mac);
    plane.start_forwarding();

    let count = |port| frames(port, None).len() as u64;
    let octets = |port| {
        frames(port, None)
            .iter()
            .map(|frame| frame.len() as u64)
            .sum()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while (0..PORTS).any(|port| plane.frames_received(port.into()) < count(port)) {
        assert!(Instant::now() < deadline, "{:?}", plane.counters());
        std::thread::yield_now();
    }
    plane.stop_forwarding();
    let counts = plane.counters().total();
    assert_eq!(counts.discarded_total(), 0, "{counts:?}");
    for port in 0..PORTS {
        let counts = counts.ports[usize::from(port)];
        let received = (counts.rx_packets, counts.rx_octets);
        assert_eq!(received, (count(port), octets(port)), "port {port}");
        let sent = (counts.tx_packets, counts.tx_octets);
        assert_eq!(sent, (count(pair(port)), octets(pair(port))), "port {port}");
    }
    assert_eq!(plane.mempool().in_use, mbufs);
    assert_eq!(plane.shutdown().mbufs, 0);
    for port in 0..PORTS {
        let sent = capture::read(&output(port)).into_iter();
        let macs = [MacAddr([2, 0, 0, 0, 0, port]), own_mac(port)];
        let expected = frames(pair(port), Some(macs));
        assert!(sent.map(|(_, frame)| frame).eq(expected), "port {port}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}
