//! Elections, take-overs and their times when nothing but a router fails.

use std::time::Duration;

use vrrpd::{Authentication, Cause, Config, Peers, State, Version, Vrid};

use crate::lan::{LATENCY, Lan, address, config};

const SECOND: Duration = Duration::from_secs(1);

/// The down interval in version 3.
fn down(priority: u32, interval: Duration) -> Duration {
    3 * interval + interval * (256 - priority) / 256
}

/// When node `index` last changed its state.
fn changed(lan: &Lan, index: usize) -> vrrpd::Time {
    lan.nodes[index].transitions.last().unwrap().at
}

#[test]
fn the_highest_priority_becomes_master_and_stays() {
    let mut lan = Lan::new([config(100, 1000), config(200, 1000), config(150, 1000)]);
    lan.run(60 * SECOND);
    assert_eq!(lan.masters(), [1]);
    for (index, master) in [(0, 1), (1, 1), (2, 1)] {
        let status = lan.nodes[index].router().status();
        assert_eq!(status.master, Some(address(master)));
        assert_eq!(
            status.counters.master_transitions,
            u64::from(index == master)
        );
    }
}

#[test]
fn a_master_whose_link_is_back_before_others_notice_resigns() {
    let mut lan = Lan::new([200, 150, 100].map(|priority| config(priority, 1000)));
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
    lan.link(0, false);
    lan.run(SECOND / 2);
    lan.link(0, true);
    // Without that they would go on listening for more than two seconds.
    let skew = SECOND * (256 - 150) / 256;
    lan.run(skew + 4 * LATENCY);
    assert_eq!(lan.masters(), [1]);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [0]);
    // Behind a take-over there is nothing to resign from.
    lan.link(0, false);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    let heard = |lan: &Lan| lan.nodes[1].router().status().counters.clone();
    let before = heard(&lan).priority_zero_pkts_rcvd;
    lan.link(0, true);
    lan.run(10 * SECOND);
    assert_eq!(heard(&lan).priority_zero_pkts_rcvd, before);
    assert_eq!(lan.masters(), [0]);
}

#[test]
fn a_router_that_comes_later_preempts_or_does_not() {
    for (preempt, master) in [(true, 1), (false, 0)] {
        let mut lan = Lan::new([100, 200].map(|priority| Config {
            preempt,
            ..config(priority, 1000)
        }));
        lan.crash(1);
        lan.run(10 * SECOND);
        assert_eq!(lan.masters(), [0]);
        lan.restart(1);
        lan.run(10 * SECOND);
        assert_eq!(lan.masters(), [master], "preempt {preempt}");
    }
}

#[test]
fn among_equals_the_higher_address_is_left_and_nobody_ousts_it_or_a_lower_one() {
    let mut lan = Lan::new([config(100, 1000), config(100, 1000)]);
    // Both time out at the same instant.
    lan.run(60 * SECOND);
    assert_eq!(lan.masters(), [1]);
    assert_eq!(
        lan.nodes[0]
            .router()
            .status()
            .last_transition
            .unwrap()
            .cause,
        Cause::HigherAddress { router: address(1) }
    );
    assert!(lan.double_longest <= LATENCY, "{:?}", lan.double_longest);
    // The higher address alone is no reason to oust a working master.
    lan.crash(1);
    lan.run(60 * SECOND);
    lan.restart(1);
    lan.run(60 * SECOND);
    assert_eq!(lan.masters(), [0]);
}

#[test]
fn a_dead_master_is_replaced_one_down_interval_after_its_last_advertisement() {
    let interval = Duration::from_millis(10);
    for offset_us in (0..10_000).step_by(331) {
        let mut lan = Lan::new([config(200, 10), config(150, 10), config(100, 10)]);
        lan.run(SECOND + Duration::from_micros(offset_us));
        let last_heard = lan.nodes[0].sent.last().unwrap().0 + LATENCY;
        lan.crash(0);
        lan.run(SECOND);
        assert_eq!(lan.masters(), [1]);
        // A message that was on its way at the crash still arrives.
        assert_eq!(
            changed(&lan, 1).since(last_heard),
            down(150, interval),
            "{offset_us}"
        );
        assert_eq!(lan.double_longest, Duration::ZERO);
    }
}

#[test]
fn a_master_that_resigns_is_replaced_after_the_skew_of_the_best_backup() {
    let mut lan = Lan::new([config(200, 1000), config(150, 1000), config(100, 1000)]);
    lan.run(10 * SECOND);
    let resigned = lan.now;
    lan.act(0, |router, now| router.shutdown(now));
    assert_eq!(lan.nodes[0].router().state(), State::Initialise);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    assert_eq!(
        changed(&lan, 1).since(resigned),
        LATENCY + SECOND * (256 - 150) / 256
    );
    let transition = lan.nodes[1].transitions.last().unwrap();
    assert_eq!(
        transition.cause,
        Cause::MasterResigned { master: address(0) }
    );
    let [sent, heard] = [0, 1].map(|index| lan.nodes[index].router().counters().clone());
    assert_eq!(
        (sent.priority_zero_pkts_sent, heard.priority_zero_pkts_rcvd),
        (1, 1)
    );
}

