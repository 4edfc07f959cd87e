//! End systems are looked for, and forgotten.

use std::collections::BTreeMap;

use lab::group::Group;
use lab::informer::Informer;
use lab::poll;
use lab::topology::sharing::{KEYS, Setup, Sharing};

use super::{DEADLINE, program};

/// How each end system was seen last, as a router has it.
fn seen(group: &Group<'_>, router: u8) -> lab::Result<BTreeMap<String, String>> {
    let shown = Group::shown(group.router(router)?, "show end-systems")?;
    let systems = shown["end_systems"].as_array().into_iter().flatten();
    Ok(systems
        .filter_map(|system| {
            let text = |field: &str| Some(system[field].as_str()?.to_owned());
            Some((text("address")?, text("seen")?))
        })
        .collect())
}

/// The first end systems, each seen so.
fn first(count: u8, seen: impl Fn(u8) -> &'static str) -> BTreeMap<String, String> {
    (0..count)
        .map(|index| (Sharing::host(index).to_string(), seen(index).to_owned()))
        .collect()
}

/// Nobody sends anything here: whoever is found was asked.
#[test]
fn silent_end_systems_are_found_by_what_they_answer_and_forgotten_when_they_left() {
    let net = Sharing::new(4, 2, 0).expect("a network");
    let setup = |sweep| Setup {
        sharing: Some(format!(
            "{KEYS}\nlearn = false\nsweep = {sweep}\nsweep-rate = 500\ndiscovery-interval = \"2s\"\nend-system-age = \"12s\"\n"
        )),
        ..Setup::default()
    };
    let _informer = Informer::start(net.host_end(0), Sharing::host(0)).expect("a responder");
    let group = Group::start(&net, program(), &setup(false)).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    let expect = |what: &str, expected: &BTreeMap<String, String>| {
        poll::until(what, DEADLINE, || {
            let everywhere = [seen(&group, 0)?, seen(&group, 1)?];
            let right = everywhere
                .iter()
                .all(|seen| seen.keys().eq(expected.keys()));
            Ok((right && everywhere[0] == *expected).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}{}", seen(&group, 0), group.said(20)));
    };
    expect(
        "the one that answers information requests",
        &first(1, |_| "information-reply"),
    );

    for (index, router) in group.running() {
        let configuration = net.configuration(index, &setup(true));
        router.configure(&configuration).expect("a file");
        router.ask("reload").expect("a reload");
    }
    poll::until("everyone that answers ARP", DEADLINE, || {
        let found = seen(&group, 0)?;
        Ok(found.keys().eq(first(4, |_| "").keys()).then_some(found))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}{}", seen(&group, 0), group.said(20)));
    let found = seen(&group, 0).expect("an answer");
    let by_arp = found.values().filter(|seen| *seen == "neighbour").count();
    assert!(by_arp >= 3, "{found:?}");
    let shown = Group::shown(group.router(0).expect("a router"), "show end-systems");
    let systems = shown.expect("an answer")["end_systems"].clone();
    for system in systems.as_array().into_iter().flatten() {
        assert_eq!(system["rate_kbit_s"], 0, "{system}");
        assert!(system["seen_ms_ago"].is_number(), "{system}");
    }

    net.hosts[3]
        .sh("ip link set eth0 down")
        .expect("a host that leaves");
    poll::until("the one that left being forgotten", DEADLINE, || {
        let left = seen(&group, 0)?;
        Ok(left.keys().eq(first(3, |_| "").keys()).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}{}", seen(&group, 0), group.said(20)));
}
