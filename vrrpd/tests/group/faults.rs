//! Random faults. Safety is checked all along, liveness once they have ended.

use std::time::Duration;

use proptest::prelude::*;
use vrrpd::Config;

use crate::lan::{LATENCY, Lan, config};

/// Something that goes wrong with a node, or is mended.
#[derive(Clone, Debug)]
enum Fault {
    Crash(usize),
    Restart(usize),
    Stop(usize),
    Start(usize),
    Stall {
        node: usize,
        millis: u64,
        loses: bool,
    },
    /// The control loop goes on, but nobody carries frames to and from it.
    Deafen {
        node: usize,
        millis: u64,
    },
    Link(usize, bool),
    /// Nothing, for a while.
    Wait {
        millis: u64,
    },
    /// Every so many frames one is lost from now on.
    Lossy(bool),
}

/// A fault of one of `nodes`; without `lossy`, one that loses no message to a node that is there.
fn fault(nodes: usize, lossy: bool) -> impl Strategy<Value = Fault> {
    let node = 0..nodes;
    prop_oneof![
        1 => node.clone().prop_map(Fault::Crash),
        2 => node.clone().prop_map(Fault::Restart),
        1 => node.clone().prop_map(Fault::Stop),
        2 => node.clone().prop_map(Fault::Start),
        2 => (node.clone(), 1..3000_u64, any::<bool>()).prop_map(move |(node, millis, loses)| Fault::Stall { node, millis, loses: loses && lossy }),
        2 => (node.clone(), 1..3000_u64).prop_map(|(node, millis)| Fault::Deafen { node, millis }),
        2 => (node, any::<bool>()).prop_map(|(node, up)| Fault::Link(node, up)),
        6 => (0..2000_u64).prop_map(|millis| Fault::Wait { millis }),
        if lossy { 1 } else { 0 } => any::<bool>().prop_map(Fault::Lossy),
    ]
}

fn inflict(lan: &mut Lan, fault: Fault) {
    match fault {
        Fault::Crash(node) => lan.crash(node),
        Fault::Restart(node) => lan.restart(node),
        Fault::Stop(node) if lan.nodes[node].is_present() => {
            lan.act(node, |router, now| router.shutdown(now))
        }
        Fault::Start(node) if lan.nodes[node].is_present() => {
            lan.act(node, |router, now| router.start(now))
        }
        Fault::Deafen { node, millis } if lan.nodes[node].is_present() => {
            lan.deafen(node, Duration::from_millis(millis))
        }
        Fault::Stop(_) | Fault::Start(_) | Fault::Deafen { .. } => {}
        Fault::Stall {
            node,
            millis,
            loses,
        } => lan.stall(node, Duration::from_millis(millis), loses),
        Fault::Link(node, up) => lan.link(node, up),
        Fault::Wait { millis } => lan.run(Duration::from_millis(millis)),
        Fault::Lossy(on) => {
            lan.loses = if on {
                |frame| frame % 3 == 0
            } else {
                |_| false
            }
        }
    }
}

/// Ends every fault and gives the group the time that it may take: a stall, the longest down interval of one that
/// has to oust a lower master, and that of one who followed it.
fn mend(lan: &mut Lan, interval_max_ms: u64) {
    lan.loses = |_| false;
    for node in 0..lan.nodes.len() {
        lan.link(node, true);
        if lan.nodes[node].routers.is_empty() {
            lan.restart(node);
        }
        lan.act(node, |router, now| router.start(now));
    }
    lan.run(Duration::from_millis(3000 + 8 * interval_max_ms));
}

/// A group: priority, and interval in centiseconds, of each router.
fn group() -> impl Strategy<Value = Vec<(u8, u64)>> {
    prop::collection::vec((1..=255_u8, 1..=100_u64), 2..=5)
}

fn lan(group: &[(u8, u64)], preempt: bool) -> Lan {
    Lan::new(group.iter().map(|(priority, interval)| Config {
        preempt,
        ..config(*priority, interval * 10)
    }))
}

proptest! {
    #[test]
    fn after_any_faults_the_highest_priority_alone_is_master(
        group in group(), faults in prop::collection::vec(fault(5, true), 0..40),
    ) {
        let mut lan = lan(&group, true);
        for fault in faults {
            if node_of(&fault) < group.len() {
                inflict(&mut lan, fault);
            }
        }
        let interval_max_ms = group.iter().map(|(_, interval)| interval * 10).max().unwrap_or(0);
        mend(&mut lan, interval_max_ms);
        let masters = lan.masters();
        prop_assert_eq!(masters.len(), 1, "{:?}", masters);
        let best = group.iter().map(|(priority, _)| *priority).max().unwrap_or(0);
        prop_assert_eq!(group[masters[0]].0, best);
        // And it stays so.
        let changes = |lan: &Lan| lan.nodes.iter().map(|node| node.transitions.len()).sum::<usize>();
        let before = changes(&lan);
        lan.run(Duration::from_millis(20 * interval_max_ms));
        prop_assert_eq!(changes(&lan), before);
    }

    #[test]
    fn after_any_faults_there_is_one_master_without_preemption_too(
        group in group(), faults in prop::collection::vec(fault(5, true), 0..40),
    ) {
        let mut lan = lan(&group, false);
        for fault in faults {
            if node_of(&fault) < group.len() {
                inflict(&mut lan, fault);
            }
        }
        mend(&mut lan, group.iter().map(|(_, interval)| interval * 10).max().unwrap_or(0));
        prop_assert_eq!(lan.masters().len(), 1);
    }

    #[test]
    fn of_masters_that_come_to_hear_each_other_the_highest_priority_is_left_and_of_equals_the_highest_address(
        group in prop::collection::vec((prop_oneof![3 => Just(100), 1 => 1..=255_u8], 1..=100_u64), 2..=5),
        preempt: bool,
        more in 0..1000_u64,
    ) {
        let mut lan = lan(&group, preempt);
        lan.loses = |_| true;
        // The longest down interval, and a moment of anybody's interval.
        lan.run(Duration::from_millis(4000 + more));
        prop_assert_eq!(lan.masters().len(), group.len());
        lan.loses = |_| false;
        lan.run(Duration::from_secs(1) + LATENCY);
        let priority = |node: &usize| group[*node].0;
        // Addresses rise with the number, and of equals the last is the maximum.
        let best = (0..group.len()).max_by_key(priority);
        prop_assert_eq!(lan.masters(), Vec::from_iter(best));
    }

    #[test]
    fn while_messages_arrive_two_masters_last_no_longer_than_one_exchange(
        group in group(), preempt: bool, faults in prop::collection::vec(fault(5, false), 0..40),
    ) {
        let mut lan = lan(&group, preempt);
        for fault in faults {
            if node_of(&fault) < group.len() {
                inflict(&mut lan, fault);
            }
        }
        lan.run(Duration::from_secs(5));
        prop_assert!(lan.double_longest <= 2 * LATENCY, "{:?}", lan.double_longest);
    }
}

/// The node a fault hits, 0 if it hits all.
fn node_of(fault: &Fault) -> usize {
    match fault {
        Fault::Crash(node) | Fault::Restart(node) | Fault::Stop(node) | Fault::Start(node) => *node,
        Fault::Stall { node, .. } | Fault::Deafen { node, .. } | Fault::Link(node, _) => *node,
        Fault::Wait { .. } | Fault::Lossy(_) => 0,
    }
}
