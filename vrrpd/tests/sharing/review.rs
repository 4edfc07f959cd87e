//! Load that follows traffic: groups that measure, ask, collect, and share anew by themselves.

use std::time::Duration;

use vrrpd::sharing::load_sharing::Event;
use vrrpd::sharing::names::{Condition, Mode};
use vrrpd::sharing::review::{Config, Start, Verdict};

use crate::lan::{Lan, MS, Settings, US, host, octets_of, router};
use crate::life::{check, exact};

pub(crate) const HOLD: u64 = 400 * MS;

pub(crate) fn settings(seed: u64) -> Settings {
    Settings {
        hosts: 24,
        configured: 24,
        batch_len_max: 4,
        // No more than the workers can do.
        pause: 4500 * US,
        review: Config {
            window: Duration::from_millis(200),
            hold: Duration::from_nanos(HOLD),
            rate_bit_per_s: Some(500_000),
            overflows_per_s: Some(100),
            overflow_difference_per_s: 100,
            ..Config::default()
        },
        ..Settings::new(seed)
    }
}

/// A group at rest that shares by count.
pub(crate) fn settled(settings: Settings) -> Lan {
    let mut lan = Lan::started(settings);
    lan.run_until(3_000 * MS, Lan::is_settled);
    lan.run(100 * MS);
    lan.run_until(3_000 * MS, Lan::is_settled);
    lan
}

/// The octets a round of packets has of whom `node` is in charge of.
fn carried(lan: &Lan, node: usize) -> u64 {
    let rows = lan.sharing(0).table().rows();
    rows.filter(|(condition, row)| *condition != Condition::Rest && row.router == router(node))
        .map(|(condition, _)| octets_of(&lan.settings, condition))
        .sum()
}

pub(crate) fn max_over_mean(lan: &Lan) -> f64 {
    let routers = lan.routers().map(|(node, _)| node);
    let carried: Vec<u64> = routers.map(|node| carried(lan, node)).collect();
    let mean = carried.iter().sum::<u64>() as f64 / carried.len() as f64;
    carried.into_iter().max().unwrap() as f64 / mean
}

/// Whoever is with `node` sends six times as much as the others.
pub(crate) fn skew(lan: &mut Lan, node: usize) {
    let table = lan.sharing(0).table();
    let octets = (0..lan.settings.hosts).map(|number| {
        let row = table.row(host(number)).unwrap();
        if row.router == router(node) { 600 } else { 100 }
    });
    lan.settings.octets = octets.collect();
}

fn reallocations(lan: &Lan) -> u64 {
    lan.members()
        .map(|(_, part)| part.counters().reallocations)
        .sum()
}

fn collections(lan: &Lan) -> u64 {
    lan.members()
        .map(|(_, part)| part.counters().collections)
        .sum()
}

#[test]
fn a_skewed_load_is_rebalanced_by_itself_without_harming_a_packet_and_then_left_alone() {
    for (seed, loss, skewed) in [(1, 0, 0), (2, 20, 2)] {
        let mut lan = settled(Settings {
            loss,
            ..settings(seed)
        });
        let from = lan.now;
        skew(&mut lan, skewed);
        assert!(max_over_mean(&lan) > 2.0, "{}", lan.state());
        lan.run_until(10 * HOLD, |lan| max_over_mean(lan) < 1.1);
        lan.run_until(3_000 * MS, Lan::is_settled);
        // The first review may have seen a part of the change only.
        lan.run(2 * HOLD);
        assert!(reallocations(&lan) <= 2, "{}", lan.state());
        let allocation: Vec<_> = (0..24).map(|number| lan.routing(host(number))).collect();
        let (before, reviewed) = (reallocations(&lan), collections(&lan));
        // Where messages are lost, a review takes longer.
        lan.run_until(30 * HOLD, |lan| collections(lan) >= reviewed + 5);
        lan.run(HOLD);
        let after: Vec<_> = (0..24).map(|number| lan.routing(host(number))).collect();
        assert_eq!(reallocations(&lan), before, "{}", lan.state());
        assert_eq!(after, allocation);
        check(&lan);
        exact(&lan, from);
    }
}

#[test]
fn an_authority_that_was_restarted_gets_the_figures_of_now_and_not_those_of_its_former_life() {
    // Nobody asks but the operator, so that either life makes one request.
    let mut lan = settled(Settings {
        review: Config {
            rate_bit_per_s: None,
            overflows_per_s: None,
            ..settings(3).review
        },
        ..settings(3)
    });
    let carried = |lan: &mut Lan| {
        lan.run(HOLD);
        lan.act(0, |sharing, now| sharing.review_now(now)).unwrap();
        lan.run_until(10 * HOLD, |lan| lan.sharing(0).last_review().is_some());
        let review = lan.sharing(0).last_review().unwrap();
        review.routers[&router(2)].bit_per_s
    };
    let before = carried(&mut lan);
    lan.settings.octets = vec![600; lan.settings.hosts];
    lan.crash(0);
    lan.start(0);
    lan.run(HOLD);
    lan.run_until(3_000 * MS, Lan::is_settled);
    let after = carried(&mut lan);
    assert!(after > 3 * before, "{after} bit/s, {before} before");
}

