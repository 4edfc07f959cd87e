//! The substitution server: it does all the control work while it is there, and nobody is harmed when it comes or goes.

use std::collections::BTreeSet;

use vrrpd::sharing::load_sharing::MoveError;
use vrrpd::sharing::names::{Condition, MemberState, Mode};

use crate::lan::{INTERVAL, Lan, MS, Settings, host, router};
use crate::life::{check, exact, seeds, settled};
use crate::review::{self, max_over_mean, skew};

/// The last of four is the server.
const SERVER: usize = 3;

fn settings(seed: u64) -> Settings {
    Settings {
        routers: 4,
        servers: BTreeSet::from([SERVER]),
        ..Settings::new(seed)
    }
}

/// What a router has done as the authority: terms, allocations, moves, collections, reviews, end systems.
fn control_work(lan: &Lan, node: usize) -> [u64; 6] {
    let counters = lan.sharing(node).counters();
    [
        counters.authorities_taken,
        counters.allocations_issued,
        counters.moves_ordered,
        counters.collections,
        counters.reviews,
        counters.end_systems_taken_up,
    ]
}

fn rest(lan: &mut Lan) {
    lan.run_until(20_000 * MS, Lan::is_settled);
    lan.run(100 * MS);
    lan.run_until(20_000 * MS, Lan::is_settled);
    lan.run(30 * MS);
    check(lan);
}

/// Moves every end system on to the next router, by the order of `authority`.
fn move_around(lan: &mut Lan, authority: usize) {
    for number in 0..lan.settings.hosts {
        let present = lan.sharing(authority).table().row(host(number));
        let to = router(present.unwrap().router.get() as usize % SERVER);
        lan.act(authority, |part, now| {
            part.move_to(now, &[host(number)], to)
        })
        .unwrap();
        lan.run(8 * MS);
    }
    rest(lan);
}

#[test]
fn a_server_does_all_the_control_work_and_is_in_charge_of_nothing() {
    for seed in 0..seeds(2) {
        let mut lan = settled(Settings {
            loss: seed % 3 * 10,
            ..settings(seed)
        });
        assert_eq!(lan.authority(), Some(SERVER));
        let from = lan.now;
        move_around(&mut lan, SERVER);
        exact(&lan, from);
        assert_eq!(lan.master(), Some(0));
        for node in 0..SERVER {
            assert_eq!(control_work(&lan, node), [0; 6], "{}", lan.state());
            assert_eq!(lan.sharing(node).authority(), Some(router(SERVER)));
            let refused = lan.act(node, |part, now| part.move_to(now, &[host(0)], router(1)));
            let authority = Some(router(SERVER));
            assert_eq!(refused, Err(MoveError::NotAuthority { authority }));
        }
        // Also those that are not configured, which it never sees.
        let [terms, allocations, moves, _, _, systems] = control_work(&lan, SERVER);
        assert_eq!((terms, systems), (1, 3), "{}", lan.state());
        assert!(allocations > 0 && moves >= 9, "{allocations}, {moves}");
        let server = lan.sharing(SERVER);
        assert_eq!(server.state(), MemberState::SubstitutionServer);
        assert!(server.moves().reports().is_empty());
        let mut rows = server.table().rows();
        assert!(rows.all(|(_, row)| row.router != router(SERVER)));
        assert!(lan.nodes[SERVER].as_ref().unwrap().plane.is_untouched());
    }
}

