//! An IP-VPN: at both sites the routers share what comes from the LAN and what comes from the carrier, each end system's both ways at one
//! of them (A15).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Instant;

use lab::LabError;
use lab::capture::Capture;
use lab::flows::{Flows, Rates};
use lab::group::is_upset;
use lab::link::End;
use lab::load::UDP_PORT;
use lab::manifold::Manifold;
use lab::topology::sharing::{CARRIER, INTERFACE, LAN};
use lab::topology::vpn::Vpn;
use serde_json::Value;

use super::{DEADLINE, program};

/// End systems and routers of each site.
const HOSTS: u8 = 2;
const ROUTERS: u8 = 2;
/// How often each end system is moved.
const ROUNDS: u8 = 3;
const RATES: Rates = Rates {
    seconds: 240,
    udp_pps: 100,
    tcp_pps: 30,
};
/// Packets that are looked at on each link.
const SEEN: usize = 400;

type Sites<'a> = [Vec<Manifold<'a>>; 2];

fn groups(router: &Manifold<'_>, command: &str) -> lab::Result<Vec<Value>> {
    let answer = router.ask(command)?;
    Ok(answer["groups"].as_array().cloned().unwrap_or_default())
}

/// Who is in charge of what, as one table has it.
fn in_charge(allocation: &Value) -> BTreeMap<String, String> {
    let conditions = allocation["conditions"].as_array().into_iter().flatten();
    conditions
        .filter_map(|row| {
            let text = |field: &str| Some(row[field].as_str()?.to_owned());
            Some((text("condition")?, text("router")?))
        })
        .collect()
}

