//! Packets for a next hop whose MAC is not known wait at the worker that received them, and none overtakes another, whenever the MAC becomes known.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod awaited;
mod capture;

use std::net::Ipv4Addr;

use awaited::{GATEWAY, HOST, TTL, WAN, directory, send, start, wait_for_question, wait_until};
use dataplane::Neighbour;
use dataplane::addr::MacAddr;

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
