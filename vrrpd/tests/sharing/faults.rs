//! What goes wrong: crashes, restarts, frozen routers, cables, masters that know VRRP alone, forged messages. Once it is over, everybody has the
//! same table, and every end system is served by exactly one router.

use std::collections::BTreeSet;

use vrrpd::Received;
use vrrpd::sharing::names::MemberState;
use vrrpd::wire::TTL;

use crate::lan::{INTERVAL, Lan, MS, Settings, gateway, host, router};
use crate::life::{check, exact, seeds, settled};

/// Three intervals and the skew of the priority that takes over, at most.
pub(crate) const DOWN: u64 = 4 * INTERVAL;

/// How long nobody routed a host's packets at most, from `from` on.
pub(crate) fn blocked(lan: &Lan, from: u64) -> u64 {
    let mut longest = 0;
    for number in 0..lan.settings.hosts {
        let mut since = None;
        for packet in lan
            .packets
            .iter()
            .filter(|packet| packet.source == host(number))
        {
            if packet.sent < from || packet.sent + 20 * MS > lan.now {
                continue;
            }
            if packet.routed.is_empty() {
                let since = *since.get_or_insert(packet.sent);
                longest = longest.max(packet.sent - since);
            } else {
                since = None;
            }
        }
    }
    longest
}

pub(crate) fn recover(lan: &mut Lan) {
    lan.run(100 * MS);
    lan.run_until(20_000 * MS, Lan::is_settled);
    lan.run(200 * MS);
    lan.run_until(20_000 * MS, Lan::is_settled);
    lan.run(30 * MS);
    check(lan);
}

/// Nothing is doubled but what a lost router had sent.
fn doubled_only_by(lan: &Lan, from: u64, lost: usize) {
    for (number, packet) in lan.packets.iter().enumerate() {
        let others = packet
            .routed
            .iter()
            .filter(|(node, _)| *node != lost)
            .count();
        assert!(
            packet.sent < from || others <= 1,
            "packet {number}: {packet:?}, {}",
            lan.state()
        );
    }
}

#[test]
fn a_backup_that_dies_blocks_its_share_for_a_down_interval_and_no_longer() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings::new(seed));
        let from = lan.now;
        let node = 1 + seed as usize % 2;
        lan.crash(node);
        recover(&mut lan);
        assert!(
            blocked(&lan, from) < DOWN + 50 * MS,
            "{} ms",
            blocked(&lan, from) / MS
        );
        doubled_only_by(&lan, from, node);
    }
}

#[test]
fn a_master_that_dies_blocks_its_share_for_a_down_interval_and_no_longer() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings::new(seed));
        let from = lan.now;
        lan.crash(0);
        recover(&mut lan);
        assert!(
            blocked(&lan, from) < DOWN + 50 * MS,
            "{} ms",
            blocked(&lan, from) / MS
        );
        doubled_only_by(&lan, from, 0);
        assert_eq!(lan.master(), Some(1));
    }
}

#[test]
fn moves_between_others_stay_exact_while_the_master_changes() {
    for seed in 0..seeds(6) {
        let mut lan = settled(Settings {
            routers: 4,
            // More would now and then silence a router for a whole down interval.
            loss: seed % 3 * 5,
            ..Settings::new(seed)
        });
        // Nothing is the master's own, so that nothing is lost with it.
        let all: Vec<_> = (0..9)
            .map(host)
            .chain([vrrpd::sharing::names::Condition::Rest])
            .collect();
        lan.act(0, |sharing, now| sharing.move_to(now, &all, router(1)))
            .unwrap();
        lan.run_until(3_000 * MS, |lan| {
            (0..9).all(|number| lan.routing(host(number)) == [1])
        });
        lan.run_until(3_000 * MS, Lan::is_settled);
        let from = lan.now;
        let some: Vec<_> = (0..6).map(host).collect();
        lan.act(0, |sharing, now| sharing.move_to(now, &some, router(2)))
            .unwrap();
        let when = lan.draw(0, 12 * MS);
        lan.run(when);
        lan.crash(0);
        recover(&mut lan);
        exact(&lan, from);
    }
}

#[test]
fn a_preempting_master_takes_over_without_harming_a_packet() {
    for seed in 0..seeds(3) {
        let mut lan = Lan::new(Settings {
            loss: seed % 3 * 10,
            ..Settings::new(seed)
        });
        // An owner takes over at once, whatever it knows.
        lan.priorities[0] = if seed % 2 == 0 { 255 } else { 200 };
        lan.start(1);
        lan.start(2);
        lan.run(100 * MS);
        lan.run_until(5_000 * MS, Lan::is_settled);
        let from = lan.now;
        lan.start(0);
        lan.run(200 * MS);
        lan.run_until(10_000 * MS, Lan::is_settled);
        lan.run(200 * MS);
        lan.run_until(10_000 * MS, Lan::is_settled);
        assert_eq!(lan.master(), Some(0));
        check(&lan);
        exact(&lan, from);
    }
}

