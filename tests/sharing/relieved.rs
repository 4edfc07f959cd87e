//! A router whose egress is slower than what comes in asks for a review because its backlog overflows, for no other reason, and is relieved.

use std::time::Duration;

use lab::group::Group;
use lab::load::{Load, Rates};
use lab::manifold::Manifold;
use lab::topology::sharing::{CARRIER, Setup, Sharing};
use lab::{poll, probe, skew};
use serde_json::Value;

use super::congested::{congestion, overflows, peer_configuration};
use super::live_view::{line_of, top};
use super::reviews::{of_protocol, of_reviews};
use super::{DEADLINE, blames_the_machine, program};

const HOSTS: u8 = 12;
/// The router with the slow egress: a backup.
const SLOW: u8 = 1;
/// A third of this is more than the slow egress takes, and the backlog is full after some ten seconds.
const RATES: Rates = Rates {
    seconds: 180,
    udp_pps: 300,
    icmp_pps: 0,
    tcp_pps: 0,
    streams: 0,
};
/// For a full backlog, and for as many reviews as it takes.
const RELIEF: Duration = Duration::from_secs(120);

/// What a router says of the slow one's load.
fn slow_as_seen_by(group: &Group<'_>, router: u8) -> lab::Result<Value> {
    let shown = Group::shown(group.router(router)?, "show flow-rates")?;
    let id = Sharing::router(SLOW).to_string();
    let mut routers = shown["routers"].as_array().into_iter().flatten();
    let slow = routers.find(|router| router["router_id"] == id.as_str());
    Ok(slow.cloned().unwrap_or_default())
}

#[test]
fn overflows_alone_bring_a_review_that_relieves_the_router() {
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    let machine = net.guest("peer", CARRIER).expect("a machine");
    let mut setup = Setup {
        memif: Some(SLOW),
        // So few that what waits there goes out before those who take over have held more than they can.
        backlog: Some(1024),
        ..skew::setup(HOSTS)
    };
    // What waits at the slow router takes a while to go out, and is not to be overtaken.
    let sharing = setup.sharing.iter_mut();
    sharing.for_each(|sharing| *sharing += "drain-limit = \"60s\"\n");
    let group = Group::start(&net, program(), &setup).expect("routers");
    let peer = Manifold::start(&machine, program(), &peer_configuration(&net, SLOW), &[]);
    let peer = peer.expect("a peer");
    peer.ctl("set fwd io").expect("a peer that forwards");
    skew::wait_until_shared(&group, HOSTS, DEADLINE).expect("shares");
    // Every router is to know the servers: of what waits for ARP a part may be lost, or overtaken.
    for (host, server) in net.hosts.iter().flat_map(|host| [(host, 0), (host, 1)]) {
        let ping = probe::ping(host, Sharing::server(server), "-c 2 -i 0.2 -W 5");
        assert!(ping.expect("a ping").received > 0, "{}", host.name());
    }
    let since = group.mark();
    let before = slow_as_seen_by(&group, SLOW).expect("figures")["conditions"].as_u64();
    let load = Load::start(&net, RATES).expect("a load");
    let mut live = top(&net, SLOW);
    let shown = live.wait_until("overflows", RELIEF, |screen| {
        let line = line_of(screen, SLOW);
        // The last column but one.
        let overflows = line
            .len()
            .checked_sub(2)
            .and_then(|at| line[at].parse().ok());
        overflows.is_some_and(|overflows: f64| overflows > 0.0)
    });
    println!(
        "{}",
        shown.unwrap_or_else(|error| panic!("{error}{}", group.said(20)))
    );
    let mut overflowed = 0;
    let mut last = Value::Null;
    let relieved = poll::until("relief", RELIEF, || {
        last = slow_as_seen_by(&group, SLOW)?;
        let overflows = last["overflows"].as_u64().unwrap_or_default();
        overflowed = overflowed.max(overflows);
        Ok((of_reviews(&group, 0, "reallocations") > 0 && overflows == 0).then_some(()))
    });
    assert!(relieved.is_ok(), "{last}{}", group.said(40));
    let weight = slow_as_seen_by(&group, 0).expect("figures")["weight_percent"].as_f64();
    println!(
        "up to {overflowed} overflows in a window; then {last}, its weight counting as {weight:?} %"
    );
    assert!(last["conditions"].as_u64() < before, "{before:?}: {last}");
    assert!(weight < Some(100.0));
    assert!(of_protocol(&group, SLOW, "review-requests-sent") > 0);
    for router in [0, 2] {
        assert_eq!(of_reviews(&group, router, "reviews-requested"), 0);
    }
    let log = group.router(0).expect("a router").process().stderr();
    assert!(log.contains("overflows a second, more than 1"), "{log}");
    assert!(!log.contains("bit/s, more than"), "{log}");
    poll::until("an end of the congestion", RELIEF, || {
        Ok((congestion(&group, SLOW)?.0 == 0).then_some(()))
    })
    .expect("an empty backlog");
    let report = load.stop().expect("counts");
    let total = report.udp_total();
    // What backlogs could not keep is what is missing, to the packet; but what they could not keep on hold the former router may have routed.
    let overflowed = [0, 1, 2].map(|router| overflows(&group, router));
    let [sent_on, held] = congestion(&group, SLOW).expect("counters").1;
    println!("{total:?}; overflowed by router: {overflowed:?}, {held} of them on hold");
    let exact = (sent_on..=sent_on + held).contains(&total.lost)
        && overflowed.iter().sum::<u64>() == sent_on + held
        && (total.duplicated, total.reordered) == (0, 0);
    if !exact {
        println!("{}", group.story());
    }
    let network = (report.socket_drops, net.link_drops().expect("drops"));
    assert_eq!(network, (0, 0), "the network itself lost something");
    assert!(exact || !blames_the_machine(&group, &since, &[]));
    assert!(exact && total.lost > 0, "{overflowed:?} {report:#?}");
}
