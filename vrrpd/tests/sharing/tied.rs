//! Two groups of the same routers, towards the LAN and towards the carrier, of which the second follows the first: both directions of an end system
//! pass one router, whoever is master of which group.

use vrrpd::sharing::load_sharing::MoveError;
use vrrpd::sharing::names::{Condition, Mode};

use crate::lan::{INTERVAL, Lan, MS, Settings, host, router};
use crate::life::{check, exact, seeds};

/// The group towards the LAN, and the one towards the carrier.
struct Tied {
    lan: Lan,
    carrier: Lan,
}

impl Tied {
    /// Both settled; the first router is master of one group, the last of the other.
    fn settled(settings: Settings) -> Tied {
        let carrier = Settings {
            seed: settings.seed + 1000,
            configured: 0,
            follows: true,
            reversed: true,
            ..settings.clone()
        };
        let mut tied = Tied {
            lan: Lan::started(settings),
            carrier: Lan::started(carrier),
        };
        tied.run(150 * MS);
        tied.settle();
        tied
    }

    /// What the driver does of a router that has both groups.
    fn tie(&mut self) {
        for node in 0..self.lan.nodes.len() {
            let there = |lan: &Lan| lan.nodes[node].is_some();
            if !there(&self.lan) || !there(&self.carrier) {
                continue;
            }
            let leader = self.lan.sharing(node).table();
            self.carrier.act(node, |part, now| part.follow(now, leader));
            let able = self.carrier.sharing(node).takes_part();
            self.lan.act(node, |part, now| part.set_able(now, able));
        }
    }

    fn run(&mut self, span: u64) {
        let end = self.lan.now + span;
        while self.lan.now < end {
            self.lan.run(MS);
            self.carrier.run(MS);
            self.tie();
        }
    }

    fn run_until(&mut self, limit: u64, done: impl Fn(&Tied) -> bool) {
        let end = self.lan.now + limit;
        while !done(self) {
            assert!(
                self.lan.now < end,
                "not within {limit} ns: {}\n{}",
                self.lan.state(),
                self.carrier.state()
            );
            self.run(MS);
        }
    }

    fn settle(&mut self) {
        for _ in 0..2 {
            self.run(100 * MS);
            self.run_until(5_000 * MS, |tied| {
                tied.lan.is_settled() && tied.carrier.is_settled() && tied.is_one()
            });
        }
        self.run(30 * MS);
        check(&self.lan);
        check(&self.carrier);
        assert!(self.is_one());
    }

    /// Whether both directions of everything pass one router.
    fn is_one(&self) -> bool {
        let hosts = (0..self.lan.settings.hosts).map(host);
        let mut all = hosts.chain([Condition::Rest]);
        all.all(|condition| self.lan.routing(condition) == self.carrier.routing(condition))
    }

    fn masters(&self) -> (Option<usize>, Option<usize>) {
        (self.lan.master(), self.carrier.master())
    }
}

#[test]
fn both_directions_of_an_end_system_pass_one_router_and_move_together_without_harming_a_packet() {
    for seed in 0..seeds(2) {
        let mut tied = Tied::settled(Settings {
            loss: seed % 2 * 10,
            ..Settings::new(seed)
        });
        assert_eq!(tied.masters(), (Some(0), Some(2)));
        let from = tied.lan.now;
        for _ in 0..4 {
            let number = tied.lan.draw(0, 9) as usize;
            let to = tied.lan.draw(0, 3) as usize;
            let conditions = [host(number), Condition::Rest];
            tied.lan
                .act(0, |part, now| part.move_to(now, &conditions, router(to)))
                .unwrap();
            tied.run(5 * MS);
            tied.settle();
            assert_eq!(tied.carrier.routing(host(number)), [to]);
        }
        exact(&tied.lan, from);
        exact(&tied.carrier, from);
    }
}

#[test]
fn whoever_loses_its_place_in_the_follower_gives_away_both_directions() {
    let mut tied = Tied::settled(Settings::new(4));
    let from = tied.lan.now;
    // The port towards the carrier, of a router that is master of neither group.
    tied.carrier.plug(1, false);
    tied.run(10 * INTERVAL);
    tied.run_until(5_000 * MS, |tied| {
        let without = |lan: &Lan| (0..9).all(|number| lan.routing(host(number)) != [1]);
        without(&tied.lan) && without(&tied.carrier) && tied.is_one()
    });
    // What is moved away on the LAN is moved in order.
    tied.run(30 * MS);
    exact(&tied.lan, from);
    tied.carrier.plug(1, true);
    tied.settle();
    let served = |lan: &Lan| (0..9).any(|number| lan.routing(host(number)) == [1]);
    assert!(served(&tied.lan) && served(&tied.carrier));
}

#[test]
fn tied_groups_agree_again_after_either_master_has_died_and_come_back() {
    for node in [0, 2] {
        let mut tied = Tied::settled(Settings::new(5));
        tied.lan.crash(node);
        tied.carrier.crash(node);
        tied.run(100 * MS);
        tied.settle();
        tied.lan.start(node);
        tied.carrier.start(node);
        tied.run(100 * MS);
        tied.settle();
        let from = tied.lan.now;
        tied.run(60 * MS);
        exact(&tied.lan, from);
        exact(&tied.carrier, from);
    }
}

#[test]
fn a_drain_empties_both_groups() {
    let mut tied = Tied::settled(Settings::new(6));
    let from = tied.lan.now;
    for lan in [&mut tied.lan, &mut tied.carrier] {
        lan.act(1, |part, now| part.drain(now));
    }
    tied.run_until(5_000 * MS, |tied| {
        [&tied.lan, &tied.carrier].map(|lan| lan.sharing(1).is_drained()) == [true; 2]
    });
    tied.run(30 * MS);
    exact(&tied.lan, from);
    exact(&tied.carrier, from);
}

#[test]
fn end_systems_that_are_forgotten_in_the_leader_are_in_the_follower_too() {
    let mut settings = Settings::new(7);
    settings.configured = 0;
    settings.end_system_age = Some(std::time::Duration::from_millis(400));
    let mut tied = Tied::settled(settings);
    let known = |lan: &Lan| lan.sharing(0).table().rows().len();
    assert_eq!((known(&tied.lan), known(&tied.carrier)), (10, 10));
    tied.lan.sending = false;
    tied.run_until(3_000 * MS, |tied| known(&tied.lan) == 1);
    tied.run_until(1_000 * MS, |tied| known(&tied.carrier) == 1);
}

#[test]
fn timer_mode_keeps_both_directions_together_too() {
    let mut tied = Tied::settled(Settings {
        mode: Mode::Timer,
        ..Settings::new(8)
    });
    tied.lan
        .act(0, |part, now| part.move_to(now, &[host(3)], router(2)))
        .unwrap();
    tied.run(5 * MS);
    tied.settle();
    assert_eq!(tied.carrier.routing(host(3)), [2]);
}

#[test]
fn orders_go_to_the_group_that_is_followed() {
    let mut tied = Tied::settled(Settings::new(9));
    let order = |part: &mut vrrpd::sharing::LoadSharing, now| {
        (
            part.move_to(now, &[host(0)], router(1)),
            part.review_now(now).map(|_| ()),
        )
    };
    let refused = Err(MoveError::Follows);
    assert_eq!(tied.carrier.act(2, order), (refused.clone(), refused));
}
