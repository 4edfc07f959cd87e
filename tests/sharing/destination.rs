//! A carrier side that shares by itself: `match = "destination"` without a group that it follows. Here the servers send to the end systems.

use std::collections::{BTreeMap, BTreeSet};

use lab::capture::Capture;
use lab::flows::{Flows, Rates};
use lab::group::Group;
use lab::load::UDP_PORT;
use lab::topology::sharing::{CARRIER, KEYS, LAN, Setup, Sharing};

use super::moves::move_on;
use super::{DEADLINE, expect_exact_count, program};

const HOSTS: u8 = 6;
/// The last end system is not named, and so part of the rest.
const NAMED: u8 = HOSTS - 1;
const VRID: u8 = 9;
const GATEWAY: &str = "10.75.2.201";
const RATES: Rates = Rates {
    seconds: 120,
    udp_pps: 200,
    tcp_pps: 30,
};

/// By end system: the routers that brought it datagrams, as it sees itself.
fn brought_by(net: &Sharing) -> BTreeMap<String, BTreeSet<u8>> {
    let macs: BTreeMap<String, u8> = (0..)
        .zip(&net.routers)
        .map(|(index, _)| (net.router_end(index, LAN).mac().expect("a MAC"), index))
        .collect();
    let filter = format!("udp dst port {UDP_PORT}");
    // A hub brings every frame to every port.
    let capture = Capture::start(net.host_end(0), &filter).expect("a capture");
    capture.wait_for(1000, DEADLINE).expect("datagrams");
    let captured = capture.finish().expect("an end");
    let mut seen: BTreeMap<String, BTreeSet<u8>> = BTreeMap::new();
    for line in captured
        .fields("udp", &["ip.dst", "eth.src"])
        .expect("fields")
    {
        let (host, mac) = line.split_once('\t').expect("two fields");
        seen.entry(host.to_owned()).or_default().insert(macs[mac]);
    }
    seen
}

#[test]
fn a_carrier_side_that_follows_none_shares_by_destination_and_moves_exactly() {
    let net = Sharing::new(HOSTS, 3, 2).expect("a network");
    for server in &net.servers {
        let line = format!("ip route replace default via {GATEWAY}");
        server.sh(&line).expect("a gateway");
    }
    let named: Vec<String> = (0..NAMED)
        .map(|host| format!("\"{}\"", Sharing::host(host)))
        .collect();
    let setup = Setup {
        // On the LAN the master routes alone.
        sharing: None,
        further: format!(
            "\n[[virtual-router]]\nvrid = {VRID}\nport = \"{CARRIER}\"\npriority = {{priority}}\nvirtual-addresses = [\"{GATEWAY}\"]\n\
             [virtual-router.load-sharing]\n{KEYS}\nrouter-id = \"{{id}}\"\nmatch = \"destination\"\nend-systems = [{}]\n",
            named.join(", ")
        ),
        ..Setup::default()
    };
    let group = Group::start(&net, program(), &setup).expect("routers");
    let known = group.wait_until_known(usize::from(NAMED) + 1, DEADLINE);
    known.expect("agreement");
    let shares: BTreeSet<u8> = group.in_charge().expect("a table").into_values().collect();
    assert_eq!(
        shares,
        BTreeSet::from([0, 1, 2]),
        "all routers have a share"
    );
    // Nobody shall have to wait for ARP under load.
    for (index, host) in (0..).zip(&net.hosts) {
        let server = Sharing::server(index % 2);
        let ping = lab::probe::ping(host, server, "-c 3 -i 0.2 -W 5").expect("a ping");
        assert!(ping.received > 0, "h{} reaches the servers", index + 1);
    }

    let since = group.mark();
    let pairs = (0..).zip(&net.hosts).map(|(index, host)| {
        let server = index % 2;
        let from = (&net.servers[usize::from(server)], Sharing::server(server));
        (from, (host, Sharing::host(index)))
    });
    let flows = Flows::start(pairs, RATES).expect("flows");
    let mut moves = 0;
    for _ in 0..3 {
        for index in 0..NAMED {
            move_on(&group, &Sharing::host(index).to_string());
            moves += 1;
        }
    }
    let in_charge = group.in_charge().expect("a table");
    let expected: BTreeMap<String, BTreeSet<u8>> = (0..HOSTS)
        .map(|index| {
            let host = Sharing::host(index).to_string();
            let router = in_charge.get(&host).unwrap_or(&in_charge["rest"]);
            (host, BTreeSet::from([*router]))
        })
        .collect();
    assert_eq!(brought_by(&net), expected);
    let report = flows.stop().expect("counts");
    println!("{moves} moves: {report:?}");
    expect_exact_count(&net, &group, &since, (report.total(), report.socket_drops));
}
