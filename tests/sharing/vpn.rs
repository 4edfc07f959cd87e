//! An IP-VPN: at both sites the routers share what comes from the LAN and what comes from the carrier, each end system's both ways at one
//! of them (A15).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use lab::capture::Capture;
use lab::group::is_upset;
use lab::link::End;
use lab::load::UDP_PORT;
use lab::manifold::Manifold;
use lab::topology::sharing::{CARRIER, LAN};
use lab::topology::vpn::Vpn;
use lab::traffic::pace::Pace;
use lab::traffic::{Count, tcp, udp};
use serde_json::Value;

use super::{DEADLINE, program};

/// End systems and routers of each site.
const HOSTS: u8 = 2;
const ROUTERS: u8 = 2;
/// How often each end system is moved.
const ROUNDS: u8 = 3;

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

/// Moves an end system of a site to another of its routers.
fn move_on(routers: &[Manifold<'_>], site: u8, system: Ipv4Addr, from: &str) -> String {
    let number = (0..ROUTERS).find(|number| Vpn::router(site, *number).to_string() == from);
    let to = Vpn::router(site, (number.expect("a router") + 1) % ROUTERS).to_string();
    let shown = groups(&routers[0], "show routers").expect("an answer");
    let authority = shown[0]["authority"].as_str().expect("an authority");
    let at = (0..ROUTERS).position(|number| Vpn::router(site, number).to_string() == authority);
    let authority = &routers[at.expect("a router")];
    authority
        .ask(&format!("move {system} to {to}"))
        .expect("an order");
    to
}

/// What every end system of one site sends to that of the same number at the other, both ways.
struct Load<'a> {
    receivers: Vec<(u32, udp::Receiver<'a>)>,
    senders: Vec<lab::traffic::pace::Sender>,
    streams: Vec<tcp::Stream<'a>>,
}

impl<'a> Load<'a> {
    fn start(net: &'a Vpn) -> lab::Result<Self> {
        let pace = |rate_pps| Pace {
            rate_pps,
            packets: rate_pps * 240,
        };
        let mut load = Self {
            receivers: Vec::new(),
            senders: Vec::new(),
            streams: Vec::new(),
        };
        for (site, number) in [0, 1]
            .into_iter()
            .flat_map(|site| (0..HOSTS).map(move |n| (site, n)))
        {
            let (from, to) = (Vpn::host(site, number), Vpn::host(1 - site, number));
            let host = |site: u8| &net.sites[usize::from(site)].hosts[usize::from(number)];
            let id = u32::from(site) * 100 + u32::from(number);
            let at = SocketAddrV4::new(to, UDP_PORT);
            load.receivers
                .push((id, udp::Receiver::start(host(1 - site), at)?));
            let flow = udp::Flow {
                id,
                from: SocketAddrV4::new(from, UDP_PORT + 1),
                to: at,
                payload_octets: 200,
                pace: pace(100),
            };
            load.senders.push(udp::send(host(site), flow)?);
            let target = SocketAddrV4::new(to, UDP_PORT + 100);
            let stream = tcp::stream(host(site), from, host(1 - site), target, pace(30))?;
            load.streams.push(stream);
        }
        Ok(load)
    }

    /// Datagrams, records, and datagrams that found a socket full.
    fn stop(self) -> lab::Result<(Count, Count, u64)> {
        let (mut datagrams, mut records, mut drops) = (Count::default(), Count::default(), 0);
        for (sender, (id, receiver)) in self.senders.into_iter().zip(self.receivers) {
            let sent = sender.stop()?;
            let counted = receiver.finish(&[(id, sent)], Duration::from_secs(1))?;
            datagrams += counted.total();
            drops += counted.socket_drops;
        }
        for stream in self.streams {
            records += stream.stop()?.records;
        }
        Ok((datagrams, records, drops))
    }
}

/// By end system of the first site: the routers that its datagrams came from, seen on the carrier's network, and those that brought it
/// its own, seen on the LAN.
fn both_ways(net: &Vpn) -> lab::Result<BTreeMap<String, BTreeSet<u8>>> {
    let filter = format!("udp dst port {UDP_PORT}");
    // A hub brings every frame to every port.
    let carrier = Capture::start(End::of(&net.sites[1].routers[0], CARRIER), &filter)?;
    let lan = Capture::start(End::of(&net.sites[0].routers[0], LAN), &filter)?;
    for capture in [&carrier, &lan] {
        capture.wait_for(200, DEADLINE)?;
    }
    let mut seen: BTreeMap<String, BTreeSet<u8>> = BTreeMap::new();
    for (capture, interface, own) in [(carrier, CARRIER, "ip.src"), (lan, LAN, "ip.dst")] {
        let routers = (0..).zip(&net.sites[0].routers);
        let macs: BTreeMap<String, u8> = routers
            .map(|(number, router)| Ok((End::of(router, interface).mac()?, number)))
            .collect::<lab::Result<_>>()?;
        for line in capture.finish()?.fields("udp", &[own, "eth.src"])? {
            let router = line.split_once('\t').and_then(|(system, mac)| {
                let router = macs.get(mac)?;
                system
                    .starts_with("10.76.1.")
                    .then(|| (system.to_owned(), *router))
            });
            if let Some((system, router)) = router {
                seen.entry(system).or_default().insert(router);
            }
        }
    }
    Ok(seen)
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
    let load = Load::start(&net).expect("a load");
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
    }
    let seen = both_ways(&net).expect("captures");
    let (datagrams, records, drops) = load.stop().expect("counts");
    println!("datagrams {datagrams:?}, records {records:?}, full sockets {drops}");
    let upsets = upsets(&sites, &said);
    let exact = datagrams.is_exact() && records.is_exact();
    if !exact && (drops > 0 || !upsets.is_empty()) {
        panic!("this machine held up routers, no fault of theirs: {drops} {upsets:#?}");
    }
    assert!(exact, "{datagrams:?} {records:?}");
    let expected: BTreeMap<String, BTreeSet<u8>> = (0..HOSTS)
        .map(|number| {
            let system = Vpn::host(0, number).to_string();
            let id = &tables[0][&system];
            let router = (0..ROUTERS).find(|number| Vpn::router(0, *number).to_string() == *id);
            (system, BTreeSet::from([router.expect("a router")]))
        })
        .collect();
    assert_eq!(seen, expected, "both ways of each end system by one router");
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