#[test]
fn parties_that_die_or_restart_in_any_step_leave_nothing_unserved() {
    for seed in 0..seeds(12) {
        let mut lan = settled(Settings {
            loss: seed % 3 * 10,
            ..Settings::new(seed)
        });
        let from = lan.now;
        let all: Vec<_> = (0..9).map(host).collect();
        lan.act(0, |sharing, now| {
            sharing.move_to(now, &all, router(1 + seed as usize % 2))
        })
        .unwrap();
        let when = lan.draw(0, 25 * MS);
        lan.run(when);
        let node = seed as usize / 2 % 3;
        lan.crash(node);
        if seed % 4 < 2 {
            let away = lan.draw(MS, 30 * MS);
            lan.run(away);
            lan.start(node);
        }
        recover(&mut lan);
        doubled_only_by(&lan, from, node);
    }
}

#[test]
fn a_router_that_was_frozen_or_cut_off_comes_back_without_lasting_harm() {
    for seed in 0..seeds(6) {
        let mut lan = settled(Settings {
            loss: seed % 2 * 10,
            ..Settings::new(seed)
        });
        let node = seed as usize % 3;
        let span = lan.draw(10 * MS, 400 * MS);
        if seed % 2 == 0 {
            lan.freeze(node, span);
            lan.run(span);
        } else {
            lan.plug(node, false);
            lan.run(span);
            lan.plug(node, true);
        }
        recover(&mut lan);
        let from = lan.now;
        lan.run(50 * MS);
        exact(&lan, from);
    }
}

#[test]
fn a_master_that_knows_vrrp_alone_routes_everything_and_hears_nothing() {
    for seed in 0..seeds(2) {
        let mut lan = Lan::new(Settings {
            routers: 4,
            plain: BTreeSet::from([3]),
            ..Settings::new(seed)
        });
        lan.priorities[3] = 250;
        for node in 0..3 {
            lan.start(node);
        }
        lan.run(100 * MS);
        lan.run_until(5_000 * MS, Lan::is_settled);
        check(&lan);
        lan.start(3);
        lan.run_until(1_000 * MS, |lan| lan.master() == Some(3));
        lan.run(10 * MS);
        let said = lan.sent_types.clone();
        for number in 0..9 {
            assert!(lan.routing(host(number)).is_empty(), "{}", lan.state());
        }
        lan.run(500 * MS);
        for (node, said) in said.iter().enumerate().take(3) {
            assert!(lan.sharing(node).is_quiet());
            for kind in 2..=8 {
                let now = lan.sent_types[node].get(&kind);
                assert_eq!(now, said.get(&kind), "{}", lan.state());
            }
        }
        lan.crash(3);
        recover(&mut lan);
        let from = lan.now;
        lan.run(50 * MS);
        exact(&lan, from);
    }
}

#[test]
fn replayed_damaged_and_forged_messages_change_nothing() {
    for seed in 0..seeds(2) {
        let mut lan = settled(Settings::new(seed));
        // Also across a restart of anyone.
        let node = seed as usize % 3;
        lan.crash(node);
        lan.run(2 * MS);
        lan.start(node);
        recover(&mut lan);
        let from = lan.now;
        let recorded = lan.recorded.clone();
        let tables: Vec<_> = (0..3)
            .map(|node| lan.sharing(node).table().digest())
            .collect();
        let versions: Vec<_> = (0..3)
            .map(|node| lan.sharing(node).table().installed())
            .collect();
        let mut before = 0;
        for to in 0..3 {
            before += lan
                .sharing(to)
                .refusals()
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>();
        }
        let mut sent = 0;
        for (place, message) in recorded.iter().enumerate() {
            for to in 0..3 {
                let mut payload = message.payload.clone();
                match lan.draw(0, 4) {
                    // As it was.
                    0 => {}
                    // One octet is another.
                    1 => {
                        let at = lan.draw(0, payload.len() as u64) as usize;
                        payload[at] ^= 1 << lan.draw(0, 8);
                    }
                    // Shorter.
                    2 => payload.truncate(lan.draw(0, payload.len() as u64) as usize),
                    // From elsewhere.
                    _ => {}
                }
                let src = if place % 4 == 3 {
                    crate::lan::address(7)
                } else {
                    message.src
                };
                let received = Received {
                    src,
                    dst: gateway(),
                    ttl: TTL,
                    payload: &payload,
                };
                let kind = payload.first().map_or(0, |octet| octet & 15);
                if kind != 1 && payload.len() >= 8 {
                    lan.receive(to, &received);
                    sent += 1;
                }
            }
        }
        let mut after = 0;
        for to in 0..3 {
            after += lan
                .sharing(to)
                .refusals()
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>();
        }
        assert!(sent > 500, "{sent}");
        // Lives that are over can greet, and nothing more.
        assert!(after - before > sent / 2, "{} of {sent}", after - before);
        lan.run(30 * MS);
        assert!(lan.is_settled(), "{}", lan.state());
        for node in 0..3 {
            assert_eq!(lan.sharing(node).table().digest(), tables[node]);
            assert_eq!(lan.sharing(node).table().installed(), versions[node]);
        }
        exact(&lan, from);
        check(&lan);
    }
}