#[test]
fn sharing_goes_on_without_harming_a_packet_when_the_server_dies_and_when_it_comes_back() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings {
            loss: seed % 3 * 10,
            ..settings(seed)
        });
        let from = lan.now;
        // In the middle of moves.
        let all: Vec<_> = (0..9).map(host).collect();
        lan.act(SERVER, |part, now| part.move_to(now, &all, router(1)))
            .unwrap();
        let when = lan.draw(0, 12 * MS);
        lan.run(when);
        lan.crash(SERVER);
        lan.run(100 * MS);
        rest(&mut lan);
        assert_eq!(lan.authority(), Some(0));
        assert!(lan.sharing(0).is_authority());
        assert_eq!(
            lan.sharing(0)
                .membership()
                .get(router(SERVER))
                .unwrap()
                .state,
            MemberState::SubstitutionServerFaulty
        );
        move_around(&mut lan, 0);
        lan.act(0, |part, now| part.move_to(now, &all, router(2)))
            .unwrap();
        let when = lan.draw(0, 12 * MS);
        lan.run(when);
        lan.start(SERVER);
        lan.run(100 * MS);
        rest(&mut lan);
        assert!(lan.sharing(SERVER).is_authority());
        assert!(!lan.sharing(0).is_authority());
        let before = control_work(&lan, 0);
        move_around(&mut lan, SERVER);
        assert_eq!(control_work(&lan, 0), before);
        exact(&lan, from);
    }
}

#[test]
fn a_server_that_restarts_before_it_is_missed_takes_up_its_work_again() {
    let mut lan = settled(settings(11));
    let from = lan.now;
    lan.crash(SERVER);
    lan.run(INTERVAL / 2);
    lan.start(SERVER);
    lan.run(100 * MS);
    rest(&mut lan);
    assert_eq!(lan.sharing(0).counters().allocations_issued, 0);
    move_around(&mut lan, SERVER);
    exact(&lan, from);
}

#[test]
fn a_server_that_stops_in_order_is_not_waited_for() {
    let mut lan = settled(settings(12));
    let from = lan.now;
    lan.act(SERVER, |part, now| part.drain(now));
    assert!(lan.sharing(SERVER).is_drained());
    lan.run(INTERVAL);
    assert!(lan.sharing(0).is_authority(), "{}", lan.state());
    lan.crash(SERVER);
    rest(&mut lan);
    exact(&lan, from);
}

#[test]
fn the_server_gives_the_share_of_a_router_that_dies_to_the_others_be_it_master_or_not() {
    for (seed, node) in [(13, 0), (14, 1)] {
        let mut lan = settled(settings(seed));
        let from = lan.now;
        lan.crash(node);
        lan.run(7 * INTERVAL);
        for number in 0..9 {
            assert_eq!(lan.routing(host(number)).len(), 1, "{}", lan.state());
        }
        rest(&mut lan);
        let counted = lan.sharing(SERVER).counters().conditions_taken_over;
        assert!(counted > 0, "{}", lan.state());
        lan.start(node);
        lan.run(100 * MS);
        rest(&mut lan);
        for node in 0..SERVER {
            assert_eq!(control_work(&lan, node), [0; 6], "{}", lan.state());
        }
        let later = lan.packets.iter().filter(|packet| packet.sent >= from);
        assert!(later.clone().all(|packet| {
            let others = packet.routed.iter().filter(|(by, _)| *by != node);
            others.count() <= 1
        }));
    }
}

#[test]
fn a_server_and_the_last_router_that_restarts_find_each_other_again() {
    let mut lan = settled(Settings {
        routers: 2,
        servers: BTreeSet::from([1]),
        ..Settings::new(15)
    });
    for away in [INTERVAL / 2, 20 * INTERVAL] {
        lan.crash(0);
        lan.run(away);
        lan.start(0);
        lan.run(200 * MS);
        rest(&mut lan);
        assert_eq!(lan.authority(), Some(1));
        assert_eq!(lan.routing(Condition::Rest), [0]);
    }
}

#[test]
fn of_two_servers_the_second_steps_in_for_the_first() {
    let mut lan = settled(Settings {
        servers: BTreeSet::from([2, 3]),
        ..settings(16)
    });
    let from = lan.now;
    assert!(lan.sharing(2).is_authority() && !lan.sharing(3).is_authority());
    lan.crash(2);
    lan.run(100 * MS);
    rest(&mut lan);
    assert!(lan.sharing(3).is_authority());
    lan.start(2);
    lan.run(100 * MS);
    rest(&mut lan);
    assert!(lan.sharing(2).is_authority());
    exact(&lan, from);
    for node in [0, 1] {
        assert_eq!(control_work(&lan, node), [0; 6]);
    }
}

