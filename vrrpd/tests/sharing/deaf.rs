//! Routers that hear nothing and go on speaking: they give their share up, nothing is routed twice because of it, and they come back.

use vrrpd::sharing::load_sharing::Event;
use vrrpd::sharing::names::MemberState;
use vrrpd::sharing::refusal::Refusal;

use crate::faults::{DOWN, blocked, recover};
use crate::lan::{Deafness, INTERVAL, Lan, MS, Settings, host, router};
use crate::life::{check, exact, seeds, settled};

/// Two intervals of silence, the look that is taken twice in one, and what the others need to hear of it.
const GIVEN_UP: u64 = 3 * INTERVAL;

/// No packet sent since then was routed twice.
fn expect_none_doubled(lan: &Lan, from: u64) {
    let mut later = lan.packets.iter().filter(|packet| packet.sent >= from);
    assert!(
        later.all(|packet| packet.routed.len() <= 1),
        "{}",
        lan.state()
    );
}

fn is_served_by_others(lan: &Lan, deaf: usize) -> bool {
    (0..9).all(|number| matches!(lan.routing(host(number))[..], [by] if by != deaf))
}

/// Lets a router hear again, and expects that it comes back without harm to any packet.
fn expect_return(lan: &mut Lan, node: usize) {
    let from = lan.now;
    lan.deaf[node] = Deafness::No;
    recover(lan);
    exact(lan, from);
}

#[test]
fn a_backup_that_hears_nothing_gives_its_share_up_and_comes_back() {
    for seed in 0..seeds(4) {
        let mut lan = settled(Settings {
            loss: seed % 3 * 5,
            // Whatever its rank, it claims to be master.
            reversed: seed % 4 >= 2,
            ..Settings::new(seed)
        });
        let from = lan.now;
        lan.deaf[1] = Deafness::Entirely;
        lan.run_until(GIVEN_UP, |lan| is_served_by_others(lan, 1));
        let given_up = lan.now;
        lan.run(20 * INTERVAL);
        assert!(is_served_by_others(&lan, 1), "{}", lan.state());
        exact(&lan, given_up);
        expect_none_doubled(&lan, from);
        assert!(
            blocked(&lan, from) <= GIVEN_UP,
            "{} ms",
            blocked(&lan, from) / MS
        );
        let master = if seed % 4 >= 2 { 2 } else { 0 };
        assert!(lan.nodes[master].as_ref().unwrap().vrrp.is_master());
        let refused = lan
            .sharing(master)
            .refusals()
            .iter()
            .any(|(reason, count)| reason == Refusal::Faulty && count > 0);
        assert!(refused, "its advertisements: {}", lan.state());
        expect_return(&mut lan, 1);
        expect_none_doubled(&lan, from);
    }
}

#[test]
fn a_router_that_hears_advertisements_and_nothing_to_the_virtual_mac_gives_its_share_up_too() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings::new(seed));
        let from = lan.now;
        lan.deaf[2] = Deafness::ToVirtualMac;
        lan.run_until(DOWN + INTERVAL, |lan| is_served_by_others(lan, 2));
        let given_up = lan.now;
        lan.run(20 * INTERVAL);
        exact(&lan, given_up);
        expect_none_doubled(&lan, from);
        expect_return(&mut lan, 2);
        expect_none_doubled(&lan, from);
    }
}

#[test]
fn a_master_that_hears_nothing_is_replaced_and_comes_back_as_master() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings::new(seed));
        let from = lan.now;
        lan.deaf[0] = Deafness::Entirely;
        lan.run_until(GIVEN_UP + 2 * DOWN, |lan| is_served_by_others(lan, 0));
        let given_up = lan.now;
        lan.run(20 * INTERVAL);
        exact(&lan, given_up);
        expect_return(&mut lan, 0);
        expect_none_doubled(&lan, from);
        assert_eq!(lan.master(), Some(0));
    }
}

#[test]
fn nobody_takes_itself_for_deaf_because_nobody_had_anything_to_answer() {
    for seed in 0..seeds(8) {
        let mut lan = Lan::new(Settings::new(seed));
        lan.sending = false;
        for node in 0..3 {
            lan.start(node);
            let delay = lan.draw(0, INTERVAL / 2);
            lan.run(delay);
        }
        lan.run(20 * INTERVAL);
        let mut events = lan.events.iter();
        let deaf = events.find(|(_, _, event)| *event == Event::Deaf);
        assert!(deaf.is_none(), "seed {seed}: {deaf:?}");
    }
}

