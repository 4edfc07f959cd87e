//! The substitution server does all the control work, is killed, and comes back, under load.

use std::collections::BTreeMap;

use lab::group::Group;
use lab::load::{Load, Rates};
use lab::poll;
use lab::topology::sharing::{KEYS, Setup, Sharing};

use super::moves::move_on;
use super::{DEADLINE, RATES, blames_the_machine, expect_exact, program};

const HOSTS: u8 = 6;
const ROUTERS: u8 = 3;
/// The machine behind the routers.
const SERVER: u8 = ROUTERS;

/// A load that outlasts whatever is waited for.
const LASTING: Rates = Rates {
    seconds: 300,
    ..RATES
};

/// What a router has done of the control work, by counter.
fn control_work(group: &Group<'_>, index: u8) -> BTreeMap<&'static str, u64> {
    const COUNTERS: [&str; 6] = [
        "authorities-taken",
        "allocations-issued",
        "moves-ordered",
        "collections",
        "reviews",
        "end-systems-taken-up",
    ];
    let router = group.router(index).expect("a router");
    let shown = Group::shown(router, "show routers").expect("an answer");
    let count = |name| shown["counters"][name].as_u64().expect("a counter");
    COUNTERS
        .into_iter()
        .map(|name| (name, count(name)))
        .collect()
}

fn has_done_nothing(work: &BTreeMap<&str, u64>) -> bool {
    work.values().all(|count| *count == 0)
}

/// Waits until `index` is the authority and has since held a review, and all agree.
fn wait_for_reviews(group: &Group<'_>, index: u8) {
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let before = control_work(group, index)["reviews"];
    poll::until("a review", DEADLINE, || {
        Ok((control_work(group, index)["reviews"] > before).then_some(()))
    })
    .expect("a review");
}

/// Waits until `index` is the authority, and all agree.
fn wait_for_work(group: &Group<'_>, index: u8) {
    poll::until("another router doing the work", DEADLINE, || {
        Ok((control_work(group, index)["authorities-taken"] == 1).then_some(()))
    })
    .expect("an authority");
    group.wait_until_agreed(DEADLINE).expect("agreement");
}

/// What happens while nothing but control work changes hands: under load, and as exactly as if nothing did.
fn exactly(net: &Sharing, group: &mut Group<'_>, work: impl FnOnce(&mut Group<'_>)) {
    let since = group.mark();
    let load = Load::start(net, LASTING).expect("a load");
    work(group);
    expect_exact(net, group, &since, &load.stop().expect("counts"));
}

/// Moves one end system around all routers, by the order of whoever is the authority.
fn moves(net: &Sharing, group: &Group<'_>, mode: &str, host: u8) {
    let since = group.mark();
    let load = Load::start(net, LASTING).expect("a load");
    for _ in 1..ROUTERS {
        move_on(group, &Sharing::host(host).to_string());
    }
    let report = load.stop().expect("counts");
    if mode == "sequence" {
        return expect_exact(net, group, &since, &report);
    }
    println!("moves in timer mode: {:?}", report.udp_total());
    let duplicated = report.total().duplicated;
    assert!(duplicated == 0 || !blames_the_machine(group, &since, &[]));
    assert_eq!(duplicated, 0, "{report:#?}");
}

/// Three routers and a server under load: the server is killed and comes back, and sharing, moves and reviews go on each time. Nothing is lost by
/// that in either mode, and by moves nothing in sequence mode.
fn killed_and_back(mode: &str, queues: Vec<u8>) {
    let net = Sharing::new(HOSTS, ROUTERS + 1, 2).expect("a network");
    // Reviews as often as may be, because any load is above this threshold. Two end systems are learned, by a router that has to tell the server.
    let setup = Setup {
        sharing: Some(format!(
            "mode = \"{mode}\"\n{KEYS}\nend-systems = [\"10.75.1.11\", \"10.75.1.12\", \"10.75.1.13\", \"10.75.1.14\"]\n\
             review-window = \"500ms\"\nreview-hold = \"1s\"\nreview-rate-mbit = 0\nreview-difference-percent = 900\n"
        )),
        servers: 1,
        queues,
        ..Setup::default()
    };
    let mut group = Group::start(&net, program(), &setup).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let load = Load::start(&net, LASTING).expect("a load");
    poll::until("every end system in the table", DEADLINE, || {
        Ok((group.in_charge()?.len() == usize::from(HOSTS) + 1).then_some(()))
    })
    .expect("every end system");
    wait_for_reviews(&group, SERVER);
    drop(load);
    moves(&net, &group, mode, 0);
    for router in 0..ROUTERS {
        let work = control_work(&group, router);
        assert!(has_done_nothing(&work), "r{}: {work:?}", router + 1);
    }
    let by_server = control_work(&group, SERVER);
    println!("the server: {by_server:?}");
    assert!(by_server["end-systems-taken-up"] >= 2 && by_server["moves-ordered"] >= 2);

    exactly(&net, &mut group, |group| {
        group.kill(SERVER);
        wait_for_work(group, 0);
        wait_for_reviews(group, 0);
    });
    moves(&net, &group, mode, 1);

    exactly(&net, &mut group, |group| {
        group.start_router(SERVER).expect("the server");
        wait_for_work(group, SERVER);
        let by_master = control_work(group, 0);
        println!("the master meanwhile: {by_master:?}");
        wait_for_reviews(group, SERVER);
        assert_eq!(control_work(group, 0), by_master);
    });
    let by_master = control_work(&group, 0);
    moves(&net, &group, mode, 2);
    assert_eq!(control_work(&group, 0), by_master);
    // What is measured is known to whoever measured it, until an allocation tells the others.
    group.wait_until_agreed(DEADLINE).expect("agreement");
}

#[test]
fn a_server_that_is_killed_and_comes_back_costs_no_packet_in_sequence_mode() {
    killed_and_back("sequence", Vec::new());
}

#[test]
fn a_server_that_is_killed_and_comes_back_costs_no_packet_where_machines_have_two_workers() {
    killed_and_back("sequence", vec![2; usize::from(ROUTERS) + 1]);
}

#[test]
fn a_server_that_is_killed_and_comes_back_costs_no_packet_in_timer_mode_and_moves_double_none() {
    killed_and_back("timer", Vec::new());
}
