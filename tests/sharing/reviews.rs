//! The load follows the traffic: what is skewed is shared anew, whoever asks for it, without a packet lost or doubled, and then rests.

use std::collections::BTreeMap;
use std::time::Instant;

use lab::carried::{self, Reading};
use lab::group::Group;
use lab::load::{Load, Rates};
use lab::skew::{self, HOLD, Skew, WINDOW};
use lab::topology::sharing::Sharing;
use lab::{LabError, poll};
use serde_json::Value;

use super::{DEADLINE, expect_exact, program};

const HOSTS: u8 = 12;
/// A datagram's frame: what octets are counted by.
const FRAME_OCTETS: f64 = 242.0;
/// By how much a measured rate may be off on a crowded machine, and what echoes and streams may add, in bit/s.
const OFF: f64 = 0.07;
const OTHERS: f64 = 120_000.0;
/// What the heaviest router may have at the end, over what is possible: the tolerance, and as much again because rates are measured.
const BALANCED: f64 = 1.10;
/// So that traffic other than datagrams is there, and does not count for much.
pub(super) const RATES: Rates = Rates {
    seconds: 180,
    udp_pps: 0,
    icmp_pps: 5,
    tcp_pps: 5,
    streams: 3,
};

/// A counter of the protocol at a router.
fn counter(group: &Group<'_>, router: u8, command: &str, name: &str) -> u64 {
    let router = group.router(router).expect("a router");
    let shown = Group::shown(router, command).expect("counters");
    shown["counters"][name].as_u64().expect("a count")
}

pub(super) fn of_protocol(group: &Group<'_>, router: u8, name: &str) -> u64 {
    counter(group, router, "show routers", name)
}

pub(super) fn of_reviews(group: &Group<'_>, router: u8, name: &str) -> u64 {
    counter(group, router, "show flow-rates", name)
}

/// What a router says that it routes itself.
fn measured_here(group: &Group<'_>, router: u8) -> lab::Result<(f64, u64)> {
    let shown = Group::shown(group.router(router)?, "show flow-rates")?;
    let mut routers = shown["routers"].as_array().into_iter().flatten();
    let this = routers.find(|router| router["is_this"] == true);
    let bit_s = this.and_then(|this| this["bit_s"].as_u64());
    let window = shown["window_ms"].as_f64().unwrap_or_default();
    Ok((window, bit_s.unwrap_or_default()))
}

/// Whether every router has measured what its end systems send, and what each has measured.
fn is_as_sent(group: &Group<'_>, skew: &Skew) -> lab::Result<(bool, String)> {
    let shares = skew.shares(&group.in_charge()?);
    let figures: Vec<(f64, u64)> = (0..group.count())
        .map(|router| measured_here(group, router))
        .collect::<lab::Result<_>>()?;
    let said = format!("{figures:?} of {shares:?} packets a second");
    let right = figures.iter().zip(shares).all(|((window, bit_s), pps)| {
        let sent = pps as f64 * FRAME_OCTETS * 8.0;
        let possible = sent * (1.0 - OFF)..=sent * (1.0 + OFF) + OTHERS;
        *window >= WINDOW.as_millis() as f64 * 0.99 && possible.contains(&(*bit_s as f64))
    });
    Ok((right, said))
}

/// Waits until every router has measured what its end systems send, over a window in which all of them sent.
pub(super) fn wait_until_measured(group: &Group<'_>, skew: &Skew) {
    let mut last = String::new();
    let mut right_since = None;
    let measured = poll::until("the rates as they are", DEADLINE, || {
        let (right, said) = is_as_sent(group, skew)?;
        last = said;
        if !right {
            right_since = None;
            return Ok(None);
        }
        let since: &mut Instant = right_since.get_or_insert_with(Instant::now);
        Ok((since.elapsed() > WINDOW).then_some(()))
    });
    assert!(measured.is_ok(), "{last}");
    println!("measured: {last}");
}

/// Waits for five reviews, one after the other, that move nothing. With steady traffic none may; when this machine did not let it be steady, the
/// count begins anew.
fn expect_five_quiet_reviews(group: &Group<'_>, skew: &Skew) {
    let begin = || -> lab::Result<_> {
        let reallocations = of_reviews(group, 0, "reallocations");
        let collections = of_reviews(group, 0, "collections");
        Ok((collections, (reallocations, group.in_charge()?)))
    };
    let (mut first, mut rest) = begin().expect("counters and a table");
    let mut unsteady = None;
    let five = poll::until("five more reviews", HOLD * 15 + DEADLINE, || {
        let (right, said) = is_as_sent(group, skew)?;
        if !right {
            unsteady = Some(said);
        }
        let (collections, now) = begin()?;
        if now != rest {
            assert!(unsteady.is_some(), "{}", group.said(60));
            println!("this machine did not let the traffic be steady: {unsteady:?}");
            wait_until_measured(group, skew);
            (first, rest) = begin()?;
            unsteady = None;
        }
        // Five whole ones, and the one that was under way.
        Ok((collections >= first + 6).then_some(()))
    });
    five.expect("reviews that move nothing");
}