#[test]
fn of_two_routers_the_one_that_is_left_goes_on_when_something_comes_in_again() {
    for deaf in [0, 1] {
        let mut lan = settled(Settings {
            routers: 2,
            ..Settings::new(7)
        });
        let table = lan.sharing(deaf).table().rows().len();
        lan.sending = false;
        lan.run(5 * MS);
        // Nobody sends anything, and the other router dies.
        lan.crash(1 - deaf);
        lan.run(20 * INTERVAL);
        assert_eq!(lan.sharing(deaf).state(), MemberState::Faulty);
        let from = lan.now;
        lan.sending = true;
        lan.run_until(3 * INTERVAL, |lan| {
            (0..9).all(|number| lan.routing(host(number)) == [deaf])
        });
        lan.run(10 * INTERVAL);
        assert!(
            blocked(&lan, from) <= 3 * INTERVAL,
            "{} ms",
            blocked(&lan, from) / MS
        );
        assert_eq!(lan.sharing(deaf).table().rows().len(), table);
        check(&lan);
    }
}

#[test]
fn when_nothing_reaches_anybody_each_keeps_what_it_had() {
    let mut lan = settled(Settings::new(9));
    let shares: Vec<_> = (0..9).map(|number| lan.routing(host(number))).collect();
    let from = lan.now;
    lan.deaf = vec![Deafness::Entirely; 3];
    lan.run(20 * INTERVAL);
    lan.deaf = vec![Deafness::No; 3];
    let back = lan.now;
    lan.run_until(4 * INTERVAL, |lan| {
        (0..9).all(|number| lan.routing(host(number)) == shares[number])
    });
    recover(&mut lan);
    exact(&lan, back + 4 * INTERVAL);
    expect_none_doubled(&lan, from);
}

#[test]
fn a_move_that_nothing_reached_anybody_in_comes_to_nothing_as_soon_as_all_hear_again() {
    for seed in 0..seeds(8) {
        let mut lan = settled(Settings::new(seed));
        // The authority gives, takes, or has no part in it.
        let (from, to) = [(0, 1), (1, 0), (1, 2), (2, 1)][seed as usize % 4];
        let given = (0..9).find(|number| lan.routing(host(*number)) == [from]);
        let given = host(given.unwrap());
        let begun = lan.now;
        lan.act(0, |sharing, now| sharing.move_to(now, &[given], router(to)))
            .unwrap();
        // It is ready, on hold, or fenced by then.
        lan.run_until(50 * MS, |lan| {
            [from, to].iter().all(|node| {
                let reports = lan.sharing(*node).moves().reports();
                reports.iter().any(|report| report.conditions == [given])
            })
        });
        let longer = lan.draw(0, 4) * MS;
        lan.run(longer);
        lan.deaf = vec![Deafness::Entirely; 3];
        lan.run(3 * INTERVAL);
        lan.deaf = vec![Deafness::No; 3];
        // They listen for two intervals; the rest is agreeing.
        lan.run_until(4 * INTERVAL, |lan| {
            (0..9).all(|number| lan.routing(host(number)).len() == 1)
        });
        recover(&mut lan);
        expect_none_doubled(&lan, begun);
    }
}

#[test]
fn moves_between_the_others_stay_exact_while_one_hears_nothing() {
    for seed in 0..seeds(3) {
        let mut lan = settled(Settings {
            routers: 4,
            ..Settings::new(seed)
        });
        lan.deaf[3] = Deafness::Entirely;
        lan.run_until(GIVEN_UP, |lan| is_served_by_others(lan, 3));
        let from = lan.now;
        for number in 0..9 {
            let to = router(lan.draw(0, 3) as usize);
            lan.act(0, |sharing, now| sharing.move_to(now, &[host(number)], to))
                .unwrap();
            lan.run(15 * MS);
        }
        lan.run(100 * MS);
        exact(&lan, from);
        assert_eq!(lan.sharing(0).counters().moves_reverted, 0);
        expect_return(&mut lan, 3);
    }
}
