//! End systems behind a further router on the link are learned from what they send through it, shared like all others, and forgotten.

use std::collections::{BTreeMap, BTreeSet};

use lab::flows::{Flows, Rates};
use lab::frame::{Ipv4Frame, Mac, read_mac};
use lab::group::Group;
use lab::packet_socket::PacketSocket;
use lab::topology::branch::Branch;
use lab::topology::sharing::{KEYS, Setup, Sharing};
use lab::{poll, probe};
use serde_json::Value;

use super::moves::move_on;
use super::shares::routed_by;
use super::{DEADLINE, expect_exact_count, program};

const BEHIND: u8 = 4;
const RATES: Rates = Rates {
    seconds: 120,
    udp_pps: 200,
    tcp_pps: 50,
};
/// In the further router's prefix, and nobody.
const SPOOFED: [u8; 4] = [10, 75, 3, 77];

/// What a router has of the end systems behind further routers: behind which, and how seen.
fn behind(group: &Group<'_>, router: u8) -> lab::Result<BTreeMap<String, (String, String)>> {
    let shown = Group::shown(group.router(router)?, "show end-systems")?;
    let systems = shown["end_systems"].as_array().into_iter().flatten();
    let of = |system: &Value| {
        let text = |field: &str| Some(system[field].as_str()?.to_owned());
        Some((text("address")?, (text("behind")?, text("seen")?)))
    };
    Ok(systems.filter_map(of).collect())
}

fn strays(group: &Group<'_>) -> lab::Result<u64> {
    let mut strays = 0;
    for (_, router) in group.running() {
        let shown = Group::shown(router, "show routers")?;
        strays += shown["counters"]["learning-strays"].as_u64().unwrap_or(0);
    }
    Ok(strays)
}

#[test]
fn end_systems_behind_a_further_router_are_learned_shared_moved_exactly_and_forgotten() {
    let net = Sharing::new(1, 3, 2).expect("a network");
    let branch = Branch::attach(&net, BEHIND).expect("a further router");
    // What is to be found here is found by packets alone.
    let setup = Setup {
        sharing: Some(format!(
            "{KEYS}\nsweep = false\ninformation-requests = false\nend-system-age = \"12s\"\nreview-window = \"1s\"\nreview-hold = \"2s\"\n\
             review-rate-mbit = 1000\nreview-difference-percent = 900\n"
        )),
        further: Branch::ROUTE.into(),
        ..Setup::default()
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    group.wait_until_agreed(DEADLINE).expect("agreement");
    // Also so that no packet of the load has to wait for ARP.
    for (index, host) in (0..).zip(&branch.hosts) {
        let server = Sharing::server(index % 2);
        let ping = probe::ping(host, server, "-c 3 -i 0.2 -W 5").expect("a ping");
        assert!(ping.received > 0, "d{} reaches the servers", index + 1);
    }
    let expected: BTreeMap<String, (String, String)> = (0..BEHIND)
        .map(|index| {
            let seen = (Branch::ROUTER.to_string(), "traffic".to_owned());
            (Branch::host(index).to_string(), seen)
        })
        .collect();
    poll::until("those behind the further router", DEADLINE, || {
        let everywhere = (0..group.count()).map(|router| behind(&group, router));
        let everywhere: Vec<_> = everywhere.collect::<lab::Result<_>>()?;
        Ok(everywhere
            .iter()
            .all(|known| *known == expected)
            .then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}{}", behind(&group, 0), group.said(20)));
    poll::until("a share for every router", DEADLINE, || {
        let routers: BTreeSet<u8> = group.in_charge()?.into_values().collect();
        Ok((routers.len() == usize::from(group.count())).then_some(()))
    })
    .expect("shares");
    group.wait_until_agreed(DEADLINE).expect("agreement");

    let since = group.mark();
    let pairs = (0..).zip(&branch.hosts).map(|(index, host)| {
        let server = index % 2;
        let to = (&net.servers[usize::from(server)], Sharing::server(server));
        ((host, Branch::host(index)), to)
    });
    let flows = Flows::start(pairs, RATES).expect("flows");
    for _ in 0..3 {
        for index in 0..BEHIND {
            move_on(&group, &Branch::host(index).to_string());
        }
    }
    let mut in_charge = BTreeMap::new();
    let seen = routed_by(&net, || {
        in_charge = group.in_charge().expect("a table");
        std::thread::sleep(std::time::Duration::from_secs(1));
    });
    for index in 0..BEHIND {
        let condition = Branch::host(index).to_string();
        let router = usize::from(in_charge[&condition]);
        assert_eq!(seen[&condition], BTreeSet::from([router]), "{condition}");
    }

    // Whoever on the link sends in the name of one behind the further router makes nobody known.
    let host = net.host_end(0);
    let from_mac = read_mac(&host.mac().expect("a MAC")).expect("a MAC");
    let virtual_mac: Mac = [0, 0, 0x5e, 0, 1, Sharing::VRID];
    let server = (Sharing::server(0), 9999);
    let forged = Ipv4Frame::udp(virtual_mac, from_mac, (SPOOFED.into(), 9999), server, b"x");
    let socket = PacketSocket::open(host).expect("a socket");
    poll::until("the forged packet being refused", DEADLINE, || {
        socket.send(&forged.octets())?;
        Ok((strays(&group)? > 0).then_some(()))
    })
    .expect("a count");
    assert_eq!(behind(&group, 0).expect("an answer"), expected);

    let report = flows.stop().expect("counts");
    println!("{report:?}");
    expect_exact_count(&net, &group, &since, (report.total(), report.socket_drops));

    poll::until("those that are silent being forgotten", DEADLINE, || {
        Ok(behind(&group, 0)?.is_empty().then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:?}{}", behind(&group, 0), group.said(20)));
}