#[test]
fn a_backup_waits_as_long_as_the_masters_interval_asks() {
    let slow = 5 * SECOND;
    let mut lan = Lan::new([config(200, 5000), config(100, 1000)]);
    lan.run(60 * SECOND);
    assert_eq!(lan.masters(), [0]);
    let status = lan.nodes[1].router().status();
    assert_eq!((status.interval, status.master_interval), (SECOND, slow));
    assert_eq!(status.down_interval, down(100, slow));
    assert!(
        status.counters.interval_errors > 0,
        "a differing interval is worth knowing"
    );

    let last_heard = lan.nodes[0].sent.last().unwrap().0 + LATENCY;
    lan.crash(0);
    lan.run(60 * SECOND);
    assert_eq!(changed(&lan, 1).since(last_heard), down(100, slow));
    // As master it keeps its own.
    assert_eq!(lan.nodes[1].router().status().master_interval, SECOND);
}

#[test]
fn an_owner_is_master_at_once_and_always() {
    let mut lan = Lan::new([config(255, 1000), config(254, 1000)]);
    assert_eq!(lan.masters(), [0]);
    lan.run(10 * SECOND);
    lan.crash(0);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    lan.restart(0);
    lan.run(LATENCY);
    assert_eq!(lan.masters(), [0]);
}

#[test]
fn two_owners_are_counted_and_one_gives_way() {
    let mut lan = Lan::new([config(255, 1000), config(255, 1000)]);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    assert!(lan.nodes[0].router().counters().owner_conflicts > 0);
}

#[test]
fn version_2_elects_and_fails_over_with_and_without_a_password() {
    for authentication in [Authentication::None, Authentication::text("secret")] {
        let version = Version::V2 { authentication };
        let mut lan = Lan::new([200, 100].map(|priority| Config {
            version: version.clone(),
            ..config(priority, 1000)
        }));
        lan.run(10 * SECOND);
        assert_eq!(lan.masters(), [0]);
        let last_heard = lan.nodes[0].sent.last().unwrap().0 + LATENCY;
        lan.crash(0);
        lan.run(10 * SECOND);
        assert_eq!(
            changed(&lan, 1).since(last_heard),
            3 * SECOND + SECOND * 156 / 256
        );
    }
}

#[test]
fn unicast_peers_elect_without_a_multicast() {
    let peers = |others: [usize; 2]| Peers::Unicast {
        addresses: others.map(address).to_vec(),
        ttl_min: 255,
    };
    let mut lan = Lan::new([
        Config {
            peers: peers([1, 2]),
            ..config(100, 1000)
        },
        Config {
            peers: peers([0, 2]),
            ..config(200, 1000)
        },
        Config {
            peers: peers([0, 1]),
            ..config(150, 1000)
        },
    ]);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [1]);
    lan.crash(1);
    lan.run(10 * SECOND);
    assert_eq!(lan.masters(), [2]);
    assert!(lan.nodes.iter().all(|node| {
        node.sent
            .iter()
            .all(|(_, message)| !message.dst.is_multicast())
    }));
}

#[test]
fn three_routers_at_10_ms_never_change_master_without_a_fault() {
    let mut lan = Lan::new([config(200, 10), config(150, 10), config(100, 10)]);
    lan.run(SECOND);
    let before: Vec<usize> = lan
        .nodes
        .iter()
        .map(|node| node.transitions.len())
        .collect();
    lan.run(120 * SECOND);
    let after: Vec<usize> = lan
        .nodes
        .iter()
        .map(|node| node.transitions.len())
        .collect();
    assert_eq!((lan.masters(), after), (vec![0], before));
}

#[test]
fn groups_255_on_one_port_elect_and_fail_over_each_for_itself() {
    let node = |node: u8| {
        (1..=255)
            .map(|vrid| Config {
                vrid: Vrid::new(vrid).unwrap(),
                // Every node is best for a third of the groups.
                priority: 100 + (vrid.wrapping_add(node) % 3) * 50,
                ..config(100, 1000)
            })
            .collect::<Vec<_>>()
    };
    let mut lan = Lan::with_groups((0..3).map(node));
    lan.run(10 * SECOND);
    let best = |lan: &Lan, group: usize| {
        let present = |index: &usize| lan.nodes[*index].is_present();
        let priority = |index: &usize| lan.nodes[*index].routers[group].config().priority;
        (0..3).filter(present).max_by_key(priority).unwrap()
    };
    for group in 0..255 {
        assert_eq!(lan.masters_of(group), [best(&lan, group)], "group {group}");
    }
    lan.link(0, false);
    lan.run(10 * SECOND);
    for group in 0..255 {
        assert_eq!(lan.masters_of(group), [best(&lan, group)], "group {group}");
    }
}
