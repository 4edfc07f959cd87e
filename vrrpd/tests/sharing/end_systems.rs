//! End systems that are noticed, for which there may be no room, and that are forgotten.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrpd::sharing::names::{Condition, Seen};

use crate::lan::{Lan, MS, Settings, address};
use crate::review::{settings, settled};

/// The most end systems that these groups take.
const MAX: usize = 8;
const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));

fn on_the_link(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, number).into()
}

fn behind(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 9, 0, number).into()
}

/// Of a group that knows nobody, has nobody send, and takes up to [`MAX`].
fn nobody(seed: u64) -> Settings {
    Settings {
        hosts: 0,
        configured: 0,
        end_systems_max: Some(MAX),
        ..Settings::new(seed)
    }
}

/// The router `at` notices these, one after the other.
fn notice(lan: &mut Lan, at: usize, systems: impl Iterator<Item = (IpAddr, Option<IpAddr>)>) {
    for (address, node) in systems {
        lan.act(at, |part, now| {
            part.end_system_seen(now, address, Seen::Traffic, node);
        });
        lan.run(5 * MS);
    }
    lan.run(200 * MS);
}

/// Those in the table of the first router: how many on the link, how many behind a further router.
fn known(lan: &Lan) -> (usize, usize) {
    let rows = lan.sharing(0).table().rows();
    let rows = rows.filter(|(condition, _)| *condition != Condition::Rest);
    let nodes: Vec<_> = rows.map(|(_, row)| row.node).collect();
    let behind = nodes.iter().filter(|node| **node == Some(NODE)).count();
    (nodes.len() - behind, behind)
}

#[test]
fn no_more_end_systems_are_taken_up_than_there_may_be() {
    // The authority itself, and one that has to tell it.
    for at in [0, 1] {
        let mut lan = settled(nobody(21));
        notice(
            &mut lan,
            at,
            (1..=12).map(|number| (on_the_link(number), None)),
        );
        assert_eq!(known(&lan), (MAX, 0), "{}", lan.state());
        let refused = lan.sharing(at).counters().end_systems_refused;
        assert!(refused >= 4, "{refused}");
    }
}

#[test]
fn those_behind_further_routers_leave_room_for_those_on_the_link() {
    for at in [0, 1] {
        let mut lan = settled(nobody(22));
        notice(
            &mut lan,
            at,
            (1..=12).map(|number| (behind(number), Some(NODE))),
        );
        assert_eq!(known(&lan), (0, MAX / 2), "{}", lan.state());
        notice(
            &mut lan,
            at,
            (1..=12).map(|number| (on_the_link(number), None)),
        );
        assert_eq!(known(&lan), (MAX / 2, MAX / 2), "{}", lan.state());
        // In the other order as well.
        let mut lan = settled(nobody(23));
        notice(
            &mut lan,
            at,
            (1..=6).map(|number| (on_the_link(number), None)),
        );
        notice(
            &mut lan,
            at,
            (1..=6).map(|number| (behind(number), Some(NODE))),
        );
        assert_eq!(known(&lan), (6, 2), "{}", lan.state());
    }
}

#[test]
fn a_router_that_was_taken_for_an_end_system_is_none_any_more_once_it_is_believed() {
    for at in [0, 1] {
        let mut lan = Lan::new(nobody(24));
        lan.start(0);
        lan.start(1);
        lan.run_until(3_000 * MS, Lan::is_settled);
        // It answers ARP before it says a word.
        notice(
            &mut lan,
            at,
            [(address(2), None), (on_the_link(1), None)].into_iter(),
        );
        assert_eq!(known(&lan), (2, 0), "{}", lan.state());
        lan.start(2);
        lan.run(500 * MS);
        lan.run_until(3_000 * MS, Lan::is_settled);
        assert_eq!(known(&lan), (1, 0), "{}", lan.state());
        notice(&mut lan, at, [(address(2), None)].into_iter());
        assert_eq!(known(&lan), (1, 0), "{}", lan.state());
    }
}

#[test]
fn whoever_has_traffic_is_not_forgotten_whoever_routes_it() {
    let mut settings = settings(9);
    settings.configured = 0;
    settings.end_system_age = Some(Duration::from_millis(400));
    settings.review.rate_bit_per_s = None;
    settings.review.window = Duration::from_millis(40);
    settings.review.hold = Duration::from_millis(50);
    let mut lan = settled(settings);
    lan.run(2_000 * MS);
    let known = lan.sharing(0).table().rows().count();
    assert_eq!(known, 25, "{}", lan.state());
    lan.sending = false;
    lan.run(2_000 * MS);
    assert_eq!(lan.sharing(0).table().rows().count(), 1, "{}", lan.state());
}
