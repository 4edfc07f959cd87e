//! Frames for the router itself and for several groups in one burst: each is judged by its own group, and what is routed
//! counts under its own condition.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod capture;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::addr::MacAddr;
use dataplane::counters::DiscardReason;
use dataplane::dpdk::Eal;
use dataplane::verdict::{Verdict, VerdictTable};
use dataplane::{Dataplane, Group, MatchOn, NextHop, PortConfig, RouteChange, WorkerConfig};

const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
/// Shares its load, by source.
const SHARED: u8 = 1;
/// Routes everything under one condition.
const UNIFORM: u8 = 2;
/// Shares its load, by destination.
const CARRIER: u8 = 3;
const UNIFORM_CONDITION: u32 = 1000;
const REST: u32 = 1001;

/// Frame `index`: to whom, from which host, to which, and how long its packet is.
fn frame(index: u32) -> (Option<u8>, u8, u8, u16) {
    let to = match index / 64 {
        0 => Some(SHARED),
        1 => Some(UNIFORM),
        2 => Some(CARRIER),
        3 => None,
        4 => [Some(SHARED), None][index as usize % 2],
        5 => [Some(SHARED), Some(UNIFORM)][index as usize / 8 % 2],
        6 => [Some(SHARED), Some(CARRIER)][index as usize / 50 % 2],
        _ => [None, Some(SHARED), Some(UNIFORM), Some(CARRIER)][index as usize * 7 / 3 % 4],
    };
    // The first bursts are of hosts that are this router's, by and by others come among them.
    let host = if index < 300 { index % 64 } else { index % 250 };
    (
        to,
        host as u8,
        (index * 11 % 64) as u8,
        28 + (index % 18) as u16,
    )
}

fn octets((to, source, destination, total): (Option<u8>, u8, u8, u16)) -> Vec<u8> {
    let mut frame = to.map_or(OWN, MacAddr::virtual_v4).0.to_vec();
    frame.extend([2, 0, 0, 0, 9, 1, 8, 0, 0x45, 0, 0, total as u8]);
    frame.extend([
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
        source,
        20,
        0,
        0,
        destination,
    ]);
    let sum = dataplane::wire::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame.resize(60, 0);
    frame
}

/// Below 64 this router is in charge, from 200 on nobody is named.
fn verdict(host: u8) -> (Verdict, u32) {
    match host {
        0..64 => (Verdict::Route, host.into()),
        64..200 => (Verdict::Discard, host.into()),
        _ => (Verdict::Discard, REST),
    }
}

fn verdicts(network: [u8; 2], first_condition: u32, connected: bool) -> Arc<VerdictTable> {
    let mut builder = VerdictTable::builder(Verdict::Discard, REST);
    if connected {
        let prefix = format!("{}.{}.0.0/24", network[0], network[1]);
        builder = builder.connected(prefix.parse().unwrap(), first_condition);
    }
    for host in 0..200 {
        let (verdict, condition) = verdict(host);
        let address = [network[0], network[1], 0, host].into();
        builder = builder.condition(address, verdict, first_condition + condition);
    }
    Arc::new(builder.build().unwrap())
}

#[test]
fn each_frame_of_a_burst_counts_under_the_condition_of_its_group() {
    const FRAMES: u32 = 64 * 12;
    const CARRIER_FIRST: u32 = 300;
    let dir = std::env::temp_dir().join(format!("groups-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let input = dir.join("in.pcap");
    capture::write(&input, (0..FRAMES).map(|index| octets(frame(index))));
    let prefix = format!("--file-prefix=groups{}", std::process::id());
    let eal = Eal::init(["--no-huge", "--in-memory", "--no-pci", "-m", "256", &prefix]).unwrap();
    let lan = format!("net_pcap0,rx_pcap={},tx_pcap=/dev/null", input.display());
    let ports = vec![
        PortConfig {
            mac: Some(OWN),
            ..PortConfig::new("lan", &lan)
        },
        PortConfig::new("wan", "net_null0,no-rx=1"),
    ];
    let (mut plane, _) = Dataplane::start(eal, ports, &WorkerConfig::default()).unwrap();
    let gateway = [192, 0, 2, 1].into();
    let next_hop = NextHop::Gateway {
        port: 1,
        address: gateway,
    };
    let prefix = "20.0.0.0/8".parse().unwrap();
    plane
        .change_routes(&[RouteChange::Add { prefix, next_hop }])
        .unwrap();
    plane.set_neighbour(1, gateway, Some(MacAddr([2, 0, 0, 0, 0, 7])));
    for (vrid, verdicts, match_on) in [
        (SHARED, verdicts([10, 0], 0, true), MatchOn::Source),
        (
            UNIFORM,
            Arc::new(VerdictTable::uniform(
                Verdict::Route,
                UNIFORM_CONDITION as u16,
            )),
            MatchOn::Source,
        ),
        (
            CARRIER,
            verdicts([20, 0], CARRIER_FIRST, false),
            MatchOn::Destination,
        ),
    ] {
        plane
            .set_group(0, vrid, Some(Group { verdicts, match_on }))
            .unwrap();
    }

    let (mut by_condition, mut sent, mut discarded) = (HashMap::<u32, u64>::new(), 0, 0);
    for (to, source, destination, total) in (0..FRAMES).map(frame) {
        let (verdict, condition) = match to {
            None => (Verdict::Route, None),
            Some(SHARED) => {
                let (verdict, condition) = verdict(source);
                (verdict, Some(condition))
            }
            Some(UNIFORM) => (Verdict::Route, Some(UNIFORM_CONDITION)),
            Some(_) => {
                let (verdict, condition) = verdict(destination);
                (verdict, Some(CARRIER_FIRST + condition))
            }
        };
        if verdict == Verdict::Route {
            sent += 1;
            if let Some(condition) = condition {
                *by_condition.entry(condition).or_default() += u64::from(total);
            }
        } else {
            discarded += 1;
        }
    }
    plane.start_forwarding();
    let deadline = Instant::now() + Duration::from_secs(10);
    while plane.frames_received(0) < FRAMES.into() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    plane.stop_forwarding();
    let total = plane.counters().total();
    assert_eq!(total.ports[1].tx_packets, sent, "{total:?}");
    assert_eq!(
        total.discarded(DiscardReason::NotInCharge),
        discarded,
        "{total:?}"
    );
    assert!(sent > 0 && discarded > 0);
    for condition in 0..2000 {
        let octets = by_condition.get(&condition).copied().unwrap_or(0);
        assert_eq!(plane.condition_octets(condition), octets, "{condition}");
    }
    assert_eq!(plane.shutdown().mbufs, 0);
    std::fs::remove_dir_all(&dir).unwrap();
}