#[test]
fn random_faults_end_with_one_table_and_every_end_system_served_once() {
    for seed in 0..seeds(6) {
        let mut lan = Lan::started(Settings {
            routers: 3 + seed as usize % 2,
            loss: seed % 4 * 8,
            doubled: 10,
            ..Settings::new(seed)
        });
        let routers = lan.settings.routers as u64;
        for _ in 0..12 {
            let node = lan.draw(0, routers) as usize;
            lan.harm(node, true);
            let pause = lan.draw(MS, 150 * MS);
            lan.run(pause);
        }
        for node in 0..routers as usize {
            lan.plug(node, true);
            // Who drains goes on doing so until it is started anew.
            let drains = lan.nodes[node].as_ref().is_none_or(|node| {
                let part = node.sharing.as_ref().unwrap();
                part.is_drained() || part.state() == vrrpd::sharing::names::MemberState::Draining
            });
            if drains {
                lan.start(node);
            }
        }
        lan.run(300 * MS);
        recover(&mut lan);
        let from = lan.now;
        lan.run(50 * MS);
        exact(&lan, from);
    }
}

/// The next authority had heard a difference, and not yet the table that it is a difference to: it knew some end systems, and neither the others nor the rest.
#[test]
fn an_authority_that_dies_before_a_router_has_its_table_leaves_no_end_system_unserved() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings {
            routers: 2,
            ..Settings::new(seed)
        });
        assert_eq!(lan.authority(), Some(0));
        lan.crash(1);
        lan.start(1);
        // What the lost life of the second router had is with the first one now, which says so.
        lan.run_until(10 * INTERVAL, |lan| lan.sharing(1).table().rows().len() > 0);
        let table = lan.sharing(1).table();
        assert!(!table.is_whole(), "{}", lan.state());
        lan.crash(0);
        recover(&mut lan);
        lan.start(0);
        recover(&mut lan);
    }
}

#[test]
fn a_router_that_heard_the_others_before_its_vrrp_could_start_takes_part_then() {
    for (routers, keyed) in [(2, true), (2, false), (3, false)] {
        let mut lan = settled(Settings {
            routers,
            keyed,
            ..Settings::new(5)
        });
        // As behind a tracked port that is down: its own cable stays plugged in.
        lan.crash(1);
        lan.run(3_000 * MS);
        lan.start(1);
        lan.plug(1, false);
        lan.plugged[1] = true;
        lan.run(3_000 * MS);
        lan.plug(1, true);
        lan.run(5 * INTERVAL);
        recover(&mut lan);
        assert_eq!(lan.sharing(1).state(), MemberState::Working);
        check(&lan);
    }
}

#[test]
fn a_router_that_is_gone_for_long_is_forgotten_and_may_come_back() {
    let mut lan = settled(Settings::new(2));
    let gone = router(2);
    let is_known = |lan: &Lan, node: usize| {
        let sharing = lan.sharing(node);
        sharing.membership().get(gone).is_some() || sharing.table().state_of(gone).is_some()
    };
    lan.crash(2);
    recover(&mut lan);
    assert!(is_known(&lan, 0) && is_known(&lan, 1));
    lan.run(2_100 * MS);
    recover(&mut lan);
    assert!(!is_known(&lan, 0) && !is_known(&lan, 1), "{}", lan.state());
    let from = lan.now;
    lan.start(2);
    recover(&mut lan);
    assert!(is_known(&lan, 0) && is_known(&lan, 1));
    exact(&lan, from);
}
