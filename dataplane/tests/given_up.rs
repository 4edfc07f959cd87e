//! Packets for a next hop that is given up leave by the door to the control thread, in order. In a process of its own, as the EAL is.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets the impossible stops there"
)]

mod awaited;
mod capture;

use awaited::{HOST, TTL, WAN, directory, punted, send, start, wait_for_question, wait_until};
use dataplane::counters::{DiscardReason, PuntCause};
use dataplane::{Neighbour, PuntReason};

#[test]
fn who_is_given_up_for_leaves_in_order_by_the_door_to_the_control_thread() {
    let (dir, output) = directory();
    let mut plane = start(&dir, &output);
    for number in 0..70 {
        send(&mut plane, HOST, number, TTL);
    }
    let neighbour = Neighbour {
        port: WAN,
        address: HOST,
    };
    wait_for_question(&mut plane, neighbour);
    // What is too old for another hop does not wait.
    send(&mut plane, HOST, 99, 1);
    let reason = PuntReason::NoNeighbour {
        egress: WAN,
        next_hop: HOST,
    };
    let mut seen = Vec::new();
    wait_until(&mut plane, |plane| {
        seen.extend(punted(plane));
        !seen.is_empty()
    });
    assert_eq!(seen, [(99, reason)]);
    let counts = plane.counters().total();
    assert_eq!((counts.unresolved, counts.parked), (64, 70));
    assert_eq!(counts.discarded(DiscardReason::NeighbourOverflow), 6);
    plane.ask_backlog(0).unwrap();
    let mut view = None;
    wait_until(&mut plane, |plane| {
        view = plane.take_backlog(0);
        view.is_some()
    });
    assert_eq!(view.unwrap().unresolved, [(neighbour, 64)]);

    plane.settle_neighbour(neighbour);
    let mut seen = Vec::new();
    wait_until(&mut plane, |plane| {
        seen.extend(punted(plane));
        seen.len() == 64
    });
    let expected: Vec<(u16, PuntReason)> = (6..70).map(|number| (number, reason)).collect();
    assert_eq!(seen, expected);
    let counts = plane.counters().total();
    assert_eq!(
        (counts.unresolved, counts.punted(PuntCause::NoNeighbour)),
        (0, 65)
    );
    assert!(plane.poll_wanted().is_none(), "it was asked for once");

    // It is asked for anew when it is needed anew.
    send(&mut plane, HOST, 100, TTL);
    wait_for_question(&mut plane, neighbour);
    assert_eq!(plane.shutdown().mbufs, 0);
    std::fs::remove_dir_all(dir).unwrap();
}