#[test]
fn random_faults_with_a_server_end_with_one_table_and_every_end_system_served_once() {
    for seed in 0..seeds(3) {
        let mut lan = Lan::started(Settings {
            loss: seed % 4 * 8,
            doubled: 10,
            ..settings(seed)
        });
        for _ in 0..12 {
            // The server twice as often as any other.
            let node = (lan.draw(0, 5) as usize).min(SERVER);
            lan.harm(node, false);
            let pause = lan.draw(MS, 150 * MS);
            lan.run(pause);
        }
        for node in 0..4 {
            lan.plug(node, true);
            if lan.nodes[node].is_none() {
                lan.start(node);
            }
        }
        lan.run(400 * MS);
        rest(&mut lan);
        let from = lan.now;
        lan.run(50 * MS);
        exact(&lan, from);
        assert!(lan.sharing(SERVER).is_authority());
    }
}

/// Gives most to route to the router that has most end systems.
fn skew_fullest(lan: &mut Lan) {
    let count = |node: usize| {
        let hosts = (0..lan.settings.hosts).map(host);
        hosts.filter(|host| lan.routing(*host) == [node]).count()
    };
    let fullest = (0..SERVER).max_by_key(|node| count(*node)).unwrap();
    skew(lan, fullest);
    assert!(max_over_mean(lan) > 1.5);
}

#[test]
fn reviews_go_on_whoever_holds_them() {
    for mode in [Mode::Sequence, Mode::Timer] {
        let mut lan = settled(Settings {
            routers: 4,
            servers: BTreeSet::from([SERVER]),
            mode,
            ..review::settings(17)
        });
        let from = lan.now;
        skew_fullest(&mut lan);
        lan.run_until(4_000 * MS, |lan| max_over_mean(lan) < 1.1);
        rest(&mut lan);
        let [_, _, _, collections, reviews, _] = control_work(&lan, SERVER);
        assert!(collections > 0 && reviews > 0);
        assert_eq!(control_work(&lan, 0), [0; 6]);

        lan.crash(SERVER);
        lan.run(100 * MS);
        rest(&mut lan);
        skew_fullest(&mut lan);
        lan.run_until(4_000 * MS, |lan| max_over_mean(lan) < 1.1);
        rest(&mut lan);
        let by_master = control_work(&lan, 0);
        assert!(by_master[3] > 0 && by_master[4] > 0);

        lan.start(SERVER);
        lan.run(100 * MS);
        rest(&mut lan);
        let by_master = control_work(&lan, 0);
        skew_fullest(&mut lan);
        lan.run_until(4_000 * MS, |lan| max_over_mean(lan) < 1.1);
        rest(&mut lan);
        assert_eq!(control_work(&lan, 0), by_master);
        match mode {
            Mode::Sequence => exact(&lan, from),
            Mode::Timer => {
                let mut later = lan.packets.iter().filter(|packet| packet.sent >= from);
                assert!(later.all(|packet| packet.routed.len() <= 1));
            }
        }
    }
}

#[test]
fn a_server_never_becomes_master_and_tells_whom_it_misses() {
    let mut lan = settled(settings(18));
    for node in 0..SERVER {
        lan.crash(node);
    }
    lan.run(20 * INTERVAL);
    assert_eq!(lan.master(), None);
    assert_eq!(lan.sent_types[SERVER].get(&1), None);
    let master = lan.sharing(SERVER).membership().get(router(0)).unwrap();
    assert_eq!(master.state, MemberState::Faulty);
}

#[test]
fn a_server_that_comes_back_takes_the_work_over_within_an_interval() {
    let mut lan = settled(settings(19));
    lan.crash(SERVER);
    lan.run(100 * MS);
    rest(&mut lan);
    lan.start(SERVER);
    let took = lan.run_until(200 * MS, |lan| lan.sharing(SERVER).is_authority());
    assert!(took < INTERVAL, "{} us: {}", took / 1000, lan.state());
}
