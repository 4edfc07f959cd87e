//! What an operator asks for: moves by hand, drains, planned restarts. Nothing of it harms a packet.

use vrrpd::sharing::load_sharing::MoveError;
use vrrpd::sharing::names::{Condition, Mode};

use crate::lan::{Lan, MS, Settings, host, router};
use crate::life::{check, exact, seeds, settled};

#[test]
fn moves_by_hand_between_any_two_routers_harm_no_packet_whatever_the_link_does() {
    for seed in 0..seeds(4) {
        let mut lan = settled(Settings {
            loss: seed % 4 * 10,
            doubled: 10,
            ..Settings::new(seed)
        });
        let from = lan.now;
        for _ in 0..10 {
            let rest = lan.draw(0, 4) == 0;
            let conditions: Vec<Condition> = (0..9)
                .filter(|_| lan.draw(0, 3) == 0)
                .map(host)
                .chain(rest.then_some(Condition::Rest))
                .collect();
            let to = router(lan.draw(0, 3) as usize);
            let ordered = lan.act(0, |sharing, now| sharing.move_to(now, &conditions, to));
            assert_eq!(ordered, Ok(()));
            let pause = lan.draw(MS, 60 * MS);
            lan.run(pause);
        }
        lan.run_until(10_000 * MS, Lan::is_settled);
        lan.run(40 * MS);
        check(&lan);
        exact(&lan, from);
        assert!(lan.sharing(0).counters().moves_ordered > 10);
        assert_eq!(lan.sharing(0).counters().moves_reverted, 0);
    }
}

#[test]
fn what_was_moved_by_hand_stays_there() {
    let mut lan = settled(Settings::new(3));
    let all: Vec<Condition> = (0..9).map(host).collect();
    lan.act(0, |sharing, now| sharing.move_to(now, &all, router(2)))
        .unwrap();
    lan.run_until(2_000 * MS, |lan| {
        (0..9).all(|number| lan.routing(host(number)) == [2])
    });
    lan.run(500 * MS);
    assert!(
        (0..9).all(|number| lan.routing(host(number)) == [2]),
        "{}",
        lan.state()
    );
}

/// Nine end systems that are being moved to the second router, some of them still on their way there.
fn on_the_way() -> (Lan, Vec<Condition>) {
    let mut lan = settled(Settings::new(5));
    let all = order_all(&mut lan);
    (lan, all)
}

/// Orders them there, and waits until some are on their way.
fn order_all(lan: &mut Lan) -> Vec<Condition> {
    let all: Vec<Condition> = (0..9).map(host).collect();
    lan.act(0, |sharing, now| sharing.move_to(now, &all, router(1)))
        .unwrap();
    lan.run_until(1_000 * MS, |lan| {
        let mut rows = lan.sharing(0).table().rows();
        rows.any(|(_, row)| row.router == router(1) && row.unfinished.is_some())
    });
    all
}

#[test]
fn what_is_on_its_way_goes_on_to_where_it_is_ordered_meanwhile() {
    let (mut lan, all) = on_the_way();
    lan.act(0, |sharing, now| sharing.move_to(now, &all, router(2)))
        .unwrap();
    lan.run_until(2_000 * MS, |lan| {
        (0..9).all(|number| lan.routing(host(number)) == [2])
    });
}

#[test]
fn what_is_on_its_way_to_a_router_that_is_drained_goes_on_from_there() {
    let (mut lan, _) = on_the_way();
    lan.act(1, |sharing, now| sharing.drain(now));
    lan.run_until(2_000 * MS, |lan| lan.sharing(1).is_drained());
    lan.run_until(2_000 * MS, |lan| {
        (0..9).all(|number| matches!(lan.routing(host(number))[..], [0 | 2]))
    });
}

#[test]
fn an_order_that_cannot_be_carried_out_says_why() {
    let mut lan = settled(Settings::new(4));
    let order = |lan: &mut Lan, node, condition, to| {
        lan.act(node, |sharing, now| {
            sharing.move_to(now, &[condition], router(to))
        })
    };
    let authority = Some(router(0));
    assert_eq!(
        order(&mut lan, 1, host(0), 1),
        Err(MoveError::NotAuthority { authority })
    );
    assert_eq!(
        order(&mut lan, 0, host(77), 1),
        Err(MoveError::UnknownCondition(host(77)))
    );
    assert_eq!(
        order(&mut lan, 0, host(0), 7),
        Err(MoveError::NotWorking(router(7)))
    );
}

