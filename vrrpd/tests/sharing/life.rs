//! The life of a group without anything going wrong.

use crate::lan::{Lan, MS, Settings, host, router};

/// Everything that must hold of a group at rest: one router for every condition, nothing held.
pub(crate) fn check(lan: &Lan) {
    for number in 0..lan.settings.hosts {
        let routing = lan.routing(host(number));
        assert_eq!(
            routing.len(),
            1,
            "{} by {routing:?}: {}",
            host(number),
            lan.state()
        );
    }
    for (number, node) in lan.living() {
        assert!(
            node.plane.holds().is_empty(),
            "node {number} holds: {}",
            lan.state()
        );
    }
}

/// Every packet sent from `from` up to 20 ms ago was routed exactly once, in order.
pub(crate) fn exact(lan: &Lan, from: u64) {
    let mut last = std::collections::BTreeMap::new();
    for (number, packet) in lan.packets.iter().enumerate() {
        if packet.sent < from || packet.sent + 20 * MS > lan.now {
            continue;
        }
        assert_eq!(
            packet.routed.len(),
            1,
            "packet {number}: {packet:?}, {}",
            lan.state()
        );
        let at = packet.routed[0].1;
        let before = last.insert(packet.source, at);
        assert!(
            before.is_none_or(|before| before <= at),
            "packet {number} overtook: {packet:?}, {}",
            lan.state()
        );
    }
}

#[test]
fn routers_find_each_other_and_share_the_end_systems_out_without_harming_a_packet() {
    for seed in 0..seeds(3) {
        let mut lan = Lan::started(Settings::new(seed));
        lan.run_until(1_000 * MS, |lan| {
            lan.members().any(|(_, member)| member.is_authority())
        });
        lan.run(20 * MS);
        let from = lan.now;
        lan.run_until(3_000 * MS, Lan::is_settled);
        lan.run(100 * MS);
        lan.run_until(3_000 * MS, Lan::is_settled);
        check(&lan);
        exact(&lan, from);
        let table = lan.sharing(0).table();
        for node in 0..3 {
            let share = table
                .rows()
                .filter(|(_, row)| row.router == router(node))
                .count();
            assert!((3..=4).contains(&share), "{}", lan.state());
        }
    }
}

#[test]
fn a_router_that_comes_later_gets_the_table_however_short_the_interval() {
    for (seed, repeat) in (0..).zip([2 * MS, 10 * MS, 20 * MS]) {
        let interval = 10 * MS;
        let mut lan = settled(Settings {
            interval,
            repeat,
            routers: 2,
            ..Settings::new(seed)
        });
        lan.crash(1);
        lan.run(100 * interval);
        assert!(lan.is_settled(), "{}", lan.state());
        lan.start(1);
        let from = lan.now;
        // It elects, tells of itself, and hears of the table.
        lan.run(5 * interval);
        lan.run_until(100 * interval, Lan::is_settled);
        check(&lan);
        exact(&lan, from);
    }
}

/// A group that has shared everything out.
pub(crate) fn settled(settings: Settings) -> Lan {
    let mut lan = Lan::started(settings);
    lan.run(150 * MS);
    lan.run_until(5_000 * MS, Lan::is_settled);
    lan.run(100 * MS);
    lan.run_until(5_000 * MS, Lan::is_settled);
    lan
}

/// How many seeds a test runs with: `usual`, which takes some seconds, or as many as `SHARING_SEEDS` says:
/// `SHARING_SEEDS=200 cargo nextest run -p vrrpd --test sharing` is the long search.
pub(crate) fn seeds(usual: u64) -> u64 {
    std::env::var("SHARING_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(usual)
}