/// Three routers of which one has more than twice the mean; what `begin` does brings a review that mends it, and `then` sees the group
/// afterwards, still under load.
fn rebalanced(heavy: u8, begin: impl FnOnce(&Group<'_>), then: impl FnOnce(&Group<'_>, &Skew)) {
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let group = Group::start(&net, program(), &skew::setup(HOSTS)).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    skew::wait_until_shared(&group, HOSTS, DEADLINE).expect("shares");
    let since = group.mark();
    let skew = Skew::of(&group, HOSTS, heavy).expect("a skew");
    let load = Load::start_uneven(&net, RATES, |host| skew.pps(host));
    let load = load.and_then(Load::steady).expect("a load");
    let start = Reading::take(&net).expect("octets");
    wait_until_measured(&group, &skew);
    let before = group.in_charge().expect("a table");
    let at_review = Reading::take(&net).expect("octets");
    begin(&group);
    let balanced = skew.wait_until_balanced(&group, BALANCED, DEADLINE);
    let shares = skew.shares(&group.in_charge().expect("a table"));
    assert!(balanced.is_ok(), "{shares:?}{}", group.said(30));
    let after = balanced.expect("checked before");
    let settled = Reading::take(&net).expect("octets");
    then(&group, &skew);
    let end = Reading::take(&net).expect("octets");
    println!(
        "max_over_mean before {:.3} (by the packets sent) {:.3} (by what came out); after {:.3}, {:.3}, over the bound {:.3}; moved: {}",
        skew.max_over_mean(&before),
        carried::max_over_mean(&at_review.since(&start)),
        skew.max_over_mean(&after),
        carried::max_over_mean(&end.since(&settled)),
        skew.over_bound(&after),
        moved(&before, &after),
    );
    assert!(skew.max_over_mean(&before) > 2.0);
    let report = load.stop().expect("counts");
    expect_exact(&net, &group, &since, &report);
}

/// How many conditions are with another router than before.
fn moved(before: &BTreeMap<String, u8>, after: &BTreeMap<String, u8>) -> usize {
    let differ = |(condition, router): &(&String, &u8)| before.get(*condition) != Some(router);
    after.iter().filter(differ).count()
}

#[test]
fn a_backup_with_too_much_has_the_load_shared_anew_which_then_rests_for_five_reviews() {
    let begin = |group: &Group<'_>| skew::let_go(group, 1, 1).expect("a threshold");
    rebalanced(1, begin, |group, skew| {
        // Types 6, 7 and 8.
        assert!(of_protocol(group, 1, "review-requests-sent") >= 1);
        assert!(of_protocol(group, 0, "review-requests-rcvd") >= 1);
        assert!(of_protocol(group, 0, "rate-requests-sent") >= 1);
        for backup in [1, 2] {
            assert!(of_protocol(group, backup, "rate-responses-sent") >= 1);
        }
        assert!(of_protocol(group, 0, "rate-responses-rcvd") >= 2);
        assert_eq!(of_reviews(group, 0, "reallocations"), 1);
        // Figures from before and during the moves are not those of steady traffic.
        wait_until_measured(group, skew);
        // From now on everyone asks all the time.
        for router in 0..group.count() {
            skew::let_go(group, router, 0).expect("a threshold");
        }
        expect_five_quiet_reviews(group, skew);
    });
}

#[test]
fn a_master_with_too_much_shares_its_load_anew_without_being_asked() {
    let begin = |group: &Group<'_>| skew::let_go(group, 0, 1).expect("a threshold");
    rebalanced(0, begin, |group, _| {
        assert_eq!(of_protocol(group, 0, "review-requests-rcvd"), 0);
        assert!(of_reviews(group, 0, "reviews-requested") >= 1);
        assert!(of_protocol(group, 0, "rate-responses-rcvd") >= 2);
    });
}

#[test]
fn the_operator_has_the_load_shared_anew_at_the_router_that_allocates_only() {
    let begin = |group: &Group<'_>| {
        let backup = group.router(1).expect("a router").ask("review now");
        let Err(LabError::Unreadable { text, .. }) = backup else {
            panic!("a backup reviews: {backup:?}");
        };
        assert!(text.contains("router 10.75.1.2 does"), "{text}");
        let master = group.router(0).expect("a router");
        let done = master.ask("review now").expect("a review");
        assert!(done["done"].as_str().is_some(), "{done}");
    };
    rebalanced(2, begin, |group, _| {
        let shown = Group::shown(group.router(0).expect("a router"), "show flow-rates");
        let last: Value = shown.expect("figures")["last_review"].clone();
        assert_eq!(last["verdict"], "reallocate", "{last}");
        assert!(last["max_over_mean"].as_f64() > Some(2.0), "{last}");
        for router in 0..group.count() {
            assert_eq!(of_reviews(group, router, "reviews-requested"), 0);
        }
        a_threshold_that_is_set_lasts_until_the_file_is_read_again(group);
    });
}

fn a_threshold_that_is_set_lasts_until_the_file_is_read_again(group: &Group<'_>) {
    let router = group.router(2).expect("a router");
    let difference = || {
        let config = router.ask("show config").expect("a configuration");
        let groups = config["config"]["virtual-router"].as_array().cloned();
        let sharing = groups
            .into_iter()
            .flatten()
            .map(|group| group["load-sharing"].clone());
        let shared: Vec<Value> = sharing.filter(Value::is_object).collect();
        assert_eq!(shared.len(), 1, "{config}");
        (
            shared[0]["review-difference-percent"].as_u64(),
            Group::shown(router, "show flow-rates").expect("figures")["thresholds"]["difference_percent"].as_f64(),
        )
    };
    assert_eq!(difference(), (Some(20), Some(20.0)));
    router
        .ask("set review-threshold difference 50")
        .expect("a threshold");
    assert_eq!(difference(), (Some(50), Some(50.0)));
    // No less than the tolerance, and nothing that a file could not say.
    for wrong in [5, 1, 1001] {
        let refused = router.ask(&format!("set review-threshold difference {wrong}"));
        assert!(refused.is_err(), "{wrong}: {refused:?}");
    }
    assert_eq!(difference(), (Some(50), Some(50.0)));
    router.ask("reload").expect("the file");
    assert_eq!(difference(), (Some(20), Some(20.0)));
}