#[test]
fn what_the_operator_moves_moves_nothing_else_until_a_review() {
    let mut lan = settled(settings(8));
    skew(&mut lan, 1);
    lan.run_until(10 * HOLD, |lan| max_over_mean(lan) < 1.1);
    lan.run_until(3_000 * MS, Lan::is_settled);
    let served = |lan: &Lan| (0..24).map(|n| lan.routing(host(n))).collect::<Vec<_>>();
    let mut expected = served(&lan);
    let heavy = (0..24).find(|n| lan.settings.octets[*n] == 600 && expected[*n] != [0]);
    let heavy = heavy.unwrap();
    expected[heavy] = vec![0];
    lan.act(0, |sharing, now| {
        sharing.move_to(now, &[host(heavy)], router(0))
    })
    .unwrap();
    let reviewed = collections(&lan);
    lan.run_until(HOLD, |lan| served(lan) == expected);
    lan.run(HOLD / 20);
    assert_eq!(collections(&lan), reviewed);
    assert!(max_over_mean(&lan) > 1.1, "{}", max_over_mean(&lan));
    assert_eq!(served(&lan), expected);
}

#[test]
fn timer_mode_rebalances_too_and_doubles_nothing() {
    let mut lan = settled(Settings {
        mode: Mode::Timer,
        ..settings(5)
    });
    let from = lan.now;
    skew(&mut lan, 1);
    lan.run_until(10 * HOLD, |lan| max_over_mean(lan) < 1.1);
    lan.run_until(3_000 * MS, Lan::is_settled);
    check(&lan);
    assert!(
        lan.packets
            .iter()
            .all(|packet| packet.sent < from || packet.routed.len() <= 1)
    );
}

/// When what is meant happened, by the router that told of it.
fn times(lan: &Lan, is_meant: impl Fn(usize, &Event) -> bool) -> Vec<u64> {
    let events = lan.events.iter();
    let meant = events.filter(|(_, node, event)| is_meant(*node, event));
    meant.map(|(at, ..)| *at).collect()
}

#[test]
fn an_hour_above_the_thresholds_brings_exactly_as_many_requests_and_collections_as_the_quiet_periods_allow()
 {
    const SECOND: u64 = 1_000 * MS;
    const HOUR: u64 = 3_600 * SECOND;
    let config = Config {
        // Whatever is routed is too much.
        rate_bit_per_s: Some(0),
        ..Config::default()
    };
    let hold = config.hold.as_nanos() as u64;
    let mut lan = Lan::started(Settings {
        hosts: 6,
        configured: 6,
        interval: SECOND,
        pause: SECOND,
        review: config,
        ..Settings::new(6)
    });
    lan.run_until(60 * SECOND, Lan::is_settled);
    lan.run(3 * hold);
    let from = lan.now;
    let sent = |lan: &Lan, node: usize, kind: u8| lan.sent_types[node].get(&kind).copied();
    let before: Vec<_> = (0..3)
        .map(|node| [6, 7].map(|kind| sent(&lan, node, kind)))
        .collect();
    lan.run(HOUR);
    for node in [1, 2] {
        let requests = sent(&lan, node, 6).unwrap() - before[node][0].unwrap();
        assert_eq!(requests, HOUR / hold, "requests of {node}");
        let asked = times(&lan, |by, event| {
            by == node && matches!(event, Event::ReviewRequested { .. })
        });
        let mut gaps = asked.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.all(|gap| gap >= hold), "{asked:?}");
    }
    // The master asks nobody but itself, and collects because of all three; without loss nobody is asked twice for one collection.
    assert_eq!(sent(&lan, 0, 6), None);
    let collections = sent(&lan, 0, 7).unwrap() - before[0][1].unwrap();
    assert_eq!(collections, HOUR / hold, "collections");
    let reviewed = times(&lan, |_, event| matches!(event, Event::Reviewed { .. }));
    let reviewed = reviewed.iter().filter(|at| **at >= from);
    assert_eq!(reviewed.count() as u64, collections);
}

#[test]
fn overflows_alone_relieve_a_router() {
    for congested in [0, 2] {
        let mut settings = settings(7);
        settings.review.rate_bit_per_s = None;
        let mut lan = settled(settings);
        lan.run(2 * HOLD);
        assert_eq!(collections(&lan), 0, "without overflows there is no reason");
        let from = lan.now;
        // 8 hosts with 100 octets every 2.5 ms have some 320,000 octets a second.
        lan.settings.capacities.insert(congested, 250_000);
        lan.run(10 * HOLD);
        lan.run_until(3_000 * MS, Lan::is_settled);
        assert!(carried(&lan, congested) <= 600, "{}", lan.state());
        assert!(carried(&lan, congested) >= 300, "{}", lan.state());
        let before = reallocations(&lan);
        lan.run(6 * HOLD);
        assert_eq!(reallocations(&lan), before);
        check(&lan);
        exact(&lan, from);
    }
}

#[test]
fn an_operators_review_waits_for_the_hold_as_any_other() {
    let mut settings = settings(8);
    settings.review.rate_bit_per_s = None;
    let mut lan = settled(settings);
    lan.run(HOLD);
    assert!(lan.act(1, |part, now| part.review_now(now)).is_err());
    assert_eq!(
        lan.act(0, |part, now| part.review_now(now)),
        Ok(Start::Begun)
    );
    let second = lan.act(0, |part, now| part.review_now(now)).unwrap();
    assert!(matches!(second, Start::Remembered(_)), "{second:?}");
    lan.run(HOLD / 2);
    assert_eq!(collections(&lan), 1);
    let review = lan.sharing(0).last_review().unwrap();
    assert_eq!((review.routers.len(), review.missing), (3, 0));
    assert_eq!(review.decision.verdict, Verdict::Balanced);
    lan.run(HOLD);
    assert_eq!(collections(&lan), 2);
    let reviewed = |event: &Event| matches!(event, Event::Reviewed { .. });
    let told = lan
        .events
        .iter()
        .filter(|(_, node, event)| *node == 0 && reviewed(event));
    assert_eq!(told.count(), 2);
}