/// A site's table, once it is the same in both groups and on all routers, with every end system, and nothing is under way.
fn settled(routers: &[Manifold<'_>]) -> lab::Result<Option<BTreeMap<String, String>>> {
    let mut tables = BTreeSet::new();
    for router in routers {
        for group in groups(router, "show moves")? {
            if group["total"] != 0 {
                return Ok(None);
            }
        }
        for group in groups(router, "show routers")? {
            let members = group["routers"].as_array().into_iter().flatten();
            if members
                .filter(|member| member["state"] == "working")
                .count()
                != routers.len()
            {
                return Ok(None);
            }
        }
        for group in groups(router, "show allocation")? {
            tables.insert(in_charge(&group));
        }
    }
    let whole = tables.len() == 1;
    let table = tables.pop_first().unwrap_or_default();
    Ok((whole && table.len() == usize::from(HOSTS) + 1).then_some(table))
}

fn wait_until_settled(
    sites: &Sites<'_>,
    what: &str,
    pleases: impl Fn(&[BTreeMap<String, String>; 2]) -> bool,
) -> [BTreeMap<String, String>; 2] {
    lab::poll::until(what, DEADLINE, || {
        let (Some(one), Some(other)) = (settled(&sites[0])?, settled(&sites[1])?) else {
            return Ok(None);
        };
        let tables = [one, other];
        Ok(pleases(&tables).then_some(tables))
    })
    .unwrap_or_else(|error| {
        for router in sites.iter().flatten() {
            println!("{:?}", router.ask("show allocation"));
            println!("{:?}", router.ask("show routers"));
            println!("{}", router.process().stderr());
        }
        panic!("{error}")
    })
}

/// Which of a site's routers has this id.
fn number_of(site: u8, id: &str) -> u8 {
    let number = (0..ROUTERS).find(|number| Vpn::router(site, *number).to_string() == id);
    number.expect("a router of the site")
}

/// Has a site's load looked at: the router that allocates on the LAN's side does it for both, the others say which one does, and nobody speaks of
/// the group that follows.
fn review_by_hand(site: u8, routers: &[Manifold<'_>]) {
    let authority = authority_of(site, routers);
    for (number, router) in (0..).zip(routers) {
        let answer = router.ask("review now");
        match answer {
            Ok(done) => {
                let said = done["done"].as_str().unwrap_or_default();
                assert_eq!(said.lines().count(), 1, "{said}");
                assert!(said.starts_with(&format!("{LAN} 7: ")), "{said}");
                assert_eq!(number, authority, "{said}");
            }
            Err(LabError::Unreadable { text, .. }) => {
                let does = format!("router {} does", Vpn::router(site, authority));
                assert!(text.contains(&does) && !text.contains(CARRIER), "{text}");
                assert_ne!(number, authority, "{text}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Which of a site's routers allocates.
fn authority_of(site: u8, routers: &[Manifold<'_>]) -> u8 {
    let shown = groups(&routers[0], "show routers").expect("an answer");
    number_of(site, shown[0]["authority"].as_str().expect("an authority"))
}

/// Moves an end system of a site to another of its routers.
fn move_on(routers: &[Manifold<'_>], site: u8, system: Ipv4Addr, from: &str) -> String {
    let to = Vpn::router(site, (number_of(site, from) + 1) % ROUTERS).to_string();
    routers[usize::from(authority_of(site, routers))]
        .ask(&format!("move {system} to {to}"))
        .expect("an order");
    to
}

/// What every end system of one site sends to that of the same number at the other, both ways.
fn start_flows(net: &Vpn) -> lab::Result<Flows<'_>> {
    let place = |site: u8, number: u8| {
        let hosts = &net.sites[usize::from(site)].hosts;
        (&hosts[usize::from(number)], Vpn::host(site, number))
    };
    let pairs = [0, 1]
        .into_iter()
        .flat_map(|site| (0..HOSTS).map(move |n| (site, n)));
    let pairs = pairs.map(|(site, number)| (place(site, number), place(1 - site, number)));
    Flows::start(pairs, RATES)
}

/// A site's end systems, each with the routers that its packets came from, seen on the carrier's network, and those that brought it its own, seen
/// on its LAN. Streams have packets both ways themselves, and are looked at as well as datagrams.
fn both_ways(net: &Vpn, site: u8) -> lab::Result<BTreeMap<String, [BTreeSet<u8>; 2]>> {
    let (here, there) = (
        &net.sites[usize::from(site)],
        &net.sites[usize::from(1 - site)],
    );
    let filter = format!("udp dst port {UDP_PORT} or tcp");
    // A hub brings every frame to every port; what a router sends itself is not seen at its own.
    let carrier = Capture::start(End::of(&there.routers[0], CARRIER), &filter)?;
    let lan = Capture::start(End::of(&here.hosts[0], INTERFACE), &filter)?;
    for capture in [&carrier, &lan] {
        capture.wait_for(SEEN, DEADLINE)?;
    }
    let mut seen: BTreeMap<String, [BTreeSet<u8>; 2]> = BTreeMap::new();
    for (way, (capture, interface, own)) in [(carrier, CARRIER, "ip.src"), (lan, LAN, "ip.dst")]
        .into_iter()
        .enumerate()
    {
        let routers = (0..).zip(&here.routers);
        let macs: BTreeMap<String, u8> = routers
            .map(|(number, router)| Ok((End::of(router, interface).mac()?, number)))
            .collect::<lab::Result<_>>()?;
        for line in capture.finish()?.fields("udp or tcp", &[own, "eth.src"])? {
            // The others are the other site's, or from an end system on its way to a router.
            if let Some((system, mac)) = line.split_once('\t')
                && let Some(router) = macs.get(mac)
            {
                seen.entry(system.to_owned()).or_default()[way].insert(*router);
            }
        }
    }
    Ok(seen)
}

/// Expects that each end system's packets pass the router that its site's table names, both ways.
fn expect_one_router_both_ways(net: &Vpn, tables: &[BTreeMap<String, String>; 2]) {
    for (site, table) in (0..).zip(tables) {
        let expected: BTreeMap<String, [BTreeSet<u8>; 2]> = (0..HOSTS)
            .map(|number| {
                let system = Vpn::host(site, number).to_string();
                let router = BTreeSet::from([number_of(site, &table[&system])]);
                (system, [router.clone(), router])
            })
            .collect();
        let seen = both_ways(net, site).expect("captures");
        assert_eq!(seen, expected, "both ways of each end system by one router");
    }
}

#[test]
fn a_vpn_loses_and_doubles_nothing_while_end_systems_are_moved_at_both_sites() {
    let net = Vpn::new(HOSTS, ROUTERS).expect("a network");
    let start = |site: u8| -> Vec<Manifold<'_>> {
        let routers = (0..).zip(&net.sites[usize::from(site)].routers);
        routers
            .map(|(number, machine)| {
                let configuration = net.configuration(site, number);
                Manifold::start(machine, program(), &configuration, &[]).expect("a router")
            })
            .collect()
    };
    let sites = [start(0), start(1)];
    let mut tables = wait_until_settled(&sites, "both sites", |_| true);
    let lines = |router: &Manifold<'_>| router.process().stderr().lines().count();
    let said: Vec<usize> = sites.iter().flatten().map(lines).collect();
    for (site, routers) in (0..).zip(&sites) {
        review_by_hand(site, routers);
    }
    let flows = start_flows(&net).expect("flows");
    let began = Instant::now();
    for _ in 0..ROUNDS {
        for number in 0..HOSTS {
            let mut to = Vec::new();
            for site in [0, 1] {
                let system = Vpn::host(site, number);
                let at = usize::from(site);
                let from = tables[at][&system.to_string()].clone();
                let router = move_on(&sites[at], site, system, &from);
                to.push((at, system.to_string(), router));
            }
            tables = wait_until_settled(&sites, "the moves", |tables| {
                to.iter()
                    .all(|(at, system, router)| tables[*at].get(system) == Some(router))
            });
        }
        expect_one_router_both_ways(&net, &tables);
    }
    let took = began.elapsed();
    let moved = flows.stop().expect("counts");
    // TCP sends segments again for reasons of its own, too: the same for as long without moves.
    let flows = start_flows(&net).expect("flows");
    std::thread::sleep(took);
    let unmoved = flows.stop().expect("counts");
    println!("{took:?} with moves: {moved:?}\nas long without: {unmoved:?}");
    let upsets = upsets(&sites, &said);
    let exact = moved.udp.is_exact() && moved.tcp.is_exact();
    let again = moved.tcp_retransmitted > unmoved.tcp_retransmitted;
    if (!exact || again) && (moved.socket_drops > 0 || !upsets.is_empty()) {
        panic!("this machine held up routers, no fault of theirs: {moved:?} {upsets:#?}");
    }
    assert!(exact, "{moved:?}");
    assert!(
        !again,
        "moves made TCP send again: {moved:?}, without {unmoved:?}"
    );
}

/// What the routers have logged, behind so many lines each, of others that were silent and of themselves that stood still.
fn upsets(sites: &Sites<'_>, said: &[usize]) -> Vec<String> {
    let mut upsets = Vec::new();
    for (router, said) in sites.iter().flatten().zip(said) {
        let log = router.process().stderr();
        let lines = log.lines().skip(*said).filter(|line| is_upset(line));
        upsets.extend(lines.map(str::to_owned));
    }
    upsets
}
