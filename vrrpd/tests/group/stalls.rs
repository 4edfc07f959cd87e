//! The stall guard: a router that was away decides nothing on what it did not hear.

use std::time::Duration;

use vrrpd::{Cause, Config, State};

use crate::lan::{LATENCY, Lan, address, config};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_stalled_backup_leaves_a_working_master_alone() {
    // Whether what arrived meanwhile waits in a queue or was lost.
    for loses in [false, true] {
        let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
        lan.run(10 * SECOND);
        lan.stall(1, 10 * SECOND, loses);
        lan.run(60 * SECOND);
        assert_eq!(lan.masters(), [0]);
        let backup = &lan.nodes[1];
        assert_eq!(backup.router().counters().master_transitions, 0);
        assert_eq!(backup.router().counters().stalls, 1);
        assert!(
            matches!(backup.stalls[..], [away] if away >= 9 * SECOND),
            "{:?}",
            backup.stalls
        );
    }
}

#[test]
fn a_backup_that_was_stalled_while_the_master_died_takes_over_one_down_interval_after_it_is_back() {
    let mut lan = Lan::new([config(200, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    lan.crash(0);
    lan.stall(1, 10 * SECOND, false);
    let back = lan.now + 10 * SECOND;
    lan.run(60 * SECOND);
    let transition = lan.nodes[1].transitions.last().unwrap();
    assert_eq!(transition.at.since(back), 3 * SECOND + SECOND * 156 / 256);
}

#[test]
fn a_stalled_master_listens_before_it_speaks_again() {
    for (preempt, last) in [(true, 0), (false, 1)] {
        let mut lan = Lan::new([200, 100].map(|priority| Config {
            preempt,
            ..config(priority, 1000)
        }));
        if !preempt {
            lan.crash(1);
            lan.run(10 * SECOND);
            lan.restart(1);
        }
        lan.run(10 * SECOND);
        assert_eq!(lan.masters(), [0]);
        lan.stall(0, 5 * SECOND, false);
        let back = lan.now + 5 * SECOND;
        lan.run(5 * SECOND + LATENCY);
        assert_eq!(
            lan.masters(),
            [1],
            "the other has taken over, and is left alone"
        );
        assert!(matches!(
            lan.nodes[0].transitions.last().unwrap().cause,
            Cause::Stalled { away } if away >= 4 * SECOND
        ));
        lan.run(60 * SECOND);
        assert_eq!(lan.masters(), [last], "preempt {preempt}");
        assert!(lan.double_longest <= LATENCY, "{:?}", lan.double_longest);
        let own_down_interval = 3 * SECOND + SECOND * 56 / 256;
        let spoke_again = lan.nodes[0].sent.iter().find(|(time, _)| *time >= back);
        assert!(spoke_again.is_none_or(|(time, _)| time.since(back) >= own_down_interval));
    }
}

#[test]
fn a_stalled_master_that_nobody_replaced_is_master_again_one_down_interval_later() {
    let mut lan = Lan::new([config(100, 1000)]);
    lan.run(10 * SECOND);
    lan.stall(0, 60 * SECOND, false);
    let back = lan.now + 60 * SECOND;
    lan.run(90 * SECOND);
    assert_eq!(lan.masters(), [0]);
    let changed = lan.nodes[0].transitions.last().unwrap().at;
    assert_eq!(changed.since(back), 3 * SECOND + SECOND * 156 / 256);
}

#[test]
fn a_master_stopped_for_3_s_does_not_break_the_one_that_replaced_it() {
    for stop_ms in (0..1000).step_by(37) {
        let mut lan = Lan::new([config(200, 100), config(100, 100)]);
        lan.run(10 * SECOND + Duration::from_millis(stop_ms));
        lan.stall(0, 3 * SECOND, false);
        lan.run(3 * SECOND);
        assert_eq!(lan.masters(), [1]);
        lan.run(10 * SECOND);
        assert_eq!(lan.masters(), [0], "and preempts it by the ordinary rules");
        let causes: Vec<&str> = lan.nodes[0]
            .transitions
            .iter()
            .map(|t| t.cause.name())
            .collect();
        assert_eq!(
            causes,
            [
                "link-up",
                "master-silent",
                "stalled",
                "lower-priority-master"
            ]
        );
        assert_eq!(
            lan.nodes[1].transitions.last().unwrap().cause,
            Cause::HigherPriority {
                router: address(0),
                priority: 200
            }
        );
        assert!(lan.double_longest <= LATENCY, "{:?}", lan.double_longest);
    }
}

#[test]
fn a_loop_that_is_often_late_and_deaf_meanwhile_takes_nothing_over() {
    // Away for most of every down interval, with what arrives then lost: silence only of its own making.
    let mut lan = Lan::new([config(200, 10), config(100, 10)]);
    lan.run(SECOND);
    for _ in 0..1000 {
        lan.stall(1, Duration::from_millis(29), true);
        lan.run(Duration::from_millis(29 + 11));
    }
    assert_eq!(lan.masters(), [0]);
    assert_eq!(lan.nodes[1].router().counters().master_transitions, 0);
    assert_eq!(lan.nodes[1].router().state(), State::Backup);
}

#[test]
fn a_backup_whose_frames_wait_in_a_queue_takes_nothing_over() {
    // Its control loop goes on: to the loop, the time passes as in silence.
    for deaf_ms in [20, 30, 35, 40, 100, 3000] {
        let mut lan = Lan::new([config(200, 10), config(100, 10)]);
        lan.run(SECOND);
        for _ in 0..20 {
            lan.deafen(1, Duration::from_millis(deaf_ms));
            lan.run(Duration::from_millis(deaf_ms + 100));
        }
        assert_eq!(lan.masters(), [0]);
        let counters = lan.nodes[1].router().counters();
        assert_eq!(counters.master_transitions, 0, "deaf for {deaf_ms} ms");
        // The down interval is 36 ms.
        assert_eq!(counters.stalls, if deaf_ms > 36 { 20 } else { 0 });
    }
}

#[test]
fn a_master_that_nobody_brings_frames_is_silent_and_listens_before_it_speaks_again() {
    let mut lan = Lan::new([config(200, 10), config(100, 10)]);
    lan.run(SECOND);
    let sent = lan.nodes[0].sent.len();
    lan.deafen(0, 3 * SECOND);
    lan.run(3 * SECOND - LATENCY);
    assert_eq!(lan.masters(), [1]);
    // One was due before it could know; what it says in its sleep would overrule the other when it wakes.
    assert!(lan.nodes[0].sent.len() <= sent + 1);
    lan.run(3 * SECOND);
    assert_eq!(lan.masters(), [0], "and preempts by the ordinary rules");
    let causes = lan.nodes[0].transitions.iter();
    let causes: Vec<&str> = causes.map(|t| t.cause.name()).collect();
    assert_eq!(
        causes,
        [
            "link-up",
            "master-silent",
            "stalled",
            "lower-priority-master"
        ]
    );
}
