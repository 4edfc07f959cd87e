//! For how long a router's fault blocks an end system when nothing else happens: until the others miss it, and no longer. By a clock that no other program of this machine
//! can disturb.
#![allow(clippy::panic, reason = "a test that meets the impossible stops there")]

use sim::group::{FaultKind, relevant, run_with_one_fault};

/// Has it happen in that many groups; for how long it blocked an end system, at most, in nanoseconds.
fn longest(kind: FaultKind, groups: u64) -> u64 {
    let blocked = (0..groups).map(|seed| {
        let outcome = run_with_one_fault(seed, kind, false);
        if !outcome.holds() {
            let again = run_with_one_fault(seed, kind, true);
            panic!(
                "{kind:?} in the group of seed {seed}: {:#?} {:#?}\n{}",
                again.safety,
                again.liveness,
                relevant(&again).join("\n")
            );
        }
        outcome.counts.get("blocked").copied().unwrap_or(0)
    });
    blocked.max().unwrap_or(0)
}

#[test]
fn a_crash_blocks_no_end_system_for_longer_than_it_takes_to_be_missed() {
    assert!(longest(FaultKind::Crash, 25) > 0, "nobody was blocked");
}

/// Also when it is plugged in again before it is missed, and then restarts under a master that is itself.
#[test]
fn nor_does_a_cable_that_is_pulled_for_however_long() {
    assert!(longest(FaultKind::LinkFlap, 25) > 0, "nobody was blocked");
}

#[test]
fn nor_does_a_stall() {
    assert!(longest(FaultKind::Stall, 25) > 0, "nobody was blocked");
}

#[test]
fn a_drain_blocks_nobody() {
    assert_eq!(longest(FaultKind::Drain, 25), 0);
}
