//! A frame goes in at one port and out at another, changed as a router changes it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::dpdk::Eal;
use dataplane::{Dataplane, NextHop, PortConfig, RouteChange, WorkerConfig};

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const WAN_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

/// A padless frame with a number in it.
fn frame([to, from]: [MacAddr; 2], number: u16, ttl: u8) -> Vec<u8> {
    let mut frame = [to.0, from.0].concat();
    let [high, low] = number.to_be_bytes();
    frame.extend([8, 0, 0x45, 0, 0, 46, high, low, 0, 0, ttl, 17, 0, 0]);
    frame.extend([10, 0, 0, 9, 20, 0, 0, 1]);
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(60, 7);
    frame
}

/// Every TTL that suffices for a hop, and checksums of every size.
fn frames(macs: [MacAddr; 2], hops: u8) -> impl Iterator<Item = Vec<u8>> {
    let ttls = (2..=255).cycle().take(1000);
    (0..)
        .zip(ttls)
        .map(move |(number, ttl)| frame(macs, number * 65, ttl - hops))
}

#[test]
fn a_frame_is_routed_from_port_to_port() {
    let dir = std::env::temp_dir().join(format!("road-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (input, nothing, output) = (
        dir.join("in.pcap"),
        dir.join("nothing.pcap"),
        dir.join("out.pcap"),
    );
    capture::write(&nothing, []);
    capture::write(&input, frames([OWN, HOST_MAC], 0));

    let prefix = format!("road{}", std::process::id());
    let eal = Eal::init([
        "--no-huge",
        "--in-memory",
        "--no-pci",
        "-m",
        "256",
        "--file-prefix",
        &prefix,
    ])
    .unwrap();
    let ports = vec![
        PortConfig {
            mac: Some(OWN),
            ..PortConfig::new(
                "lan",
                &format!("net_pcap0,rx_pcap={},tx_pcap=/dev/null", input.display()),
            )
        },
        PortConfig {
            mac: Some(WAN_MAC),
            ..PortConfig::new(
                "wan",
                &format!(
                    "net_pcap1,rx_pcap={},tx_pcap={}",
                    nothing.display(),
                    output.display()
                ),
            )
        },
    ];
    let (mut plane, report) = Dataplane::start(eal, ports, &WorkerConfig::default()).unwrap();
    println!("{report:?}");
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
    plane.set_neighbour(1, gateway, Some(GATEWAY_MAC));
    plane.start_forwarding();
    let deadline = Instant::now() + Duration::from_secs(10);
    while plane.counters().total().ports[1].tx_packets < 1000 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    println!("{:?}", plane.counters().total());
    assert_eq!(plane.counters().total().ports[1].tx_packets, 1000);
    assert_eq!(plane.shutdown().mbufs, 0);
    let sent = capture::read(&output).into_iter().map(|(_, frame)| frame);
    assert!(sent.eq(frames([GATEWAY_MAC, WAN_MAC], 1)));
    std::fs::remove_dir_all(&dir).unwrap();
}
