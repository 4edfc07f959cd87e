//! A network that loses, doubles and delays: control messages at random, and the whole port of one router.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lab::frame::ETHERNET_OCTETS;
use lab::load::{Load, Report};
use lab::relay::{Dice, Relay, Towards};
use lab::topology::sharing::Sharing;

use super::moves::move_around;
use super::{DEADLINE, RATES, expect_exact, told, told_group};

/// Whether a frame is a message of load sharing: VRRP, and no advertisement.
fn is_control(frame: &[u8]) -> bool {
    const VRRP: u8 = 112;
    const ADVERTISEMENT: u8 = 1;
    let is_vrrp = frame.get(12..14) == Some(&[8, 0]) && frame.get(23) == Some(&VRRP);
    let first = frame.get(ETHERNET_OCTETS + 20);
    is_vrrp && first.is_some_and(|first| first & 0x0f != ADVERTISEMENT)
}

/// Control messages on either side of a router: one in ten is lost, one in ten comes twice, and half of all come late by up to
/// 20 ms, so that they overtake each other. Each passes two such ports; that nothing of a router comes through until it counts as faulty is not
/// to be expected.
fn at_random(net: &Sharing, router: u8, seed: u64) -> Relay {
    const LATEST_US: u64 = 20_000;
    let mut dice = Dice(seed);
    let treatment = move |_, frame: &[u8]| {
        if !is_control(frame) {
            return vec![Duration::ZERO];
        }
        let copies = match dice.roll(10) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        let mut late = || match dice.roll(2) {
            0 => Duration::ZERO,
            _ => Duration::from_micros(dice.roll(LATEST_US)),
        };
        (0..copies).map(|_| late()).collect()
    };
    net.relay(router, Box::new(treatment)).expect("a relay")
}

#[test]
fn moves_are_exact_while_control_messages_are_lost_doubled_and_late() {
    let net = Sharing::new(6, 3, 2).expect("a network");
    let relays: Vec<Relay> = (0..3)
        .map(|router| at_random(&net, router, 100 + u64::from(router)))
        .collect();
    let group = told_group(&net, &told(""));
    let since = group.mark();
    let load = Load::start(&net, RATES).expect("a load");
    let moves = move_around(&group, 6, 3);
    let report = load.stop().expect("counts");
    let treated: Vec<u64> = relays.iter().map(Relay::treated).collect();
    println!("{moves} moves; messages lost, doubled or late at each port: {treated:?}");
    assert!(treated.iter().all(|treated| *treated > 100), "{treated:?}");
    expect_exact(&net, &group, &since, &report);
    group.wait_until_agreed(DEADLINE).expect("agreement");
}

/// By how much frames come late to a port.
#[derive(Debug, Default)]
struct Late {
    data_us: AtomicU64,
    control_us: AtomicU64,
}

impl Late {
    fn set(&self, data: Duration, control: Duration) {
        let us = |late: Duration| late.as_micros() as u64;
        self.data_us.store(us(data), Ordering::Relaxed);
        self.control_us.store(us(control), Ordering::Relaxed);
    }

    fn of(&self, frame: &[u8]) -> Duration {
        let late = match is_control(frame) {
            true => &self.control_us,
            false => &self.data_us,
        };
        Duration::from_micros(late.load(Ordering::Relaxed))
    }
}

#[test]
fn moves_are_exact_with_a_late_receive_queue_as_long_as_messages_are_ahead_by_less_than_skew() {
    const SKEW: Duration = Duration::from_millis(30);
    let net = Sharing::new(6, 3, 2).expect("a network");
    let late = Arc::new(Late::default());
    let treatment = {
        let late = Arc::clone(&late);
        move |towards, frame: &[u8]| match towards {
            Towards::Machine => vec![late.of(frame)],
            Towards::Network => vec![Duration::ZERO],
        }
    };
    // A router in the middle: one round makes it N, and P, of every end system.
    let relay = net.relay(1, Box::new(treatment)).expect("a relay");
    let setup = told("skew = \"30ms\"");
    let group = told_group(&net, &setup);
    let since = group.mark();
    let moves_with = |data: Duration, control: Duration| -> Report {
        late.set(data, control);
        let load = Load::start(&net, RATES).expect("a load");
        move_around(&group, 2, 3);
        let report = load.stop();
        if report.is_err() {
            println!("{}", group.story());
        }
        let report = report.expect("counts");
        println!("data late by {data:?}, messages by {control:?}");
        report
    };
    for (data, control) in [
        // Each queue keeps its order, so that it does not matter how late it is.
        (3 * SKEW, 3 * SKEW),
        // Messages come ahead of the data that was sent before them.
        (SKEW / 3, Duration::ZERO),
        (Duration::ZERO, SKEW / 3),
    ] {
        expect_exact(&net, &group, &since, &moves_with(data, control));
    }
    // Beyond the bound nothing is promised; if nothing showed, the rest of this test would mean nothing.
    let report = moves_with(5 * SKEW, Duration::ZERO);
    println!("{:?}", report.total());
    assert!(!report.total().is_exact(), "{report:#?}");
    relay.stop().expect("an end");
}
