//! A frame goes in at one port and out at another.
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
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0];
    frame.extend([
        0x45, 0, 0, 40, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 9, 20, 0, 0, 1,
    ]);
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.extend([7; 26]);
    capture::write(&input, vec![frame; 100]);

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
        PortConfig::new(
            "wan",
            &format!(
                "net_pcap1,rx_pcap={},tx_pcap={}",
                nothing.display(),
                output.display()
            ),
        ),
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
    plane.set_neighbour(1, gateway, Some(MacAddr([2, 0, 0, 0, 0, 7])));
    plane.start_forwarding();
    let deadline = Instant::now() + Duration::from_secs(10);
    while plane.counters().total().ports[1].tx_packets < 100 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    println!("{:?}", plane.counters().total());
    assert_eq!(plane.counters().total().ports[1].tx_packets, 100);
    assert_eq!(plane.shutdown().mbufs, 0);
    let out = std::fs::read(&output).unwrap();
    assert_eq!(out.len(), 24 + 100 * (16 + 54));
    println!("{:02x?}", &out[24 + 16..24 + 16 + 54]);
}