#[test]
fn any_router_is_drained_and_restarted_without_harming_a_packet() {
    for seed in 0..seeds(4) {
        let mut lan = settled(Settings {
            loss: seed % 3 * 10,
            ..Settings::new(seed)
        });
        let from = lan.now;
        let node = seed as usize % 3;
        lan.act(node, |sharing, now| sharing.drain(now));
        lan.run_until(3_000 * MS, |lan| lan.nodes[node].as_ref().unwrap().drained);
        assert!((0..9).all(|number| !lan.routing(host(number)).contains(&node)));
        lan.resign(node);
        lan.run(5 * MS);
        lan.crash(node);
        lan.run(100 * MS);
        lan.start(node);
        lan.run(100 * MS);
        lan.run_until(5_000 * MS, Lan::is_settled);
        lan.run(100 * MS);
        lan.run_until(5_000 * MS, Lan::is_settled);
        lan.run(40 * MS);
        check(&lan);
        exact(&lan, from);
    }
}

#[test]
fn a_router_alone_is_drained_at_once() {
    let mut lan = Lan::started(Settings {
        routers: 1,
        ..Settings::new(1)
    });
    lan.run_until(1_000 * MS, Lan::is_settled);
    check(&lan);
    lan.act(0, |sharing, now| sharing.drain(now));
    assert!(lan.sharing(0).is_drained());
}

#[test]
fn a_router_that_drains_takes_nothing_though_it_was_away_meanwhile() {
    for stalls in [false, true] {
        let mut lan = settled(Settings::new(7));
        lan.act(1, |sharing, now| sharing.drain(now));
        if stalls {
            lan.freeze(1, 400 * MS);
        } else {
            lan.plug(1, false);
            lan.run(400 * MS);
            lan.plug(1, true);
        }
        lan.run(1_500 * MS);
        assert!(lan.sharing(1).is_drained(), "{}", lan.state());
        assert!(
            (0..9).all(|number| matches!(lan.routing(host(number))[..], [0 | 2])),
            "{}",
            lan.state()
        );
    }
}

#[test]
fn timer_mode_doubles_nothing() {
    for seed in 0..seeds(4) {
        let mut lan = settled(Settings {
            mode: Mode::Timer,
            loss: seed % 3 * 10,
            ..Settings::new(seed)
        });
        let from = lan.now;
        for number in 0..9 {
            let to = router(lan.draw(0, 3) as usize);
            lan.act(0, |sharing, now| sharing.move_to(now, &[host(number)], to))
                .unwrap();
            lan.run(10 * MS);
        }
        lan.run_until(5_000 * MS, Lan::is_settled);
        lan.run(40 * MS);
        check(&lan);
        let later = lan.packets.iter().filter(|packet| packet.sent >= from);
        assert!(
            later.clone().all(|packet| packet.routed.len() <= 1),
            "{}",
            lan.state()
        );
    }
}

/// Has every router, told one after the other by its operator, change hands in another mode.
fn reconfigure_all(lan: &mut Lan, mode: Mode) {
    for node in 0..lan.nodes.len() {
        let config = vrrpd::sharing::load_sharing::Config {
            mode,
            ..lan.config(node)
        };
        lan.act(node, |sharing, now| sharing.reconfigure(now, config))
            .unwrap();
    }
}

fn is_in_force(lan: &Lan, mode: Mode) -> bool {
    lan.members()
        .all(|(_, member)| member.table().mode() == mode)
}

#[test]
fn another_mode_is_in_force_as_soon_as_all_have_heard_of_it() {
    let mut lan = settled(Settings::new(6));
    reconfigure_all(&mut lan, Mode::Timer);
    let took = lan.run_until(100 * MS, |lan| is_in_force(lan, Mode::Timer));
    assert!(took <= 5 * MS, "{took} ns");
}

#[test]
fn another_mode_waits_for_the_moves_under_way_and_disturbs_none() {
    for seed in 0..seeds(4) {
        let mut lan = settled(Settings {
            loss: seed % 3 * 10,
            ..Settings::new(seed)
        });
        let from = lan.now;
        let all = order_all(&mut lan);
        reconfigure_all(&mut lan, Mode::Timer);
        lan.run_until(2_000 * MS, |lan| is_in_force(lan, Mode::Timer));
        let until = lan.now;
        lan.run_until(2_000 * MS, |lan| {
            all.iter().all(|condition| lan.routing(*condition) == [1])
        });
        lan.run(40 * MS);
        check(&lan);
        assert_eq!(lan.sharing(0).counters().moves_reverted, 0);
        // Those in sequence mode were exact to their end; those that were still to be ordered then lose something.
        let sent =
            |packet: &&crate::lan::Fate| packet.sent >= from && packet.sent + 20 * MS <= until;
        let mut before = lan.packets.iter().filter(sent);
        assert!(
            before.all(|packet| packet.routed.len() == 1),
            "{}",
            lan.state()
        );
        let mut all = lan.packets.iter();
        assert!(
            all.all(|packet| packet.sent < from || packet.routed.len() <= 1),
            "{}",
            lan.state()
        );
    }
}
