//! Who routes what, as long as nothing happens.

use std::collections::{BTreeMap, BTreeSet};

use lab::capture::Capture;
use lab::group::Group;
use lab::load::{Load, UDP_PORT};
use lab::topology::sharing::{CARRIER, Setup, Sharing};

use super::{DEADLINE, RATES, expect_exact, program};

/// By end system: the routers that its datagrams came from, by their numbers, as servers see them.
pub(super) fn routed_by(net: &Sharing, work: impl FnOnce()) -> BTreeMap<String, BTreeSet<usize>> {
    let macs: Vec<String> = (0..)
        .zip(&net.routers)
        .map(|(index, _)| net.router_end(index, CARRIER).mac().expect("a MAC"))
        .collect();
    let filter = format!("udp dst port {UDP_PORT}");
    let captures: Vec<Capture<'_>> = (0..)
        .zip(&net.servers)
        .map(|(index, _)| Capture::start(net.server_end(index), &filter).expect("a capture"))
        .collect();
    work();
    let mut seen: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for capture in captures {
        let captured = capture.finish().expect("an end");
        let lines = captured
            .fields("udp", &["ip.src", "eth.src"])
            .expect("fields");
        for line in lines {
            let (host, mac) = line.split_once('\t').expect("two fields");
            let router = macs
                .iter()
                .position(|known| known == mac)
                .expect("a router");
            seen.entry(host.to_owned()).or_default().insert(router);
        }
    }
    seen
}

#[test]
fn without_load_sharing_the_master_routes_alone() {
    let net = Sharing::new(2, 2, 1).expect("a network");
    let setup = Setup {
        sharing: None,
        ..Setup::default()
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    let first = group.router(0).expect("a router");
    lab::poll::until("the first router being master", DEADLINE, || {
        let shown = first.ask("show vrrp")?;
        let routers = shown["virtual_routers"].as_array().into_iter().flatten();
        let mut lan = routers.filter(|router| router["vrid"] == Sharing::VRID);
        Ok(lan.any(|router| router["state"] == "master").then_some(()))
    })
    .expect("a master");
    let since = group.mark();
    let seen = routed_by(&net, || {
        let load = Load::start(&net, RATES).expect("a load");
        std::thread::sleep(std::time::Duration::from_secs(2));
        expect_exact(&net, &group, &since, &load.stop().expect("counts"));
    });
    assert_eq!(seen.len(), 2);
    assert!(
        seen.values().all(|routers| *routers == BTreeSet::from([0])),
        "{seen:?}"
    );
}

#[test]
fn all_routers_route_at_once_and_each_end_system_by_exactly_one() {
    let net = Sharing::new(12, 3, 2).expect("a network");
    let group = Group::start(&net, program(), &Setup::default()).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let since = group.mark();
    // End systems are learned from their packets, which the master routes until then.
    let load = Load::start(&net, RATES).expect("a load");
    lab::poll::until("every end system in the table", DEADLINE, || {
        Ok((group.in_charge()?.len() == 13).then_some(()))
    })
    .expect("every end system");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let in_charge = group.in_charge().expect("a table");
    let share = |router| in_charge.values().filter(|of| **of == router).count();
    let shares: Vec<usize> = (0..3).map(share).collect();
    println!("conditions of each router: {shares:?}");
    assert!(
        shares.iter().all(|share| (3..=6).contains(share)),
        "{shares:?}"
    );
    let seen = routed_by(&net, || {
        std::thread::sleep(std::time::Duration::from_secs(2))
    });
    let expected: BTreeMap<String, BTreeSet<usize>> = in_charge
        .iter()
        .filter(|(condition, _)| *condition != "rest")
        .map(|(condition, router)| (condition.clone(), BTreeSet::from([usize::from(*router)])))
        .collect();
    assert_eq!(seen, expected);
    expect_exact(&net, &group, &since, &load.stop().expect("counts"));
}
